"""Calls functions of a user's file in a process of their own, within a time limit.

Which function is called, and with what, comes from a model. So only functions that the file itself
defines are called, with literals for arguments. Their process starts in an empty folder, has none
of this one's environment but where Python and the system are found, and is ended with all its
children when a call takes too long, whatever it does, or ends it. That keeps accidents away from
the worker. It is no sandbox: what the file's functions do, they may do.
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
_READY_SECONDS = 60.0
"""How long the process may take to start, or to load a file."""

_CLOSE_SECONDS = 10.0
"""How long it may take to end when its input does."""


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
        self._unread = b""
        self._folder: str | None = None

    def call(self, name: Any, arguments: Any) -> CallResult:
        """Call a function by its name, with arguments by theirs."""
        process = self._started()
        asked = {"name": name, "arguments": arguments, "seconds": self._timeout_seconds}
        assert process.stdin is not None
        limit = _READY_SECONDS
        deadline = time.monotonic() + limit
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.flush()
            if self._line(process, deadline):  # the function is found, and begins
                limit = self._timeout_seconds
                deadline = time.monotonic() + limit
                if line := self._line(process, deadline):
                    answer = json.loads(line)
                    return CallResult(bool(answer["keep"]), str(answer["execution_result"]))
        code = self._end(deadline)
        if code in (None, -signal.SIGALRM):
            return CallResult(False, f"The call took longer than {limit:g} s.")
        return CallResult(False, f"The call ended its process (exit code {code}).")

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._end(time.monotonic() + _CLOSE_SECONDS)
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

    def _line(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        """The next line of the process; nothing where it ended, or the deadline has passed."""
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    return b""
                part = os.read(process.stdout.fileno(), 65536)
                if not part:
                    return b""
                self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _end(self, deadline: float) -> int | None:
        """End the process and its children.

        Returns:
            How the process ended; None where it hadn't by the deadline, whatever it was doing.
        """
        process, self._process = self._process, None
        assert process is not None
        self._unread = b""
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        code = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return code


__all__ = ["CallResult", "FunctionCalls", "LibraryNotFoundError"]
