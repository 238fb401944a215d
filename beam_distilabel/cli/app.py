"""The commands' root, and how they end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import typer
from rich.console import Console

from beam_distilabel.errors import DistilabelError, RunInterrupted

app = typer.Typer(help="Synthetic data pipelines on Apache Beam.", no_args_is_help=True)
pipeline_commands = typer.Typer(help="Run pipelines and look at them.", no_args_is_help=True)
app.add_typer(pipeline_commands, name="pipeline")


@app.callback()
def _commands() -> None:
    """Keeps `pipeline` a command of its own."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit code 1 where a command failed, 2 where it was written wrong."""
    try:
        app(arguments, standalone_mode=True)
    except DistilabelError as error:
        Console(stderr=True).print(f"Error: {error}", highlight=False, markup=False)
        raise SystemExit(1) from None


def show(distiset: Any) -> None:
    Console().print(repr(distiset), highlight=False, markup=False)


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
        Console(stderr=True).print(str(error), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(128 + received[-1]) from None
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
