"""Processes that are started for a while: none outlives the process that started it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from beam_distilabel.runners.flink_cluster.moments import moments

_GUARD = str(Path(__file__).with_name("guard.py"))


TAIL_LINES = 40
_TAIL_BYTES = 64 * 2**10


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, of at most 64 KiB; empty where there is none."""
    if not log.exists():
        return ""
    with open(log, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])


class GuardedProcess:
    """A command in a process group of its own that ends with this process, however that ends.

    Args:
        command: program and arguments.
        log: the file that gets its output.
        env: its environment.
        cwd: its working directory.
    """

    def __init__(
        self, command: Sequence[str], log: Path, *, env: Mapping[str, str], cwd: Path
    ) -> None:
        self.log = log
        with open(log, "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, _GUARD, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def group(self) -> int:
        """The process group of the command and all that it starts."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the command has ended."""
        return self._process.poll() is not None

    def wait_for(self, pattern: str, seconds: float) -> re.Match[str]:
        """The first match of `pattern` in the log.

        Raises:
            RuntimeError: the process ended, or `seconds` passed, without one; has the log's end.
        """
        why = f"wasn't ready within {seconds:.0f} s"
        for _ in moments(seconds):
            ended = self.ended
            if match := re.search(pattern, self.log.read_text(errors="replace")):
                return match
            if ended:
                why = "ended"
                break
        raise RuntimeError(f"{self.log.stem}: it {why}; its log's end:\n{self.tail()}")

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The end of the log."""
        return tail(self.log, lines)

    def close(self) -> None:
        """Kill the process group."""
        assert self._process.stdin is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
