"""What vLLM does to the process that hosts it, and what becomes of its own processes.

vLLM sets environment variables (`LD_PRELOAD` among them), the log record factory and the log levels
of other packages, and starts processes that write to the terminal. Here all of that is undone or
led elsewhere, and no process outlives its engine.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing.util
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

LOG_VARIABLE = "BEAM_DISTILABEL_ENGINE_LOG"
"""The environment variable that names the file for vLLM's log; unset: standard error."""

_TAIL_BYTES = 64 * 1024
_TAIL_LINES = 30
_KILL_SECONDS = 5.0

_start_lock = threading.RLock()

# Runs first in an engine's process: reading ends when this process does, however it ends, and then
# so does the engine; vLLM itself would let it keep its memory for ever.
_DIE_WITH_HOST = (
    "import os, threading; "
    "threading.Thread(target=lambda: os.read({fd}, 1) or os.kill(os.getpid(), 9), daemon=True)"
    ".start(); "
)

# "(EngineCore pid=123) ERROR 11-22 18:45:01 [core.py:1400] ", or parts of it.
_LOG_PREFIX = re.compile(
    r"^(\([^()]*pid=\d+\)\s*)?([A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\]\s?)?"
)
_EXCEPTION = re.compile(r"^[\w.]*(Error|Exception|Interrupt|Exit)(: .*|$)")
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


class ProcessOutput:
    """What the processes of one engine print: passed on, with the end of it kept for error texts.

    Attributes:
        pids: the processes that were started.
    """

    def __init__(self) -> None:
        self.pids: list[int] = []
        self._tail = bytearray()
        self._closed = False
        self._sink = _open_sink()
        self._reader, self._writer = os.pipe()
        self._host_lives, self._host_life = os.pipe()
        self._thread = threading.Thread(target=self._pump, name="vllm-output", daemon=True)
        self._thread.start()

    def spawn(self, path: Any, args: Sequence[Any], fds: Sequence[int]) -> int:
        """Start a process whose output comes here; the stand-in for multiprocessing's own way."""
        command = [os.fsdecode(argument) for argument in args]
        code = command.index("-c") + 1
        command[code] = _DIE_WITH_HOST.format(fd=self._host_lives) + command[code]
        process = subprocess.Popen(
            command,
            executable=path,
            pass_fds=(*fds, self._host_lives),
            stdout=self._writer,
            stderr=self._writer,
            # Ctrl-C in a terminal goes to all of its processes; this one ends with its host, which
            # may have rows to finish first.
            start_new_session=True,
        )
        # multiprocessing waits for the process by its id; this object must not.
        process.returncode = 0
        self.pids.append(process.pid)
        return process.pid

    def lines(self) -> list[str]:
        """The last lines, without vLLM's prefixes."""
        text = _COLOR.sub("", self._tail.decode("utf-8", "replace"))
        return [_LOG_PREFIX.sub("", line.rstrip()) for line in text.splitlines() if line.strip()]

    def error(self) -> str:
        """The exception that ended the engine, and the last lines; empty without any output."""
        lines = self.lines()
        if not lines:
            return ""
        # The first exception is the cause; those after it are its consequences in other processes.
        causes = [line for line in lines if _EXCEPTION.match(line)]
        head = f"{causes[0]}\n" if causes else ""
        tail = "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])
        return f"{head}The last lines of the engine's output:\n{tail}"

    def close(self) -> None:
        """Stop passing on; call when the processes are gone."""
        if self._closed:
            return
        self._closed = True
        for end_of_pipe in (self._writer, self._host_lives, self._host_life):
            os.close(end_of_pipe)
        # A process that escaped could hold the pipe open for ever.
        self._thread.join(_KILL_SECONDS)

    def _pump(self) -> None:
        with os.fdopen(self._reader, "rb", buffering=0) as reader, self._sink as sink:
            while chunk := reader.read(65536):
                self._tail += chunk
                del self._tail[:-_TAIL_BYTES]
                with contextlib.suppress(OSError, ValueError):
                    sink.write(chunk)


def _open_sink() -> BinaryIO:
    path = os.environ.get(LOG_VARIABLE)
    if path:
        return open(path, "ab", buffering=0)
    return os.fdopen(os.dup(2), "wb", buffering=0)


@contextlib.contextmanager
def engine_start(
    output: ProcessOutput, defaults: Mapping[str, str], settings: Mapping[str, str]
) -> Iterator[None]:
    """The surroundings in which vLLM may start an engine; afterwards the host is as before.

    One engine of a process starts at a time: vLLM measures free memory, and the environment is one.

    Args:
        output: gets what the processes print that this thread starts meanwhile.
        defaults: environment variables for the engine, unless the user has set them.
        settings: environment variables for the engine in any case.
    """
    with _start_lock:
        before = dict(os.environ)
        factory = logging.getLogRecordFactory()
        levels = {name: logging.getLogger(name).level for name in ("httpx", "httpx2")}
        os.environ.update({**defaults, **before, **settings})
        with _redirected_spawn(output):
            try:
                yield
            finally:
                for name in set(os.environ) - set(before):
                    del os.environ[name]
                os.environ.update(before)
                logging.setLogRecordFactory(factory)
                for name, level in levels.items():
                    logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def _redirected_spawn(output: ProcessOutput) -> Iterator[None]:
    original: Callable[..., int] = multiprocessing.util.spawnv_passfds
    thread = threading.get_ident()

    def spawnv_passfds(path: Any, args: Sequence[Any], fds: Sequence[int]) -> int:
        # multiprocessing's resource tracker is started this way too; it serves the whole process.
        is_engine = any("spawn_main" in os.fsdecode(argument) for argument in args)
        if is_engine and threading.get_ident() == thread:
            return output.spawn(path, args, fds)
        return original(path, args, fds)

    multiprocessing.util.spawnv_passfds = spawnv_passfds  # type: ignore[assignment]
    try:
        yield
    finally:
        multiprocessing.util.spawnv_passfds = original


class _HostLog:
    """The `vllm` logger of this process while engines use it; restored by the last one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: tuple[list[logging.Handler], int, bool] = ([], 0, True)
        self._handler: logging.Handler | None = None

    def acquire(self) -> None:
        with self._lock:
            self._users += 1
            if self._users > 1:
                return
            logger = logging.getLogger("vllm")
            self._before = (list(logger.handlers), logger.level, logger.propagate)
            path = os.environ.get(LOG_VARIABLE)
            self._handler = logging.FileHandler(path) if path else logging.StreamHandler(sys.stderr)
            self._handler.setFormatter(
                logging.Formatter("vllm %(levelname)s %(asctime)s %(message)s", "%H:%M:%S")
            )
            self._install()

    def configure(self, configure: Callable[[], None]) -> None:
        """Let vLLM set up its logger, then put ours in the place of its handlers."""
        with self._lock:
            configure()
            self._install()

    def _install(self) -> None:
        logger = logging.getLogger("vllm")
        logger.handlers[:] = [self._handler] if self._handler else []
        logger.propagate = False
        if logger.level == logging.NOTSET:
            logger.setLevel(os.environ.get("VLLM_LOGGING_LEVEL", "INFO"))

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users:
                return
            logger = logging.getLogger("vllm")
            logger.handlers[:], level, logger.propagate = self._before
            logger.setLevel(level)
            if self._handler is not None:
                self._handler.close()
                self._handler = None


host_log = _HostLog()


def family(pids: Sequence[int]) -> list[Any]:
    """The processes `pids` and all their descendants that live, as psutil processes."""
    import psutil

    found: list[Any] = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            found += [process, *process.children(recursive=True)]
    return found


def end(processes: Sequence[Any]) -> None:
    """Make sure that none of `processes` (of `family`) lives on."""
    import psutil

    _, alive = psutil.wait_procs(list(processes), timeout=_KILL_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=_KILL_SECONDS)
