"""What every runner's settings have in common: typed fields in, Beam's runner and options out."""

from __future__ import annotations

import abc
import argparse
import contextlib
import difflib
import io
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineRunner
from pydantic import BaseModel, ConfigDict, field_validator
from typing_extensions import Self

from beam_distilabel.runners.staging import with_absolute_paths


class RunnerSettings(BaseModel, abc.ABC):
    """Base of the settings of a runner. To make them has no side effects.

    Attributes:
        flags: Beam's own options, such as `["--job_name=j"]`. They take precedence over what the
            other settings lead to.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flags: tuple[str, ...] = ()

    @field_validator("flags")
    @classmethod
    def _are_known(cls, flags: tuple[str, ...]) -> tuple[str, ...]:
        check_flags(flags, cls.known_options())
        return with_absolute_paths(flags)

    @classmethod
    def known_options(cls) -> frozenset[str]:
        """Options of the runner's that Beam's Python side doesn't know, and passes on."""
        return frozenset()

    @property
    def local(self) -> bool:
        """Whether it is Beam's in-memory runner."""
        return False

    @property
    def default_engine(self) -> str:
        """What `vLLM(engine=None)` is on this runner."""
        return "embedded"

    @property
    def worker_start_limit(self) -> float | None:
        """The seconds within which a job's workers have to show that they are there.

        None where a worker that doesn't start is an error of the runner's own.
        """
        return None

    @property
    def shares_process(self) -> bool:
        """Whether rows are processed in this process.

        Where they are not, what workers need has to come to them, and secrets must not be sent.
        """
        return False

    def check(self) -> None:
        """Look up whether a run can be started, before anything of it is.

        Raises:
            RuntimeError: what has to be installed isn't; the message says how to do that.
        """

    def logs(self) -> str:
        """The ends of the logs of what was `started`; empty if that is nothing."""
        return ""

    @property
    def other_hosts(self) -> bool:
        """Whether workers are on other hosts for certain, which see no files of this one."""
        return False

    @property
    def executes(self) -> bool:
        """Whether a job is started; else it is only described, and a run would never end."""
        return True

    def check_hints(self, step: str, hints: Mapping[str, Any]) -> None:
        """Refuse resource hints of a Step that the runner can't follow.

        Args:
            step: the Step's name.
            hints: Beam's, by their names, such as `{"accelerator": "type:nvidia-l4;count:1"}`.

        Raises:
            ValueError: names the Step, and what to do.
        """

    @abc.abstractmethod
    def runner(self) -> PipelineRunner:
        """A new runner of Beam's."""

    @abc.abstractmethod
    def preset(self) -> Mapping[str, Any]:
        """Beam's options that the settings lead to, by name."""

    def pipeline_options(self) -> PipelineOptions:
        """Beam's options; the command line isn't read."""
        flags = list(self.flags)
        given = parse_flags(flags)
        preset = {name: value for name, value in self.preset().items() if name not in given}
        return PipelineOptions(flags, **preset)

    @contextlib.contextmanager
    def started(self) -> Iterator[Self]:
        """Start what the runner needs, and end it with the `with` block.

        Yields:
            Settings that lead to what was started; these themselves if that is nothing.
        """
        yield self


def check_known(names: Iterable[str]) -> None:
    """Refuse names that no option of Beam has (Beam itself keeps them silently).

    Raises:
        ValueError: a name is unknown; has the closest one.
    """
    known = {*PipelineOptions(flags=[]).get_all_options(), *_flag_names()}
    for name in names:
        if name.removeprefix("no_") not in known and name not in known:
            raise ValueError(
                f"options: Beam has no pipeline option {name!r}.{closest(name, known)}"
            )


def _flag_names() -> Iterator[str]:
    """What flags can be called; some have several names, or another than their option."""
    parser = argparse.ArgumentParser()
    for kind in {str(kind): kind for kind in PipelineOptions.__subclasses__()}.values():
        if "_add_argparse_args" in vars(kind):
            kind._add_argparse_args(parser)  # type: ignore[arg-type]  # Beam's own parser does less
    for action in parser._actions:
        yield from (flag.lstrip("-") for flag in action.option_strings)


def check_flags(flags: Sequence[str], known: Container[str] = ()) -> None:
    """`check_known` of flags, `--name=value` or `--name value`.

    Args:
        flags: as on a command line.
        known: names that are known besides Beam's.

    Raises:
        ValueError: they don't begin with a flag, or an option or its value is unknown.
    """
    if flags and not flags[0].startswith("--"):
        # What it is may be a secret.
        raise ValueError("options: the first is no flag of Beam's, such as '--job_name=mine'.")
    names = [flag[2:].partition("=")[0] for flag in flags if flag.startswith("--")]
    check_known(name for name in names if name not in known)
    parse_flags(flags)


def parse_flags(flags: Sequence[str]) -> dict[str, Any]:
    """What flags give, by the options' names; those that nobody knows too.

    Raises:
        ValueError: a value is none that its option can have (Beam itself ends the process).
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options: dict[str, Any] = PipelineOptions(list(flags)).get_all_options(
                drop_default=True, retain_unknown_options=True
            )
    except SystemExit:
        problem = said.getvalue().strip().rpartition("error: ")[2]
        raise ValueError(f"options: {problem}") from None
    return options


def closest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?`, or nothing."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {matches[0]!r}?" if matches else ""
