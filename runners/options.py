"""From what a user says of the runner to what Beam needs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner, create_runner

from beam_distilabel.runners.direct import DirectSettings

Options = PipelineOptions | Mapping[str, Any] | Sequence[str] | None

LOCAL_NAMES = frozenset(("direct", "DirectRunner", "FnApiRunner"))


class RunnerChoice(NamedTuple):
    """Beam's runner, its options, and whether it is in this process."""

    runner: Any
    options: PipelineOptions
    local: bool


def choose_runner(runner: str | PipelineRunner | None, options: Options) -> RunnerChoice:
    """The runner and options of a run.

    Args:
        runner: None or "direct" for the local runner, the name of a Beam runner, or a Beam runner.
        options: the local runner's settings as a dict (see `DirectSettings`), Beam's options as a
            dict or as flags, or PipelineOptions.

    Raises:
        ValueError: the runner or an option is unknown; the message has the known ones.
    """
    if runner is None:
        runner = _runner_of(options)
    if runner is None or (isinstance(runner, str) and runner in LOCAL_NAMES):
        if options is None or isinstance(options, Mapping):
            settings = _direct_settings(options or {})
            return RunnerChoice(settings.runner(), settings.pipeline_options(), True)
        return RunnerChoice(DirectSettings().runner(), beam_options(options), True)
    if isinstance(runner, str):
        try:
            runner = create_runner(runner)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"runner={runner!r}: there is no such runner: {error}") from None
    return RunnerChoice(runner, beam_options(options), isinstance(runner, FnApiRunner))


def _runner_of(options: Options) -> str | None:
    """The runner that `options` name."""
    if isinstance(options, Mapping):
        return options.get("runner")
    return beam_options(options).view_as(StandardOptions).runner


def _direct_settings(options: Mapping[str, Any]) -> DirectSettings:
    settings = {name: value for name, value in options.items() if name != "runner"}
    for name in settings:
        if name not in DirectSettings.model_fields:
            raise ValueError(
                f"options: the local runner has no setting {name!r}."
                f"{_closest(name, DirectSettings.model_fields)} Beam's own options are given as "
                "flags: options=['--name=value']."
            )
    return DirectSettings(**settings)


def beam_options(options: Options) -> PipelineOptions:
    """Beam's options, unknown names refused (Beam itself keeps them silently)."""
    if isinstance(options, PipelineOptions):
        return options
    if options is None:
        return PipelineOptions(flags=[])
    if isinstance(options, Mapping):
        _check_known(options)
        return PipelineOptions(flags=[], **options)
    flags = list(options)
    _check_known(flag[2:].partition("=")[0] for flag in flags if flag.startswith("--"))
    return PipelineOptions(flags)


def _check_known(names: Any) -> None:
    known = PipelineOptions(flags=[]).get_all_options()
    for name in names:
        if name.removeprefix("no_") not in known and name not in known:
            hint = _closest(name, known)
            raise ValueError(f"options: Beam has no pipeline option {name!r}.{hint}")


def _closest(name: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {matches[0]!r}?" if matches else ""
