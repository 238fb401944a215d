"""The commands' root, and how they end."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import typer
from rich.console import Console

from beam_distilabel.errors import DistilabelError, RunInterrupted
from beam_distilabel.redaction import hide_secrets

FAILED = 1
"""The exit code of what failed, or can't be done as it was asked for."""

_TRACEBACK = "--traceback"

app = typer.Typer(
    help="Synthetic data pipelines on Apache Beam.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # they may be secret
)
pipeline_commands = typer.Typer(help="Run pipelines and look at them.", no_args_is_help=True)
app.add_typer(pipeline_commands, name="pipeline")


@app.callback()
def _commands(
    traceback: bool = typer.Option(
        False, _TRACEBACK, help="Show where in the code an error came from."
    ),
) -> None:
    """Synthetic data pipelines on Apache Beam."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit code 1 where a command failed, 2 where it was written wrong.

    Files and packages that are missing are errors of the user's as much as those that we raise.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        app(arguments, standalone_mode=True)
    except (DistilabelError, OSError, ImportError) as error:
        if given[:1] == [_TRACEBACK]:
            raise
        said = hide_secrets(str(error)) or type(error).__name__
        Console(stderr=True).print(f"Error: {said}", highlight=False, markup=False, soft_wrap=True)
        raise SystemExit(FAILED) from None


def show(distiset: Any) -> None:
    Console().print(repr(distiset), highlight=False, markup=False)


def note(text: str) -> None:
    """Say something that is no result: on standard error."""
    Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM, which schedulers send before they kill, is as Ctrl-C; exits with their codes."""
    received = [signal.SIGINT]

    def terminate(number: int, *_: Any) -> None:
        received.append(signal.Signals(number))
        signal.raise_signal(signal.SIGINT)

    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, terminate) if in_main_thread else None
    try:
        yield
    except RunInterrupted as error:
        note(str(error))
        raise typer.Exit(128 + received[-1]) from None
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
