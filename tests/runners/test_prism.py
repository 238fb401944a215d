"""The settings of Prism, and what is said where it isn't installed."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PortableOptions, PrismRunnerOptions
from apache_beam.runners.portability.prism_runner import PrismRunner
from pydantic import ValidationError

from beam_distilabel.pipeline import Pipeline
from beam_distilabel.runners import choose_runner
from beam_distilabel.runners.flink_cluster.jars import MissingTool
from beam_distilabel.runners.prism import PACKAGE, VARIABLE, PrismSettings
from beam_distilabel.steps import LoadDataFromDicts
from tests.fakes import PATIENCE_SECONDS


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called `prism` that ends at once; PATH has nothing else."""
    path = tmp_path / "bin" / "prism"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\necho this is another prism; exit 3\n")
    path.chmod(0o755)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", f"{path.parent}:/bin:/usr/bin")
    return path


def test_where_the_program_is(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PrismSettings().program() == str(program)
    other = program.with_name("other")
    program.rename(other)
    with pytest.raises(MissingTool, match=f"no `prism` on PATH.*{PACKAGE}"):
        PrismSettings().program()
    monkeypatch.setenv(VARIABLE, str(other))
    assert PrismSettings().program() == str(other)
    with pytest.raises(MissingTool, match="bin/prism is no program"):
        PrismSettings(location=program).program()


def test_options(program: Path) -> None:
    settings = PrismSettings()
    options = settings.pipeline_options()
    assert options.view_as(PrismRunnerOptions).prism_location == str(program)
    assert options.view_as(PortableOptions).environment_type == "LOOPBACK"
    assert isinstance(settings.runner(), PrismRunner)
    assert settings.shares_process
    running = PrismSettings(job_endpoint="localhost:8073")
    with running.started() as started:
        assert started is running
    assert running.pipeline_options().view_as(PortableOptions).job_endpoint == "localhost:8073"


@pytest.mark.parametrize("settings", [{"parallelism": 2}, {"location": 3}])
def test_what_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        PrismSettings(**settings)


def test_flags_take_precedence() -> None:
    settings = PrismSettings(job_endpoint="localhost:1", flags=("--environment_type=EXTERNAL",))
    assert settings.pipeline_options().view_as(PortableOptions).environment_type == "EXTERNAL"
    assert not settings.shares_process


def test_another_program_of_that_name(program: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="this is another prism"),
        PrismSettings(location=program).started(),
    ):
        pass


def test_it_ends_with_its_block(prism: PrismSettings) -> None:
    """Also where the block raises: nobody listens there any more."""
    with (
        pytest.raises(ZeroDivisionError),
        PrismSettings(location=prism.location).started() as started,
    ):
        host, _, port = str(started.job_endpoint).rpartition(":")
        socket.create_connection((host, int(port))).close()
        _ = 1 / 0
    # Killed is killed, but its port may take a moment longer.
    deadline = time.monotonic() + PATIENCE_SECONDS
    with pytest.raises(OSError):
        while time.monotonic() < deadline:
            socket.create_connection((host, int(port))).close()


def test_a_run_by_name(
    prism: PrismSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that starts its own, in the thread that a run has."""
    monkeypatch.setenv(VARIABLE, str(prism.location))
    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(data=[{"x": x} for x in range(10)])
    distiset = pipeline.run(output_dir=tmp_path / "run", runner="prism")
    assert sorted(distiset["default"]["train"]["x"]) == list(range(10))
    assert choose_runner("prism", {"location": prism.location}) == PrismSettings(
        location=prism.location
    )
