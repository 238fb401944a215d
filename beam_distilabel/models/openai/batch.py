"""OpenAI's Batch API: many requests in a file, answered within a day, for less.

Supported: chats and raw prompts, every generation argument, structured output (checked when it
arrives), several batches where one can't hold all (50,000 requests or 100 MB), waiting for the
answers or coming back for them, in a pipeline and outside of one. Requests are known by their
content: of `jobs_ids` the answers are taken wherever their rows are now, and only what isn't in
them is sent. The same requests aren't sent twice: a batch of the same content among the account's
100 newest is joined, so a run that is started again, or tried again by its runner, goes on. What a
batch left when it expired is sent again.

Not supported: endpoints without `/files` and `/batches` (most others than OpenAI's); asking again
for answers that an endpoint left out of `n`; an `agenerate` of one's own, which isn't called; new
answers to the same requests while their batch is among the newest (change the prompt or an
argument).
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

from beam_distilabel.errors import (
    DistilabelOfflineBatchGenerationNotFinishedException,
    EngineError,
    GenerationError,
)
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.openai.answers import checked_answer, output_of
from beam_distilabel.models.remote.model import RemoteEngine
from beam_distilabel.row import fingerprint
from beam_distilabel.typing import GenerateOutput

MAX_REQUESTS = 50_000
MAX_BYTES = 100 * 1024 * 1024
QUIET_SECONDS = 1.0
"""How long no request may come before those that came are sent."""

_UNFINISHED = ("validating", "in_progress", "finalizing", "cancelling")
_OF_USE = ("validating", "in_progress", "finalizing", "completed")
_NAME = "beam_distilabel"
_EXPIRED = "batch_expired"
_FEWER = "the endpoint made fewer answers than it was asked for"
_LISTED = 100
_SHOWN = 100

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False)
class _Waiting:
    """A request that waits for its answer."""

    custom_id: str
    path: str
    line: bytes
    answer: asyncio.Future[dict[str, Any]]


class OpenAIBatchEngine(RemoteEngine):
    """Collects requests, sends them as batches, and answers them when the batches are done.

    Args:
        llm: an `OpenAILLM` with `use_offline_batch_generation=True`.
    """

    def __init__(self, llm: Any) -> None:
        super().__init__(llm)
        self.description = f"{type(llm).__name__} (batches)"
        self.max_in_flight = MAX_REQUESTS
        self._every = llm.offline_batch_generation_block_until_done
        self._jobs: tuple[str, ...] = llm.jobs_ids or ()
        self._seen: Counter[str] = Counter()
        self._lines: dict[str, dict[str, Any]] = {}
        self._waiting: list[_Waiting] = []
        self._sending: asyncio.Task[None] | None = None
        self._earlier: asyncio.Task[None] | None = None

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        count = request.num_generations
        path, body, schema = self._llm.batch_request(
            request.input, count, request.generation_kwargs
        )
        content = fingerprint(path, body)
        # Equal requests are told apart by number: which of them is which makes no difference.
        custom_id = f"{content}-{self._seen[content]}"
        self._seen[content] += 1
        if self._earlier is None:
            self._earlier = asyncio.ensure_future(self._read_earlier())
        await asyncio.shield(self._earlier)
        line = self._lines.pop(custom_id, None) or await self._sent(custom_id, path, body)
        output = output_of([_answer_of(line)], count, schema)
        missing = count - len(output["generations"])
        if missing:
            failure = {
                "kind": "engine",
                "message": "the endpoint made fewer answers",
                "attempts": 1,
            }
            known = output.get("failures") or [None] * len(output["generations"])
            output["generations"] = [*output["generations"], *[None] * missing]
            output["failures"] = [*known, *[failure] * missing]
        return output

    def _sent(
        self, custom_id: str, path: str, body: dict[str, Any]
    ) -> asyncio.Future[dict[str, Any]]:
        """The line that will answer a request, which goes with the next batch."""
        row = {"custom_id": custom_id, "method": "POST", "url": f"/v1{path}", "body": body}
        waiting = _Waiting(
            custom_id, path, json.dumps(row).encode() + b"\n", self.loop.create_future()
        )
        self._waiting.append(waiting)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.ensure_future(self._send_when_quiet())
        return waiting.answer

    async def _read_earlier(self) -> None:
        """Read what `jobs_ids` were answered."""
        for job in self._jobs:
            lines, unread = await self._lines_of(await self._done(job))
            for custom_id, line in lines.items():
                if not _expired(line):
                    self._lines[custom_id] = line
            if unread:
                # Their requests are sent, and paid for, again: nobody knows which ones they are.
                _logger.warning("%s, such as: %s", _unread(job, len(unread)), unread[0])

    async def _send_when_quiet(self) -> None:
        while self._waiting:
            count = 0
            while count < len(self._waiting) < MAX_REQUESTS:
                count = len(self._waiting)
                await asyncio.sleep(QUIET_SECONDS)
            waiting, self._waiting = self._waiting, []
            try:
                jobs = [(await self._submit(batch), batch) for batch in _batches(waiting)]
                await asyncio.gather(*(self._answer(job, batch) for job, batch in jobs))
            except Exception as error:
                for one in waiting:
                    if not one.answer.done():
                        one.answer.set_exception(error)

    async def _submit(self, batch: list[_Waiting]) -> str:
        """Send a batch, or join the one that was made of the same requests; its id."""
        name = fingerprint(sorted(one.custom_id for one in batch))
        content = b"".join(one.line for one in batch)

        async def find(client: Any) -> str | None:
            for job in (await client.batches.list(limit=_LISTED)).data:
                if (job.metadata or {}).get(_NAME) == name and job.status in _OF_USE:
                    return str(job.id)
            return None

        async def upload(client: Any) -> str:
            file = (f"beam-distilabel-{name}.jsonl", content)
            return str((await client.files.create(file=file, purpose="batch")).id)

        async def make(client: Any) -> str:
            # Each attempt looks first: the answer to the one before may have got lost.
            job_id = await find(client)
            if job_id is not None:
                return job_id
            job = await client.batches.create(
                completion_window="24h",
                endpoint=f"/v1{batch[0].path}",
                input_file_id=file_id,
                metadata={"description": "beam-distilabel", _NAME: name},
            )
            return str(job.id)

        job_id = await self._llm.call_service(find)
        if job_id is None:
            file_id = await self._llm.call_service(upload)
            job_id = await self._llm.call_service(make)
        self._jobs = (*self._jobs, job_id)
        _logger.info(
            "%d requests are in the batch %s; to come back for them: jobs_ids=%r",
            len(batch),
            job_id,
            self._jobs,
        )
        return job_id

    async def _answer(self, job_id: str, batch: list[_Waiting]) -> None:
        """Answer the requests of a batch when it is done; send again what it left."""
        lines, unread = await self._lines_of(await self._done(job_id))
        note = f" ({_unread(job_id, len(unread))}, such as: {unread[0]})" if unread else ""
        for one in batch:
            line = lines.get(one.custom_id)
            if line is None:
                one.answer.set_exception(
                    GenerationError(f"the batch {job_id} has no answer for the request{note}")
                )
            elif _expired(line):
                self._waiting.append(one)
            else:
                one.answer.set_result(line)

    async def _done(self, job_id: str) -> Any:
        """The batch when it is done.

        Raises:
            DistilabelOfflineBatchGenerationNotFinishedException: it isn't, and isn't waited for.
            EngineError: it failed or was cancelled.
        """
        while True:
            job = await self._llm.call_service(lambda client: client.batches.retrieve(job_id))
            if job.status in ("failed", "cancelled"):
                problems = [problem.message for problem in (job.errors and job.errors.data) or ()]
                raise EngineError(
                    f"The batch {job_id} {'failed' if job.status == 'failed' else 'was cancelled'}"
                    f": {'; '.join(map(str, problems[:5])) or 'no reason was given'}"
                )
            if job.status not in _UNFINISHED:
                return job
            if self._every is None:
                raise DistilabelOfflineBatchGenerationNotFinishedException(self._jobs)
            await asyncio.sleep(self._every)

    async def _lines_of(self, job: Any) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """The lines of a batch's files, answers and errors, by their request's id; and the
        beginnings of those that can't be read."""
        lines: dict[str, dict[str, Any]] = {}
        unread: list[str] = []
        for file_id in (job.output_file_id, job.error_file_id):
            if file_id:

                async def read(client: Any, file_id: str = file_id) -> bytes:
                    return bytes((await client.files.content(file_id)).content)

                content = await self._llm.call_service(read)
                for text in content.split(b"\n"):
                    line = _read(text)
                    if line is not None:
                        lines[line["custom_id"]] = line
                    elif text.strip():
                        unread.append(repr(text[:_SHOWN].decode("utf-8", "replace")))
        return lines, unread


def _batches(waiting: list[_Waiting]) -> Iterator[list[_Waiting]]:
    """`waiting` in parts that one batch each can hold; a batch has one path."""
    for path in dict.fromkeys(one.path for one in waiting):
        batch: list[_Waiting] = []
        size = 0
        for one in waiting:
            if one.path != path:
                continue
            if batch and (size + len(one.line) > MAX_BYTES or len(batch) == MAX_REQUESTS):
                yield batch
                batch, size = [], 0
            batch.append(one)
            size += len(one.line)
        yield batch


def _read(text: bytes) -> dict[str, Any] | None:
    """A line of a batch's file, None if it can't be told whose answer it is."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and isinstance(line.get("custom_id"), str) else None


def _unread(job: Any, count: int) -> str:
    lines = "line" if count == 1 else "lines"
    return f"{count} {lines} of the batch {getattr(job, 'id', job)} can't be read"


def _expired(line: dict[str, Any]) -> bool:
    return _error_in(line).get("code") == _EXPIRED


def _error_in(values: dict[str, Any]) -> dict[str, Any]:
    """What stands under "error"; of a text, what it says."""
    error = values.get("error") or {}
    return error if isinstance(error, dict) else {"message": str(error)}


def _answer_of(line: dict[str, Any]) -> dict[str, Any]:
    """The answer in a line of a batch's file.

    Raises:
        GenerationError: the line has an error.
    """
    given = line.get("response")
    response = given if isinstance(given, dict) else {}
    given = response.get("body")
    body = given if isinstance(given, dict) else {}
    if response.get("status_code") == 200:
        try:
            return checked_answer(given)
        except ValueError as problem:
            raise GenerationError(f"the answer in the batch can't be read: {problem}") from None
    error = _error_in(line) or _error_in(body)
    if not error:
        raise GenerationError(f"the line in the batch has no answer: {str(line)[:_SHOWN]}")
    code = str(error.get("code"))
    kind = "too_long" if code == "context_length_exceeded" else "refused"
    raise GenerationError(
        f"the request failed in the batch ({response.get('status_code') or code}): "
        f"{error.get('message')}",
        kind,
    )
