"""Runs a command that dies with whoever started it: `python guard.py COMMAND ARGUMENT...`.

The starter holds the other end of this process's standard input. When it closes it, or is killed,
this process ends its whole process group: the command, and what that has started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def _kill_group_at_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    if os.getpgrp() != os.getpid():
        raise SystemExit("guard.py has to be started as the leader of a process group")
    threading.Thread(target=_kill_group_at_end_of_input, daemon=True).start()
    return subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
