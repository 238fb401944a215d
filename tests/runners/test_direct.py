"""The local runner's settings."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from apache_beam.options.pipeline_options import DirectOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from pydantic import ValidationError

from beam_distilabel.runners.direct import DirectSettings


def test_defaults() -> None:
    options = DirectSettings().pipeline_options().view_as(DirectOptions)
    assert (options.direct_num_workers, options.direct_running_mode) == (1, "in_memory")
    assert isinstance(DirectSettings().runner(), FnApiRunner)
    assert DirectSettings().runner() is not DirectSettings().runner()


def test_parallelism_is_threads() -> None:
    options = DirectSettings(parallelism=3).pipeline_options().view_as(DirectOptions)
    assert (options.direct_num_workers, options.direct_running_mode) == (3, "multi_threading")


def test_the_command_line_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["script.py", "--direct_num_workers=9", "--runner=FlinkRunner"]
    )
    options = DirectSettings().pipeline_options()
    assert options.view_as(DirectOptions).direct_num_workers == 1
    assert options.get_all_options(drop_default=True).get("runner") is None


@pytest.mark.parametrize("settings", [{"parallelism": 0}, {"workers": 2}, {"parallelism": "many"}])
def test_what_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        DirectSettings(**settings)
