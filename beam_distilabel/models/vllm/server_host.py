"""The process of an engine server: one embedded engine for all processes of the host that ask it.

It is started by `server_process` and ends when nobody is connected any more. The kernel closes the
connections of a process however it ends, so a killed user counts as one that has left. The engine's
own processes end with this one, see `process`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

from beam_distilabel.errors import DistilabelError, EngineError, GenerationError
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.statistics import EngineStatistics
from beam_distilabel.models.vllm.server_protocol import packed, read_message

TELL_SECONDS = 0.5
"""How often users are told the engine's load."""


class HostedEngine(Protocol):
    """What a host asks of its engine."""

    description: str
    max_in_flight: int
    statistics: EngineStatistics | None

    @property
    def dead(self) -> bool:
        """Whether no request can be answered any more."""

    async def generate(self, request: GenerateRequest) -> Any:
        """Answer one request."""


class EngineHost:
    """Answers the requests of any number of users until the last one has left.

    Args:
        engine: is open; `run` has to run on its loop.
        path: of the socket.
    """

    def __init__(self, engine: HostedEngine, path: str) -> None:
        self._engine = engine
        self._path = path
        self._users: set[asyncio.StreamWriter] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._launched = False
        self._closed = False
        self._server: asyncio.AbstractServer | None = None
        self._over = asyncio.Event()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until nobody is left; calls `ready` when users can connect."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)  # of a server that was killed
        listener.bind(self._path)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, backlog=1024)
        ready()
        telling = asyncio.ensure_future(self._tell())
        try:
            await self._over.wait()
        finally:
            telling.cancel()

    async def _tell(self) -> None:
        """Let the users know the engine's load."""
        statistics = self._engine.statistics
        while statistics is not None:
            message = packed(["load", statistics.name, statistics.summary()])
            for writer in self._users:
                writer.write(message)
            await asyncio.sleep(TELL_SECONDS)

    def launched(self) -> None:
        """Whoever started this process is connected, or dead: users alone keep it from now on."""
        self._launched = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._launched and not self._users:
            self._close()

    def _close(self) -> None:
        """Let nobody in any more, and end; without a pause, so that none comes in between."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            if self._server is not None:
                self._server.close()
        if not self._engine.dead or not self._answering:
            self._over.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            writer.close()
            return
        self._users.add(writer)
        asked: dict[int, asyncio.Task[None]] = {}
        try:
            about = {
                "pid": os.getpid(),
                "description": self._engine.description,
                "max_in_flight": self._engine.max_in_flight,
            }
            writer.write(packed(["hello", about]))
            while (message := await read_message(reader)) is not None and message[0] != "bye":
                if message[0] == "cancel":
                    if message[1] in asked:
                        asked[message[1]].cancel()
                else:
                    self._begin(message[1:], asked, writer)
        finally:
            for task in asked.values():
                task.cancel()
            self._users.discard(writer)
            self._close_if_unused()
            if not self._closed:
                # The last one's connection ends with this process: it waits for that.
                writer.close()

    def _begin(
        self, ask: list[Any], asked: dict[int, asyncio.Task[None]], writer: asyncio.StreamWriter
    ) -> None:
        number, prompt, structure, count, kwargs, seed = ask
        request = GenerateRequest(
            prompt if structure is None else (prompt, structure), count, kwargs, seed
        )
        task = asyncio.ensure_future(self._answer(number, request, writer))
        asked[number] = task
        self._answering.add(task)

        def done(finished: asyncio.Task[None]) -> None:
            asked.pop(number, None)
            self._answering.discard(finished)
            if self._engine.dead and not self._answering:
                self._close()

        task.add_done_callback(done)

    async def _answer(
        self, number: int, request: GenerateRequest, writer: asyncio.StreamWriter
    ) -> None:
        try:
            message = ["answer", number, await self._engine.generate(request)]
        except GenerationError as error:
            message = ["failed", number, error.kind, str(error)]
        except EngineError as error:
            message = ["error", number, str(error), self._engine.dead]
        except DistilabelError as error:
            message = ["wrong", number, str(error)]
        except Exception as error:
            message = ["failed", number, "engine", f"{type(error).__name__}: {error}"]
        with contextlib.suppress(ConnectionError):
            writer.write(packed(message))
            await writer.drain()


class _Launcher:
    """Whoever started this process; it holds the other end of standard input until it is connected.

    If it is gone before the engine is ready, nobody waits for the engine.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._then: Callable[[], object] | None = None
        threading.Thread(target=self._watch, name="launcher", daemon=True).start()

    def when_gone(self, then: Callable[[], object]) -> None:
        """Call `then` instead of ending the process."""
        with self._lock:
            self._then = then

    def _watch(self) -> None:
        while os.read(0, 4096):
            pass
        with self._lock:
            if self._then is None:
                os._exit(1)
            self._then()


def host(make_engine: Callable[[], Any], path: str, report_fd: int) -> None:
    """Run an engine for the users that connect to `path`; returns when they have left.

    Args:
        make_engine: makes an `Engine` that is a `HostedEngine`.
        path: of the socket.
        report_fd: gets one line of JSON: `{}` when the engine is ready, or why it can't start.
    """

    def report(what: dict[str, Any]) -> None:
        with contextlib.suppress(OSError), os.fdopen(report_fd, "w", encoding="utf-8") as file:
            file.write(json.dumps(what) + "\n")

    launcher = _Launcher()
    try:
        engine = make_engine()
        engine.open()
    except Exception as error:
        ours = isinstance(error, DistilabelError)
        text = str(error) if ours else f"{type(error).__name__}: {error}"
        report({"error": text, "wrong": ours and not isinstance(error, EngineError)})
        return

    async def serve() -> None:
        service = EngineHost(engine, path)
        loop = asyncio.get_running_loop()
        launcher.when_gone(lambda: loop.call_soon_threadsafe(service.launched))
        await service.run(lambda: report({}))
        launcher.when_gone(lambda: None)

    try:
        engine.call(serve())
    finally:
        engine.close()


def _vllm_engine(fields: dict[str, Any]) -> Any:
    from beam_distilabel.models.vllm import vLLM
    from beam_distilabel.models.vllm.embedded import VLLMEngine

    return VLLMEngine(vLLM(**fields))


def main(make_engine: Callable[[dict[str, Any]], Any] = _vllm_engine) -> None:
    """Run the engine of what comes on standard input: one line of JSON, see `server_process`."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)  # not one more: the rest is the launcher's silence
        if not byte:
            return
        line += byte
    config = json.loads(line)
    host(lambda: make_engine(config["fields"]), config["socket"], config["report"])
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of vLLM's that still run must not keep the process: users wait for its end.
    os._exit(0)
