"""Dataflow's REST interface: jobs are posted, looked at, and cancelled."""

from __future__ import annotations

import json
import re
import threading
import traceback
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from tests.dataflow_server.storage import Storage
from tests.http_server import Answer, Request

_JOBS = re.compile(
    r"/v1b3/projects/(?P<project>[^/]+)/locations/(?P<region>[^/]+)/jobs"
    r"(?:/(?P<id>[^/]+)(?:/(?P<what>messages|metrics))?)?"
)
_CANCELLED = ("JOB_STATE_CANCELLED", 5)


class Posted(NamedTuple):
    """A job as it was posted.

    Attributes:
        project: in the address.
        region: in the address.
        job: the request's body.
    """

    project: str
    region: str
    job: dict[str, Any]


class Service:
    """Dataflow: runs each job that is posted, unless `refusal` or `holds` is set.

    Args:
        storage: where jobs have their files.

    Attributes:
        posted: what was posted, in the order of arrival.
        refusal: why jobs fail before they begin, as when there are no machines.
        holds: whether jobs stay in the state running until they are cancelled.
        began: is set when a job is in the state running.
        ended: is set when one has been run.
    """

    def __init__(self, storage: Storage) -> None:
        self.posted: list[Posted] = []
        self.refusal: str | None = None
        self.holds = False
        self.began = threading.Event()
        self.ended = threading.Event()
        self._storage = storage
        self._states: dict[str, str] = {}
        self._errors: dict[str, str] = {}
        self._lock = threading.Lock()

    def states(self) -> list[str]:
        """The states that the jobs are in, in the order of their arrival."""
        with self._lock:
            return list(self._states.values())

    def end(self, state: str) -> None:
        """Put the latest job into a state, as somebody in the console does."""
        with self._lock:
            self._states[list(self._states)[-1]] = state

    def answer(self, request: Request) -> Answer:
        """What a request for jobs is answered with."""
        found = _JOBS.fullmatch(urlsplit(request.path).path)
        if found is None:
            return Answer({"error": {"code": 404, "message": request.path}}, 404)
        body = json.loads(request.body) if request.body else {}
        if found["id"] is None:
            return self._create(Posted(found["project"], found["region"], body))
        if found["what"] == "messages":
            return Answer({"jobMessages": self._messages(found["id"])})
        if found["what"] == "metrics":
            return Answer({"metrics": []})
        if request.method == "PUT" and body.get("requestedState") in _CANCELLED:
            with self._lock:
                self._states[found["id"]] = _CANCELLED[0]
        return Answer(self._job(found["id"]))

    def _create(self, posted: Posted) -> Answer:
        with self._lock:
            self.posted.append(posted)
            number = f"2026-01-01_00_00_00-{len(self.posted)}"
            self._states[number] = "JOB_STATE_PENDING"
        answer = {**self._job(number), "clientRequestId": posted.job["clientRequestId"]}
        threading.Thread(target=self._run, args=(number, posted.job), daemon=True).start()
        return Answer(answer)

    def _job(self, number: str) -> dict[str, Any]:
        posted = self.posted[int(number.rpartition("-")[2]) - 1]
        with self._lock:
            state = self._states[number]
        return {
            "id": number,
            "projectId": posted.project,
            "location": posted.region,
            "name": posted.job["name"],
            "currentState": state,
        }

    def _messages(self, number: str) -> list[dict[str, Any]]:
        with self._lock:
            error = self._errors.get(number)
        if error is None:
            return []
        return [
            {
                "id": "1",
                "time": "2026-01-01T00:00:00Z",
                "messageImportance": "JOB_MESSAGE_ERROR",
                "messageText": error,
            }
        ]

    def _run(self, number: str, job: dict[str, Any]) -> None:
        error = self.refusal
        with self._lock:
            self._states[number] = "JOB_STATE_RUNNING"
        self.began.set()
        if self.holds:
            return
        if error is None:
            try:
                options = job["environment"]["sdkPipelineOptions"]["options"]
                run_staged(self._storage.read(options["pipelineUrl"]))
            except BaseException:
                error = traceback.format_exc()
        with self._lock:
            if error is not None:
                self._errors[number] = error
            if self._states[number] == "JOB_STATE_RUNNING":
                self._states[number] = "JOB_STATE_DONE" if error is None else "JOB_STATE_FAILED"
        self.ended.set()


def run_staged(staged: bytes) -> None:
    """Run a job from the file that was staged for it, here instead of in containers."""
    pipeline = beam_runner_api_pb2.Pipeline.FromString(staged)
    for environment in pipeline.components.environments.values():
        environment.urn = python_urns.EMBEDDED_PYTHON
        environment.payload = b""
        del environment.dependencies[:]
    result = FnApiRunner().run_via_runner_api(pipeline, PipelineOptions(flags=[]))
    result.wait_until_finish()
