"""Why a run has ended, in words for a person."""

from __future__ import annotations

import re
from collections.abc import Container

from beam_distilabel.errors import DistilabelError, RunCancelled, RunFailedError, RunInterrupted
from beam_distilabel.pipeline.interrupt import resume_command
from beam_distilabel.pipeline.run_request import RunRequest
from beam_distilabel.redaction import hide_secrets


def was_cancelled(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, RunCancelled):
            return True
        error = error.__cause__ or error.__context__
    return False


_WHERE = re.compile(r" \[while running '(?P<step>[^'/:]+)[^']*'\]")
"""What Beam appends to the text of an error."""


def reason_of(error: BaseException, steps: Container[str]) -> str:
    """Why a run failed: our errors' whole text, of others the last line, with the Step's name."""
    while error.__cause__ is not None and not isinstance(error, DistilabelError):
        error = error.__cause__
    return hide_secrets(_reason_of(error, steps))


def _reason_of(error: BaseException, steps: Container[str]) -> str:
    # "None" alone is how Dataflow's client says that it knows no more.
    lines = [line.strip() for line in str(error).splitlines() if line.strip() not in ("", "None")]
    text = lines[-1] if lines else ""
    if isinstance(error, DistilabelError):
        # An engine's own error has several lines, and the cause isn't in the last.
        whole = "\n".join(line for line in lines if not line.startswith(_PYDANTIC_HINT))
        return _WHERE.sub("", whole)[:_MAX_REASON]
    where = _WHERE.search(text)
    if where is not None and where["step"] in steps:
        return f"Step {where['step']!r}: {type(error).__name__}: {_WHERE.sub('', text)}"
    return f"{type(error).__name__}: {text}"


_PYDANTIC_HINT = "For further information visit"
_MAX_REASON = 4_000


def interruption(request: RunRequest, what: str) -> RunInterrupted:
    """That the run was interrupted, and how to go on.

    Args:
        request: of the run.
        what: has become of it.
    """
    command = _resume_command(request)
    return RunInterrupted(
        f"the run of the pipeline {request.name!r} {what}. To go on: {command}",
        request.directory.path,
        command,
    )


def gone_wrong(request: RunRequest, verdict: str) -> RunFailedError:
    """Why too many rows failed, and how to go on: answers of no use are kept, and would count
    again."""
    run_dir = request.directory.path
    return RunFailedError(
        f"{verdict} When the reason is mended, `pipeline.retry(output_dir={run_dir!r})` "
        f"or `beam-distilabel retry {run_dir}` asks again for what failed."
    )


def kept(request: RunRequest) -> str:
    """Where what is finished is kept, and how to go on."""
    return (
        f"What is finished is kept in {request.directory.path}; to go on: "
        f"{_resume_command(request)}"
    )


def _resume_command(request: RunRequest) -> str:
    command = resume_command(request.directory.path)
    return command if request.use_cache else f"{command}, with use_cache=True"


__all__ = ["gone_wrong", "interruption", "kept", "reason_of", "was_cancelled"]
