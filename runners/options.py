"""From what a user says of the runner to what Beam needs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineRunner

from beam_distilabel.runners.direct import DirectSettings

Options = PipelineOptions | Mapping[str, Any] | Sequence[str] | None

LOCAL_NAMES = frozenset(("direct", "DirectRunner", "FnApiRunner"))


class RunnerChoice(NamedTuple):
    """Beam's runner (an object or its name), its options, and whether it is in this process."""

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
        ValueError: an option is unknown; the message has the closest one.
    """
    if runner is None and isinstance(options, PipelineOptions):
        runner = options.view_as(StandardOptions).runner
    if runner is None or (isinstance(runner, str) and runner in LOCAL_NAMES):
        if options is None or isinstance(options, Mapping):
            settings = DirectSettings(**(options or {}))
            return RunnerChoice(settings.runner(), settings.pipeline_options(), True)
        return RunnerChoice(DirectSettings().runner(), beam_options(options), True)
    return RunnerChoice(runner, beam_options(options), False)


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
            matches = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {matches[0]!r}?" if matches else ""
            raise ValueError(f"options: Beam has no pipeline option {name!r}.{hint}")
