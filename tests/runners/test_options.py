"""From what a user says of the runner to what Beam needs."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
)
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_distilabel.runners import choose_runner


@pytest.mark.parametrize("name", [None, "direct", "DirectRunner", "FnApiRunner"])
def test_names_of_the_local_runner(name: str | None) -> None:
    """Never Beam's own DirectRunner, which may be a download."""
    settings = choose_runner(name, None)
    assert type(settings.runner()) is FnApiRunner
    assert settings.local


def test_settings_of_the_local_runner() -> None:
    options = choose_runner(None, {"parallelism": 4}).pipeline_options().view_as(DirectOptions)
    assert options.direct_num_workers == 4


def test_a_runner_of_beams() -> None:
    settings = choose_runner("FlinkRunner", {"job_name": "j"})
    assert isinstance(settings.runner(), FlinkRunner)
    assert not settings.local
    assert settings.pipeline_options().view_as(GoogleCloudOptions).job_name == "j"


def test_a_runner_object() -> None:
    runner = FlinkRunner()
    assert choose_runner(runner, None).runner() is runner
    local = choose_runner(FnApiRunner(), None)
    assert local.local


def test_the_runner_that_options_name() -> None:
    named = PipelineOptions(["--runner=FlinkRunner"])
    settings = choose_runner(None, named)
    assert isinstance(settings.runner(), FlinkRunner)
    assert settings.pipeline_options() is named
    settings = choose_runner(None, ["--runner=FlinkRunner", "--job_name=j"])
    assert isinstance(settings.runner(), FlinkRunner)
    settings = choose_runner(None, {"runner": "FlinkRunner"})
    assert isinstance(settings.runner(), FlinkRunner)
    assert choose_runner(None, PipelineOptions([])).local


def test_flags_for_the_local_runner() -> None:
    settings = choose_runner("direct", ["--direct_num_workers=2", "--no_save_main_session"])
    assert settings.pipeline_options().view_as(DirectOptions).direct_num_workers == 2


@pytest.mark.parametrize(
    ("runner", "options", "text"),
    [
        (None, {"paralelism": 2}, "paralelism.*parallelism"),
        ("FlinkRunner", {"job_nam": 2}, "'job_nam'.*'job_name'"),
        ("FlinkRunner", ["--job_nam=2"], "'job_nam'.*'job_name'"),
        (None, ["--job_nam", "x"], "'job_nam'.*'job_name'"),
        ("FlinkRuner", None, "FlinkRuner.*FlinkRunner"),
        ("no.such.Runner", None, "no.such.Runner"),
    ],
)
def test_what_is_unknown(runner: Any, options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        choose_runner(runner, options)


def test_the_command_line_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["script.py", "--runner=FlinkRunner"])
    assert choose_runner(None, None).local
    options = choose_runner("FlinkRunner", {"job_name": "j"}).pipeline_options()
    assert options.view_as(StandardOptions).runner is None


def test_settings_and_flags_together() -> None:
    settings = choose_runner("direct", {"parallelism": 3, "flags": ["--direct_num_workers=2"]})
    assert settings.pipeline_options().view_as(DirectOptions).direct_num_workers == 2
    settings = choose_runner("FlinkRunner", {"parallelism": 2, "flags": ["--job_name=j"]})
    options = settings.pipeline_options().get_all_options()
    assert (options["parallelism"], options["job_name"]) == (2, "j")
    named = choose_runner(None, {"flags": ["--runner=FlinkRunner"]})
    assert isinstance(named.runner(), FlinkRunner)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"parallelism": "many"}, r"'parallelism' of the runner 'direct' is 'many': .*int above 0"),
        ({"parallelism": 0}, r"is 0: Input should be greater than 0\. .*default 1"),
        ({"max_memory": "lots"}, r"'max_memory' .* is 'lots': .*bytes, such as '8GiB'"),
        ({"flags": ["--job_nam=x"]}, r"'job_nam'\. Did you mean 'job_name'"),
        ({"flags": ["job_name=x"]}, r"the first is no flag of Beam's"),
        ({"max_memry": 1}, r"no setting 'max_memry'\. Did you mean 'max_memory'\?.*after `--`"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text) as raised:
        choose_runner(None, options)
    assert "pydantic" not in str(raised.value)


@pytest.mark.parametrize("name", ["Direct", "DIRECT", "directrunner"])
def test_capitals_are_no_other_runner(name: str) -> None:
    """Beam's names are compared so too, and its `DirectRunner` may be a download."""
    assert choose_runner(name, None).local
    assert choose_runner("Flink", None).runner().__class__ is FlinkRunner


@pytest.mark.parametrize("path", ["os.getcwd", "os.path.join", "collections.OrderedDict"])
def test_the_path_of_something_else_is_not_called(path: str) -> None:
    with pytest.raises(ValueError, match="no runner's class"):
        choose_runner(path, None)


@pytest.mark.parametrize(
    "options", [{"runner": "flink"}, {"flags": ["--runner=FlinkRunner"]}, ["--runner=FlinkRunner"]]
)
def test_one_runner_is_named(options: Any) -> None:
    with pytest.raises(ValueError, match="name one"):
        choose_runner("direct", options)


@pytest.mark.parametrize("runner", [None, "direct", "flink", "dataflow", "DataflowRunner"])
def test_a_value_that_cannot_be_does_not_end_the_process(runner: str | None) -> None:
    with pytest.raises(ValueError, match="--parallelism.*invalid int value"):
        choose_runner(runner, ["--parallelism=x"])


def test_beams_name_of_the_same_runner_may_be_among_the_flags() -> None:
    flags = ["--runner=FlinkRunner", "--parallelism=2"]
    assert choose_runner("flink", flags).runner().__class__ is FlinkRunner
