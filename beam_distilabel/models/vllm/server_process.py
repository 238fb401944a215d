"""Engine servers of this host: found, or started once, and never left behind.

Everything about a server lies in a folder that only this user can enter: a lock that whoever
starts it holds, the socket, a record of the process, and its log.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.host_folder import host_folder
from beam_distilabel.models.vllm.process import LOG_VARIABLE
from beam_distilabel.models.vllm.server_protocol import receive_message
from beam_distilabel.models.vllm.settings import READY_VARIABLE, ready_seconds
from beam_distilabel.row import fingerprint
from beam_distilabel.version import __version__

END_SECONDS = 30.0
"""How long a server may take to end by itself."""

MARK_VARIABLE = "BEAM_DISTILABEL_SERVER"
"""The environment variable by which the processes of a server are known."""

_POLL_SECONDS = 0.05
_KILL_SECONDS = 10.0
_TAIL_BYTES = 16 * 1024
_TAIL_LINES = 30
_KEEP_LOG_SECONDS = 24 * 3600.0
_OURS = re.compile(r"([0-9a-f]{20})\.(?:json|lock|log|sock)")
_LONGEST_PATH = 100  # of a Unix socket: 108 bytes on Linux, 104 on macOS
_OF_THE_ENGINE = ("CUDA_", "HIP_", "HSA_", "ROCR_", "VLLM_", "NCCL_", "OMP_", "HF_HOME", "HF_HUB_")

# As code, not by `-m`: the engine's process would import the module again that was run by `-m`.
RUN_HOST = "from beam_distilabel.models.vllm.server_host import main; main()"


@dataclasses.dataclass(frozen=True)
class ServerSpec:
    """Which server.

    Attributes:
        name: for messages: the model.
        fields: what its engine is made of, JSON-like. Whoever has equal ones, in an equal
            environment, shares the server.
        code: what its process runs.
    """

    name: str
    fields: Mapping[str, Any]
    code: str = RUN_HOST

    def key(self) -> str:
        """The name of its files."""
        environment = {k: v for k, v in os.environ.items() if k.startswith(_OF_THE_ENGINE)}
        version = (__version__, sys.executable, self.code)
        return fingerprint(self.name, dict(self.fields), environment, version)[:20]


@dataclasses.dataclass(frozen=True)
class _Files:
    folder: str
    key: str

    @property
    def socket(self) -> str:
        return f"{self.folder}/{self.key}.sock"

    @property
    def lock(self) -> str:
        return f"{self.folder}/{self.key}.lock"

    @property
    def record(self) -> str:
        return f"{self.folder}/{self.key}.json"

    @property
    def log(self) -> str:
        return os.environ.get(LOG_VARIABLE) or f"{self.folder}/{self.key}.log"


def attach(spec: ServerSpec) -> tuple[socket.socket, dict[str, Any]]:
    """A connection to the server, which is started if nobody has; blocks until it is ready.

    Returns:
        The socket, and what the server says about itself: "pid", "description", "max_in_flight".

    Raises:
        EngineError: it can't start, or is not ready in time; has the engine's own message.
        DistilabelUserError: the engine's arguments are wrong.
    """
    deadline = time.monotonic() + ready_seconds()
    files = _Files(str(host_folder()), spec.key())
    if len(files.socket.encode()) > _LONGEST_PATH:
        raise EngineError(
            f"The folder for temporary files has too long a path for a socket: {files.socket}. "
            "Set TMPDIR to a shorter one."
        )
    _reap_orphans(files)
    with _locked(files.lock, deadline, spec.name):
        found = _connect(files.socket, deadline, spec.name)
        if found is not None:
            return found
        _end_recorded(files)
        return _start(spec, files, deadline)


# -- starting ------------------------------------------------------------------------------------


def _start(
    spec: ServerSpec, files: _Files, deadline: float
) -> tuple[socket.socket, dict[str, Any]]:
    report, report_end = os.pipe()
    flags = (
        os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if LOG_VARIABLE in os.environ else os.O_TRUNC)
    )
    log = os.open(files.log, flags, 0o600)
    try:
        log_begin = os.fstat(log).st_size
        mark = secrets.token_hex(8)
        process = subprocess.Popen(
            [sys.executable, "-c", spec.code],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(report_end,),
            # A session is a process group too, and every process of the engine stays in it.
            start_new_session=True,
            env=_environment(mark),
        )
    except OSError as error:
        os.close(report)
        raise EngineError(f"vLLM's server can't be started: {error}") from error
    finally:
        os.close(log)
        os.close(report_end)
    try:
        _write_record(files, process.pid, mark)
        config = {"fields": dict(spec.fields), "socket": files.socket, "report": report_end}
        assert process.stdin is not None
        # Secrets may be in it (`hf_token`), so it is neither on the command line nor on disk.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(config).encode() + b"\n")
            process.stdin.flush()
        line = _report(report, deadline)
        if line:
            answer = json.loads(line)
            if answer.get("wrong"):
                raise DistilabelUserError(answer["error"])
            if "error" in answer:
                raise EngineError(answer["error"])
            found = _connect(files.socket, deadline, spec.name)
            if found is not None:
                return found
        late = time.monotonic() >= deadline
        how = (
            f"was not ready after {ready_seconds():g} s ({READY_VARIABLE})"
            if late
            else f"ended before it was ready ({_how_it_ended(process)})"
        )
        raise EngineError(f"vLLM's server for {spec.name!r} {how}.{log_end(files.log, log_begin)}")
    except BaseException:
        _end_members(process.pid, mark)
        _forget(files)
        raise
    finally:
        os.close(report)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()  # type: ignore[union-attr]
        # It may live longer than whoever started it; if not, it must not stay as a zombie.
        threading.Thread(target=process.wait, name="vllm-server-wait", daemon=True).start()


def _environment(mark: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != LOG_VARIABLE}
    environment[MARK_VARIABLE] = mark
    # vLLM names its processes with `setproctitle`, which would write the name over the mark.
    environment["SPT_NOENV"] = "1"
    # Packages that a runner has staged are on this process' path only.
    environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return environment


def _report(report: int, deadline: float) -> bytes:
    """What the server says when it is ready or can't be; empty if it says nothing in time."""
    line = bytearray()
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([report], [], [], left)[0]:
            return b""
        chunk = os.read(report, 65536)
        if not chunk:
            return b""
        line += chunk
    return bytes(line)


def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(_KILL_SECONDS)
    except subprocess.TimeoutExpired:
        return "it lives, but says nothing"
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def log_end(path: str, begin: int = 0) -> str:
    """The last lines of a server's log, for an error's text; empty if it has none."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(begin, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()][-_TAIL_LINES:]
    return (
        "\nThe last lines of its log:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""
    )


def _connect(path: str, deadline: float, name: str) -> tuple[socket.socket, dict[str, Any]] | None:
    """A connection to a server that greets; None if there is none.

    Raises:
        EngineError: there is one, and it doesn't greet in time.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(max(1.0, deadline - time.monotonic()))
        connection.connect(path)
        hello = receive_message(connection)
        if hello is not None:
            connection.settimeout(None)
            return connection, hello[1]
    except TimeoutError:
        connection.close()
        raise EngineError(
            f"vLLM's server for {name!r} on this host doesn't answer in {ready_seconds():g} s "
            f"({READY_VARIABLE})."
        ) from None
    except OSError:
        pass  # nobody listens there, or not any more
    connection.close()
    return None


# -- the folder ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _locked(path: str, deadline: float, name: str) -> Iterator[None]:
    """Hold the lock; the kernel gives it back however this process ends."""
    while (file := _try_lock(path)) is None:
        if time.monotonic() >= deadline:
            raise EngineError(
                f"Another process has been starting vLLM's server for {name!r} for "
                f"{ready_seconds():g} s ({READY_VARIABLE}), and it isn't ready."
            )
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        os.close(file)


def _try_lock(path: str) -> int | None:
    """The open lock, which is this process' now; None where it is another's."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it may have removed the file: what is locked then is no lock of anybody.
        if os.path.samestat(os.fstat(file), os.stat(path)):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(file)
    return None


def _write_record(files: _Files, pid: int, mark: str) -> None:
    record = {"pid": pid, "mark": mark}
    temporary = f"{files.record}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(record, file)
    os.replace(temporary, files.record)


def _forget(files: _Files) -> None:
    for path in (files.record, files.socket):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


# -- ending --------------------------------------------------------------------------------------


def _reap_orphans(ours: _Files) -> None:
    """End what other servers, which were killed, left behind; remove the files of those gone."""
    # The folder holds other things as well, such as who has which GPU.
    found = map(_OURS.fullmatch, os.listdir(ours.folder))
    for key in sorted({name[1] for name in found if name} - {ours.key}):
        files = _Files(ours.folder, key)
        file = _try_lock(files.lock)
        if file is None:
            continue  # somebody is starting it
        try:
            session, mark = _recorded(files)
            if not any(process.pid == session for process in members(session, mark)):
                _end_members(session, mark)
                _forget(files)
                _remove_log(files)
                os.unlink(files.lock)
        finally:
            os.close(file)


def _remove_log(files: _Files) -> None:
    """Remove the log of a server that is gone, unless someone may still want to read it."""
    path = f"{files.folder}/{files.key}.log"
    with contextlib.suppress(FileNotFoundError):
        if time.time() - os.stat(path).st_mtime > _KEEP_LOG_SECONDS:
            os.unlink(path)


def _recorded(files: _Files) -> tuple[int, str]:
    """The session and the mark of the server that was started last; 0 and nothing if none was."""
    try:
        with open(files.record, encoding="utf-8") as file:
            record = json.load(file)
        return int(record["pid"]), str(record["mark"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""


def _end_recorded(files: _Files) -> None:
    """Wait for a server that is about to end, and end what is left of one."""
    import psutil

    session, mark = _recorded(files)
    main = [process for process in members(session, mark) if process.pid == session]
    psutil.wait_procs(main, timeout=END_SECONDS)
    _end_members(session, mark)
    _forget(files)


def _end_members(session: int, mark: str) -> None:
    """Kill every process of a server, and see them gone."""
    import psutil

    deadline = time.monotonic() + _KILL_SECONDS
    while (alive := members(session, mark)) and time.monotonic() < deadline:
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=_POLL_SECONDS)


def members(session: int, mark: str) -> list[Any]:
    """The processes of a server that live, as psutil processes.

    By session and mark: a record may be old, and the number be another process' by now.
    """
    import psutil

    found = []
    for process in psutil.process_iter() if session else ():
        with contextlib.suppress(psutil.Error, OSError):
            if (
                os.getsid(process.pid) == session
                and process.status() != psutil.STATUS_ZOMBIE
                and process.environ().get(MARK_VARIABLE) == mark
            ):
                found.append(process)
    return found
