"""What every runner's settings have in common: typed fields in, Beam's runner and options out."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineRunner
from pydantic import BaseModel, ConfigDict, field_validator
from typing_extensions import Self


class RunnerSettings(BaseModel):
    """Base of the settings of a runner. To make them has no side effects.

    Attributes:
        flags: Beam's own options, such as `["--job_name=j"]`. They take precedence over what the
            other settings lead to.

    Class attributes:
        default_engine: what `vLLM(engine=None)` is on this runner.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    default_engine: ClassVar[str] = "embedded"

    flags: tuple[str, ...] = ()

    @field_validator("flags")
    @classmethod
    def _are_known(cls, flags: tuple[str, ...]) -> tuple[str, ...]:
        check_flags(flags)
        return flags

    @property
    def local(self) -> bool:
        """Whether it is Beam's in-memory runner."""
        return False

    @property
    def shares_process(self) -> bool:
        """Whether rows are processed in this process.

        Where they are not, what workers need has to come to them, and secrets must not be sent.
        """
        return False

    def runner(self) -> PipelineRunner:
        """A new runner of Beam's."""
        raise NotImplementedError

    def preset(self) -> Mapping[str, Any]:
        """Beam's options that the settings lead to, by name."""
        raise NotImplementedError

    def pipeline_options(self) -> PipelineOptions:
        """Beam's options; the command line isn't read."""
        flags = list(self.flags)
        given = PipelineOptions(flags).get_all_options(drop_default=True)
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
    known = PipelineOptions(flags=[]).get_all_options()
    for name in names:
        if name.removeprefix("no_") not in known and name not in known:
            raise ValueError(
                f"options: Beam has no pipeline option {name!r}.{closest(name, known)}"
            )


def check_flags(flags: Sequence[str]) -> None:
    """`check_known` of flags, `--name=value` or `--name value`.

    Raises:
        ValueError: they don't begin with a flag, or an option is unknown.
    """
    if flags and not flags[0].startswith("--"):
        raise ValueError(f"options: {flags[0]!r} is no flag of Beam's, such as '--job_name=mine'.")
    check_known(flag[2:].partition("=")[0] for flag in flags if flag.startswith("--"))


def closest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?`, or nothing."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {matches[0]!r}?" if matches else ""
