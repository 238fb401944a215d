"""Calls functions of a user's file in a process of their own, within a time limit.

Which function is called, and with what, comes from a model. So only functions that the file itself
defines are called, with literals for arguments. Their process starts in an empty folder, has none
of this one's environment but where Python and the system are found, and is ended with all its
children when a call takes too long or ends it. That keeps accidents away from the worker. It is no
sandbox: what the file's functions do, they may do.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

from beam_distilabel.errors import DistilabelUserError

HOST = pathlib.Path(__file__).with_name("function_host.py")
_KEPT = frozenset("LANG LC_ALL LD_LIBRARY_PATH PATH PYTHONHOME PYTHONPATH TZ VIRTUAL_ENV".split())
_GRACE_SECONDS = 30.0
"""How long after its own limit the process may go on, and how long it may take to start."""


class LibraryNotFoundError(DistilabelUserError, FileNotFoundError):
    """There is no file or folder with functions where it was looked for."""


class CallResult(NamedTuple):
    """What came of one call.

    Attributes:
        keep: whether the function was there and returned something.
        text: what it returned, or why it didn't.
    """

    keep: bool
    text: str


class FunctionCalls:
    """A process that calls functions, begun when it is first needed and again after it was ended.

    Args:
        libpath: a Python file, or a folder of files that each define the function of their name.
        check: whether functions that start processes, delete files and the like are left out.
        timeout_seconds: how long a call may take.

    Raises:
        LibraryNotFoundError: there is no such file or folder.
    """

    def __init__(self, libpath: str, check: bool = True, timeout_seconds: float = 5.0) -> None:
        path = pathlib.Path(libpath).absolute()
        if not (path.is_file() if path.suffix == ".py" else path.is_dir()):
            raise LibraryNotFoundError(
                f"libpath={libpath!r} is neither a Python file nor a folder of Python files on "
                "this machine."
            )
        self._path = str(path)
        self._check = check
        self._timeout_seconds = timeout_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: str | None = None

    def call(self, name: Any, arguments: Any) -> CallResult:
        """Call a function by its name, with arguments by theirs."""
        process = self._started()
        asked = {"name": name, "arguments": arguments, "seconds": self._timeout_seconds}
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.flush()
            line = self._line(process)
        except BrokenPipeError:
            line = b""
        if line.endswith(b"\n"):
            answer = json.loads(line)
            return CallResult(bool(answer["keep"]), str(answer["execution_result"]))
        code = self._end()
        if code == -signal.SIGALRM:
            return CallResult(False, f"The call took longer than {self._timeout_seconds:g} s.")
        return CallResult(False, f"The call ended its process (exit code {code}).")

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._end()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            if self._folder is None:
                self._folder = tempfile.mkdtemp(prefix="function-calls-")
            self._process = subprocess.Popen(
                [sys.executable, str(HOST), self._path, "check" if self._check else "all"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self._folder,
                env={name: value for name, value in os.environ.items() if name in _KEPT},
                start_new_session=True,
            )
        return self._process

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        """What the process answers; no whole line where it ended, or goes on for too long."""
        assert process.stdout is not None
        line = b""
        deadline = time.monotonic() + self._timeout_seconds + _GRACE_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    break
                part = os.read(process.stdout.fileno(), 65536)
                if not part:
                    break
                line += part
        return line

    def _end(self) -> int:
        """End the process and its children; returns how it ended."""
        process, self._process = self._process, None
        assert process is not None
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)  # it ends when its input does, or has ended already
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


__all__ = ["CallResult", "FunctionCalls", "LibraryNotFoundError"]
