"""A check, what it finds, and running it so that it can neither hang nor break the others."""

from __future__ import annotations

import dataclasses
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from beam_distilabel.redaction import hide_secrets

Status = Literal["ok", "warning", "failed", "skipped"]

QUICK_SECONDS = 60.0
"""In which a check has to answer that starts nothing large."""

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        status: "warning" where a run may go wrong, "failed" where it can't go right, "skipped"
            where nothing that is wanted depends on it.
        detail: what there is.
        remedy: what to do; empty where there is nothing to do.
    """

    status: Status
    detail: str
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Check:
    """Something to look at.

    Attributes:
        name: of what is looked at, for the table.
        look: does so.
        seconds: in which it has to answer.
    """

    name: str
    look: Callable[[], Finding]
    seconds: float = QUICK_SECONDS


@dataclasses.dataclass(frozen=True)
class Result:
    """A check that was made; the fields are those of `Check` and `Finding`.

    Attributes:
        seconds: that it took.
    """

    name: str
    status: Status
    detail: str
    remedy: str
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def run_checks(checks: Iterable[Check]) -> Iterator[Result]:
    """Make the checks, one after the other.

    One that raises has failed with what it raised, and one that doesn't answer in its time has
    failed too; it is left behind in a thread of its own.
    """
    for check in checks:
        began = time.monotonic()
        finding = _looked(check)
        yield Result(
            check.name,
            finding.status,
            hide_secrets(finding.detail),
            hide_secrets(finding.remedy),
            round(time.monotonic() - began, 2),
        )


def _looked(check: Check) -> Finding:
    found: list[Finding] = []

    def look() -> None:
        try:
            found.append(check.look())
        except Exception as error:
            logger.debug("The check %r raised", check.name, exc_info=True)
            text = f"the check itself failed: {type(error).__name__}: {error}"
            found.append(Finding("failed", text, "Please report it."))

    thread = threading.Thread(target=look, name=f"doctor-{check.name}", daemon=True)
    thread.start()
    thread.join(check.seconds)
    if found:
        return found[0]
    return Finding(
        "failed",
        f"there was no answer within {check.seconds:g} s",
        "Something that it asks hangs: a driver, a network, a filesystem. Look at that first.",
    )


@dataclasses.dataclass(frozen=True)
class Output:
    """What a program has said.

    Attributes:
        code: its exit code; None where it didn't end in time.
        text: standard output.
        errors: standard error.
    """

    code: int | None
    text: str
    errors: str

    def last_lines(self, count: int = 5) -> str:
        """The end of what it said."""
        lines = [line for line in (self.errors or self.text).splitlines() if line.strip()]
        return "\n".join(lines[-count:])


def run_program(
    command: Sequence[str], seconds: float, env: Mapping[str, str] | None = None
) -> Output:
    """Run a program; after `seconds` it is killed.

    Raises:
        OSError: it can't be started.
    """
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env=None if env is None else dict(env),
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return Output(None, _text(late.stdout), _text(late.stderr))
    return Output(done.returncode, done.stdout, done.stderr)


def _text(said: str | bytes | None) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said or ""


__all__ = [
    "QUICK_SECONDS",
    "Check",
    "Finding",
    "Output",
    "Result",
    "Status",
    "run_checks",
    "run_program",
]
