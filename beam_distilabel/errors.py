"""The exception tree: what a caller may catch, by who has to act."""

from __future__ import annotations

from beam_distilabel.secret_texts import hide_known


class DistilabelError(Exception):
    """Base class of every error that this package raises on purpose."""

    @property
    def message(self) -> str:
        """What the error says; distilabel's name for it."""
        return str(self)


class DistilabelException(DistilabelError):
    """Base class of what a run can be prepared for; of distilabel."""


class DistilabelGenerationException(DistilabelException):
    """Base class of errors of models; of distilabel."""


class DistilabelUserError(DistilabelError, ValueError):
    """Something that the user wrote can't work; the message names it and the remedy.

    Args:
        message: names the Step, the field, the value, and what to do.
        page: accepted because distilabel scripts pass it; unused.
    """

    def __init__(self, message: str, page: str | None = None) -> None:
        super().__init__(message)
        self.page = page


class DistilabelTypeError(DistilabelError, TypeError):
    """A function or class has a signature that can't be used as a Step."""

    def __init__(self, message: str, page: str | None = None) -> None:
        super().__init__(message)
        self.page = page


class DistilabelNotImplementedError(DistilabelError, NotImplementedError):
    """A subclass has to define what was called."""

    def __init__(self, message: str, page: str | None = None) -> None:
        super().__init__(message)
        self.page = page


class SecretNotFoundError(DistilabelUserError):
    """An environment variable or a file that should have a secret is missing."""


class PipelineValidationError(DistilabelUserError):
    """A pipeline can't run as it is written; raised before anything runs."""


class ColumnError(DistilabelError):
    """A column of a row doesn't hold what a Step needs; the message names it and what it holds."""


class ParseError(DistilabelError):
    """A model's answer doesn't have the form that the Task asked for."""


class GenerationError(DistilabelGenerationException):
    """One request failed; the others are not affected.

    Attributes:
        kind: one of `beam_distilabel.failures.FailureKind`.
        attempts: how often the request was tried.
    """

    kind = "engine"
    attempts = 1

    def __init__(self, message: str, kind: str | None = None) -> None:
        super().__init__(message)
        if kind is not None:
            self.kind = kind


class PromptTooLongError(GenerationError):
    """A prompt has more tokens than the model's context holds."""

    kind = "too_long"


class EngineError(DistilabelGenerationException):
    """An engine can't start or has died; no request can be answered."""


class DistilabelOfflineBatchGenerationNotFinishedException(EngineError):
    """A provider's batch service has the requests and no answers yet.

    Attributes:
        jobs_ids: the batches; an LLM that is given them (`jobs_ids=`) goes on from there.
    """

    def __init__(self, jobs_ids: tuple[str, ...]) -> None:
        super().__init__(
            f"The batches {', '.join(jobs_ids)} are not finished. Run again later with the LLM's "
            f"jobs_ids={jobs_ids!r}; nothing is sent twice."
        )
        self.jobs_ids = jobs_ids

    def __reduce__(self) -> tuple[type, tuple[tuple[str, ...]]]:
        return type(self), (self.jobs_ids,)


class CheckpointError(DistilabelError):
    """What is finished can't be kept; the run ends rather than lose what it pays for."""


class RowError(DistilabelError):
    """A Step with `on_failure="raise"` met a row that failed."""


class RunCancelled(DistilabelError):
    """The run was cancelled while it was under way."""


class RunInterrupted(KeyboardInterrupt):
    """A run was stopped by Ctrl-C; what is finished is kept, and used when it is run again.

    No `Exception`, as Ctrl-C itself is none: a script that goes on after errors must not go on to
    publish a part.

    Attributes:
        run_dir: the run directory; `distiset/` in it has what is finished, unless Ctrl-C was
            pressed twice.
        resume: the command that goes on.
    """

    def __init__(self, message: str, run_dir: str = "", resume: str = "") -> None:
        super().__init__(message)
        self.run_dir = run_dir
        self.resume = resume

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (str(self), self.run_dir, self.resume)


class RunFailedError(DistilabelError):
    """The run ended without a result; the cause is chained and in the run directory's log."""

    def __init__(self, message: str = "") -> None:
        super().__init__(hide_known(message))  # it may quote what the user's code raised
