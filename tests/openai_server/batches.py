"""The Batch API: files, and batches that are done after they were looked at a few times."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.openai_server.completions import completion, prompt_of
from tests.openai_server.faults import error, fault_answer

if TYPE_CHECKING:
    from tests.openai_server.server import OpenAIServer


class Batches:
    """Files and batches.

    Attributes:
        looks: how often a batch is found in progress before it is done; None is for ever.
        expiring: prompts that the next batch doesn't come to.
        failing: why the next batch fails as a whole.
        lose_answer_to_creation: how often a batch is made and its maker isn't told.
        damaged: what becomes of a file of answers; None leaves it as it is.
        made: id to batch, in the order of making.
        files: id to content.
    """

    def __init__(self, server: OpenAIServer) -> None:
        self.looks: int | None = 1
        self.expiring: set[str] = set()
        self.failing: str | None = None
        self.lose_answer_to_creation = 0
        self.damaged: Callable[[bytes], bytes] | None = None
        self.made: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self._looked: dict[str, int] = {}
        self._server = server

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/files", self._upload),
            web.get("/v1/files/{id}/content", self._content),
            web.post("/v1/batches", self._make),
            web.get("/v1/batches", self._list),
            web.get("/v1/batches/{id}", self._look),
        ]

    def requests(self) -> list[dict[str, Any]]:
        """The requests of all batches."""
        return [
            json.loads(line)
            for batch in self.made.values()
            for line in self.files[batch["input_file_id"]].splitlines()
        ]

    async def _upload(self, request: web.Request) -> web.Response:
        fields = await request.post()
        if fields["purpose"] != "batch":
            return error(400, "wrong purpose")
        file: Any = fields["file"]
        file_id = self._store(file.file.read())
        body = {"id": file_id, "object": "file", "bytes": 1, "created_at": 1, "status": "uploaded"}
        return web.json_response(body | {"filename": file.filename, "purpose": "batch"})

    def _store(self, content: bytes) -> str:
        file_id = f"file-{len(self.files)}"
        self.files[file_id] = content
        return file_id

    async def _content(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.match_info["id"]])

    async def _make(self, request: web.Request) -> web.StreamResponse:
        given = await request.json()
        batch_id = f"batch-{len(self.made)}"
        self.made[batch_id] = {
            **given,
            "id": batch_id,
            "object": "batch",
            "created_at": len(self.made),
            "status": "validating",
        }
        if self.lose_answer_to_creation:
            self.lose_answer_to_creation -= 1
            return error(500, "lost")
        return web.json_response(self.made[batch_id])

    async def _list(self, request: web.Request) -> web.Response:
        newest = list(self.made.values())[::-1][: int(request.query.get("limit", 20))]
        return web.json_response({"object": "list", "data": newest, "has_more": False})

    async def _look(self, request: web.Request) -> web.Response:
        batch = self.made.get(request.match_info["id"])
        if batch is None:
            return error(404, "no such batch")
        looked = self._looked[batch["id"]] = self._looked.get(batch["id"], 0) + 1
        if batch["status"] == "validating":
            batch["status"] = "in_progress"
        elif batch["status"] == "in_progress" and self.looks is not None and looked > self.looks:
            self._finish(batch)
        return web.json_response(batch)

    def _finish(self, batch: dict[str, Any]) -> None:
        if self.failing:
            problem = {"code": "invalid", "message": self.failing, "line": 1}
            batch |= {"status": "failed", "errors": {"object": "list", "data": [problem]}}
            self.failing = None
            return
        answers, errors = [], []
        for line in self.files[batch["input_file_id"]].splitlines():
            request = json.loads(line)
            prompt = prompt_of(request["body"])
            found = {"id": f"request-{prompt}", "custom_id": request["custom_id"]}
            fault = self._server.fault_of(prompt)
            refusal = fault_answer(fault, prompt) if fault is not None else None
            if request["url"] != batch["endpoint"]:
                raise AssertionError("a batch has one endpoint")
            if prompt in self.expiring:
                expired = {"code": "batch_expired", "message": "This request could not be executed"}
                errors.append({**found, "response": None, "error": expired})
            elif refusal is not None:
                body = json.loads(refusal.text or "")
                response = {"status_code": refusal.status, "body": body}
                errors.append({**found, "response": response, "error": None})
            else:
                self._server.charged[prompt] += 1
                body = completion(request["body"], self._server.answer, self._server.max_choices)
                response = {"status_code": 200, "body": body}
                answers.append({**found, "response": response, "error": None})
        batch["status"] = "expired" if self.expiring else "completed"
        self.expiring = set()
        # In no order, and no file where there is nothing to be in it.
        for name, lines in (("output_file_id", answers[::-1]), ("error_file_id", errors)):
            if lines:
                content = b"".join(json.dumps(x).encode() + b"\n" for x in lines)
                batch[name] = self._store(self.damaged(content) if self.damaged else content)
