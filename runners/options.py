"""From what a user says of the runner to its settings."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner, create_runner
from pydantic import ValidationError

from beam_distilabel.runners.beam import BeamSettings
from beam_distilabel.runners.dataflow import DataflowSettings
from beam_distilabel.runners.describe import explained
from beam_distilabel.runners.direct import DirectSettings
from beam_distilabel.runners.flink import FlinkSettings
from beam_distilabel.runners.prism import PrismSettings
from beam_distilabel.runners.settings import (
    RunnerSettings,
    check_flags,
    check_known,
    closest,
    parse_flags,
)
from beam_distilabel.runners.staging import with_absolute_paths

Options = PipelineOptions | Mapping[str, Any] | Sequence[str] | None

RUNNERS: dict[str, type[RunnerSettings]] = {
    "direct": DirectSettings,
    "flink": FlinkSettings,
    "dataflow": DataflowSettings,
    "prism": PrismSettings,
}
"""Our settings by the runner's name."""

LOCAL_NAMES = frozenset(("directrunner", "fnapirunner"))
"""Beam's names of what "direct" is, in small letters."""


def choose_runner(
    runner: str | PipelineRunner | RunnerSettings | None, options: Options
) -> RunnerSettings:
    """The settings of a run's runner.

    Args:
        runner: one of `RUNNERS`, "direct" if None; the name of another runner of Beam's, such a
            runner, or settings, which are complete.
        options: for one of `RUNNERS` its settings as a dict, or flags of Beam's on top of them;
            for other runners Beam's options as a dict or as flags; in a dict, `flags` are more
            flags. PipelineOptions are taken as they are.

    Raises:
        ValueError: the runner or an option is unknown, or has a value that it can't have; the
            message has the known ones.
    """
    if isinstance(runner, RunnerSettings):
        if options is not None:
            raise ValueError("options: the runner's settings are complete; leave options out.")
        return runner
    named = _runner_of(options)
    if runner is None:
        runner = named or "direct"
    elif named is not None and isinstance(runner, str) and _bare(named) != _bare(runner):
        raise ValueError(f"options name the runner {named!r}, and runner={runner!r}: name one.")
    if isinstance(runner, str):
        runner = _same(runner)
    if isinstance(runner, str) and runner in RUNNERS:
        if not isinstance(options, PipelineOptions):
            return _settings(runner, options or {})
        if runner == "direct":
            return BeamSettings(beam_runner=FnApiRunner(), beam_options=options)
    if isinstance(runner, str):
        name = runner
        try:
            runner = _create(name)
        except (ImportError, AttributeError, ValueError) as error:
            known = [*RUNNERS, *StandardOptions.KNOWN_RUNNER_NAMES]
            raise ValueError(
                f"runner={name!r}: there is no such runner.{closest(name, known)} With "
                f"settings of their own there are: {', '.join(RUNNERS)}. Beam says: {error}"
            ) from None
    return BeamSettings(beam_runner=runner, beam_options=beam_options(options))


def _same(name: str) -> str:
    """The name of ours that is meant, if one is; else `name`."""
    if name.lower() in RUNNERS:
        return name.lower()
    return "direct" if name.lower() in LOCAL_NAMES else name


def _bare(name: str) -> str:
    """A runner's name without what Beam appends: "flink" of "FlinkRunner"."""
    return _same(name).lower().removesuffix("runner")


def _create(name: str) -> PipelineRunner:
    """Beam's runner of that name, or the runner class that it is the path of.

    Raises:
        ValueError: it is the path of something else.
    """
    module, _, attribute = name.rpartition(".")
    if module:
        kind = getattr(importlib.import_module(module), attribute)
        if not (isinstance(kind, type) and issubclass(kind, PipelineRunner)):
            raise ValueError(f"{name} is no runner's class")
    return create_runner(name)


def _runner_of(options: Options) -> str | None:
    """The runner that `options` name."""
    if isinstance(options, Mapping):
        named: str | None = options.get("runner")
        return named or _runner_of(list(options.get("flags", ())))
    if isinstance(options, PipelineOptions):
        return options.view_as(StandardOptions).runner
    return parse_flags(list(options or ())).get("runner")


def _settings(runner: str, options: Mapping[str, Any] | Sequence[str]) -> RunnerSettings:
    kind = RUNNERS[runner]
    given = dict(options) if isinstance(options, Mapping) else {"flags": tuple(options)}
    given.pop("runner", None)
    try:
        return kind(**given)
    except ValidationError as error:
        raise ValueError(explained(runner, kind, error)) from None


def beam_options(options: Options) -> PipelineOptions:
    """Beam's options, unknown names refused."""
    if isinstance(options, PipelineOptions):
        return options
    if options is None:
        return PipelineOptions(flags=[])
    if isinstance(options, Mapping):
        given = {name: value for name, value in options.items() if name != "flags"}
        check_known(given)
        flags = list(options.get("flags", ()))
        check_flags(flags)
        return PipelineOptions(list(with_absolute_paths(flags)), **given)
    flags = list(options)
    check_flags(flags)
    return PipelineOptions(list(with_absolute_paths(flags)))
