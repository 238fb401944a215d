"""Ctrl-C: counting it while a run is waited for, ending a job with care, and how to go on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from beam_distilabel.models.engine import engines
from beam_distilabel.progress import FLUSH_SECONDS, has_others, in_flight
from beam_distilabel.secret_texts import hide_in_url

STOP_SECONDS = 10.0
"""How long the second Ctrl-C waits for the run to end, before it leaves it alone."""

LOOK_SECONDS = 0.1

logger = logging.getLogger(__name__)


class Interrupts:
    """How often Ctrl-C was pressed.

    Attributes:
        count: so far.
    """

    def __init__(self) -> None:
        self.count = 0


@contextlib.contextmanager
def counted_interrupts() -> Iterator[Interrupts]:
    """Count Ctrl-C in the block, where it would raise KeyboardInterrupt.

    An exception could come between any two lines. Where the process ignores the signal or has a
    handler of its own, and outside of the main thread, nothing is changed: what that raises has to
    be caught.
    """
    interrupts = Interrupts()

    def count(*_: Any) -> None:
        interrupts.count += 1

    if threading.current_thread() is not threading.main_thread() or not _is_default():
        yield interrupts
        return
    before = signal.signal(signal.SIGINT, count)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


def _is_default() -> bool:
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        return True
    # asyncio's handler only asks the task to end that waits here, which can't hear it.
    return _in_event_loop() and handler not in (signal.SIG_IGN, signal.SIG_DFL, None)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def finish_rows(run_dir: str, ended: threading.Event) -> bool:
    """Wait until the rows in flight are finished, of a job whose Tasks begin no further ones.

    Args:
        run_dir: the run directory.
        ended: set when the job has ended.

    Returns:
        Whether the job is still there, and waits to be cancelled.
    """
    loading = engines.starting
    logger.warning(
        "Interrupted: finishing %d rows in flight%s; press Ctrl-C again to stop now.",
        in_flight(run_dir),
        ", and the start of a model, which can't be cut short" if loading else "",
    )
    # Others are seen by their records, and look for the order about as often as they write them.
    quiet_seconds = 4 * FLUSH_SECONDS if has_others(run_dir) else 2 * LOOK_SECONDS
    quiet_since = time.monotonic()
    while not ended.wait(LOOK_SECONDS):
        if in_flight(run_dir):
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since >= quiet_seconds:
            return True
    return False


def resume_command(run_dir: str) -> str:
    """What to type to go on; arguments of a script are left out, since they may be secret.

    Example:
        >>> resume_command("runs/a") != ""
        True
    """
    program = sys.argv[0] if sys.argv else ""
    name = os.path.basename(program)
    package = os.path.basename(os.path.dirname(program))
    if name == "beam-distilabel" or (name == "__main__.py" and package == "beam_distilabel"):
        return shlex.join(["beam-distilabel", *_harmless(sys.argv[1:], run_dir)])
    main = sys.modules.get("__main__")
    if name.endswith(".py") and getattr(main, "__file__", None) and not hasattr(sys, "ps1"):
        arguments = " ..." if len(sys.argv) > 1 else ""
        return f"python {shlex.quote(program)}{arguments}"
    return f"pipeline.run(output_dir={run_dir!r})"


_HARMLESS = frozenset(
    "--config --dataset --load-groups --max-failure-ratio --memory-budget --params-file "
    "--pipeline-variable-name --repo-id --runner --script".split()
)
_FLAGS = frozenset(
    "--ignore-cache --no-private --no-resume --private --resume --trust-remote-code".split()
)
_FLAGS_TO_KEEP = frozenset(("--private", "--trust-remote-code"))
_NOT_SHOWN = ("--param", "--runner-option")


def _harmless(arguments: list[str], run_dir: str) -> list[str]:
    flags = "--" in arguments
    if flags:
        arguments = arguments[: arguments.index("--")]
    kept = [argument for argument in arguments[:2] if not argument.startswith("-")]
    runs = kept[:1] == ["pipeline"]
    if kept and not runs:  # `finalize RUN_DIR`, `retry RUN_DIR`
        kept = ["retry", run_dir] if kept[0] == "retry" else ["finalize", run_dir]
    before = "--resume"  # what takes no value
    for i, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        is_option = argument.startswith("--")
        has_value = before.startswith("--") and "=" not in before and before not in _FLAGS
        if is_option and option in _HARMLESS:
            kept.append(f"{option}={hide_in_url(value)}" if equals else option)
        elif has_value and before in _HARMLESS:
            kept.append(hide_in_url(argument))
        elif runs and not is_option and not has_value and i > 1:
            kept.append(hide_in_url(argument))  # CONFIG, which needs no option
        elif runs and argument in _FLAGS_TO_KEEP:
            kept.append(argument)
        before = argument
    if runs:
        kept += ["--output-dir", run_dir]
    given = {argument.partition("=")[0] for argument in arguments}
    for option in _NOT_SHOWN:
        if option in given:
            kept += [option, "..."]
    return [*kept, "--", "..."] if flags else kept


__all__ = [
    "STOP_SECONDS",
    "Interrupts",
    "counted_interrupts",
    "finish_rows",
    "resume_command",
]
