"""One vLLM engine for all processes of a host: this process' side of it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

from beam_distilabel.errors import (
    DistilabelUserError,
    EngineError,
    GenerationError,
    PromptTooLongError,
)
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.models.statistics import MirroredStatistics
from beam_distilabel.models.vllm.arguments import check_model_path
from beam_distilabel.models.vllm.embedded import MAX_RESTARTS
from beam_distilabel.models.vllm.process import family
from beam_distilabel.models.vllm.server_process import END_SECONDS, ServerSpec, attach
from beam_distilabel.models.vllm.server_protocol import packed, read_message
from beam_distilabel.typing import GenerateOutput

if TYPE_CHECKING:
    from beam_distilabel.models.vllm import vLLM

logger = logging.getLogger(__name__)

_NOT_THE_ENGINES = (
    "api_key",
    "base_url",
    "engine",
    "generation_kwargs",
    "jobs_ids",
    "offline_batch_generation_block_until_done",
    "structured_output",
    "use_offline_batch_generation",
)
"""Fields of `vLLM` that go with each request, or don't concern a server of ours."""


def server_spec(llm: vLLM) -> ServerSpec:
    """Which server `llm` needs.

    Raises:
        DistilabelUserError: a field has a value that can't be sent to another process.
    """
    # The server is a plain `vLLM`, whatever a subclass adds for itself.
    from beam_distilabel.models.vllm import vLLM as served

    fields = {
        name: getattr(llm, name) for name in served.model_fields if name not in _NOT_THE_ENGINES
    }
    for name, value in fields.items():
        try:
            fields[name] = json.loads(json.dumps(value))
        except (TypeError, ValueError) as error:
            raise DistilabelUserError(
                f"vLLM(engine='server') can't send {name}={value!r} to its server ({error}): use "
                "JSON-like values, or engine='embedded'."
            ) from None
    return ServerSpec(llm.model, fields)


class VLLMServerEngine(Engine):
    """Asks the engine server of this host, which the first process that needs it starts.

    A server that dies is started anew, and what it had not answered is asked again.

    Args:
        llm: the `vLLM` whose fields say which engine.
    """

    def __init__(self, llm: vLLM, spec: ServerSpec | None = None) -> None:
        super().__init__()
        self.description = "vllm"
        self._model = llm.model
        self._spec = spec or server_spec(llm)
        self.statistics = self._mirror = MirroredStatistics()
        self._link: _Link | None = None
        self._incarnation = 0
        self._restarting = asyncio.Lock()
        self._fatal: EngineError | None = None
        self._stopped = False

    @property
    def dead(self) -> bool:
        return self._fatal is not None

    # -- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        check_model_path(self._model)
        atexit.register(self.close)
        await self._attach()

    async def stop(self) -> None:
        self._stopped = True
        atexit.unregister(self.close)
        link, self._link = self._link, None
        if link is not None:
            await link.leave()

    def process_ids(self) -> list[int]:
        """The processes of the server."""
        return [process.pid for process in family([self._link.pid])] if self._link else []

    async def _attach(self) -> None:
        try:
            connection, about = await asyncio.to_thread(attach, self._spec)
        except ImportError as error:
            raise EngineError(
                f"vLLM can't be imported ({error}). Install it with "
                "`pip install 'beam-distilabel[vllm]'` (GPU) or `'beam-distilabel[cpu]'`."
            ) from error
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        self._link = _Link(reader, writer, about["pid"], self._mirror)
        self._incarnation += 1
        self.max_in_flight = about["max_in_flight"]
        self.description = f"{about['description']}, server"
        logger.info("Connected with the server %d: %s", about["pid"], self.description)

    async def _restart(self, incarnation: int) -> None:
        async with self._restarting:
            if self._fatal is not None:
                raise self._fatal
            if self._stopped or incarnation != self._incarnation:
                return  # somebody else has done it
            if self._incarnation > MAX_RESTARTS:
                self._fatal = EngineError(
                    f"vLLM's server for {self._model!r} died {self._incarnation} times."
                )
                raise self._fatal
            logger.warning("vLLM's server for %r died; it is started anew", self._model)
            try:
                await self._attach()
            except (EngineError, DistilabelUserError) as error:
                self._fatal = EngineError(f"vLLM's server died and can't be started anew: {error}")
                raise self._fatal from error

    # -- requests --------------------------------------------------------------------------------

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        while True:
            if self._fatal is not None:
                raise self._fatal
            if self._stopped:
                raise EngineError("The vLLM engine is closed.")
            link, incarnation = self._link, self._incarnation
            if link is not None and not link.closed:
                try:
                    answer = await link.ask(request)
                except ConnectionError:
                    pass
                else:
                    return self._output(answer)
            await self._restart(incarnation)

    def _output(self, answer: list[Any]) -> GenerateOutput:
        kind, _, *rest = answer
        if kind == "answer":
            return rest[0]
        if kind == "failed":
            failure, message = rest
            if failure == "too_long":
                raise PromptTooLongError(message)
            raise GenerationError(message, failure)
        if kind == "wrong":
            raise DistilabelUserError(rest[0])
        message, dead = rest
        error = EngineError(message)
        if dead:
            self._fatal = error
        raise error


class _Link:
    """One connection, over which any number of requests are under way."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pid: int,
        mirror: MirroredStatistics,
    ) -> None:
        self.pid = pid
        self.closed = False
        self._mirror = mirror
        self._reader = reader
        self._writer = writer
        self._asked = 0
        self._waiting: dict[int, asyncio.Future[list[Any]]] = {}
        self._receiving = asyncio.ensure_future(self._receive())

    async def ask(self, request: GenerateRequest) -> list[Any]:
        """The server's message about `request`.

        Raises:
            ConnectionError: the server is gone.
            GenerationError: the request can't be sent.
        """
        prompt, structure = request.input, None
        if isinstance(prompt, tuple):
            prompt, structure = prompt
        self._asked += 1
        number = self._asked
        kwargs = request.generation_kwargs
        ask = ["ask", number, prompt, structure, request.num_generations, kwargs, request.seed]
        try:
            message = packed(ask)
        except UnicodeEncodeError as error:
            raise GenerationError(f"the prompt could not be made: {error}", "render") from error
        except (TypeError, ValueError, OverflowError) as error:
            raise GenerationError(f"the request can't be sent: {error}", "refused") from error
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(message)
            await self._writer.drain()
            return await future
        except ConnectionError:
            future.cancel()
            raise
        except asyncio.CancelledError:
            if not self.closed:
                self._writer.write(packed(["cancel", number]))
            raise
        finally:
            self._waiting.pop(number, None)

    async def leave(self) -> None:
        """Say goodbye; if this was the last user, wait until the server has ended."""
        with contextlib.suppress(ConnectionError):
            self._writer.write(packed(["bye"]))
            await self._writer.drain()
        done, _ = await asyncio.wait([self._receiving], timeout=END_SECONDS)
        if not done:
            logger.warning("vLLM's server %d takes long to end", self.pid)
            self._receiving.cancel()
            await asyncio.wait([self._receiving])
        self._writer.close()

    async def _receive(self) -> None:
        try:
            while (message := await read_message(self._reader)) is not None:
                if message[0] == "load":
                    self._mirror.tell(*message[1:])
                    continue
                future = self._waiting.get(message[1])
                if future is not None and not future.done():
                    future.set_result(message)
        finally:
            self.closed = True
            self._writer.close()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionResetError("the server is gone"))
                    future.exception()  # whoever asked may have seen it by itself
