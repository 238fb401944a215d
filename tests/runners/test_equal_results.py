"""The same pipeline gives the same Distiset, failures and report, whatever runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.runners.flink import FlinkSettings
from beam_distilabel.runners.flink_cluster.session_cluster import SessionCluster
from tests.runners.same_everywhere import PIPELINES, outcome_of

Choice = dict[str, Any]
"""The arguments of `Pipeline.run` that choose the runner."""


def in_memory(threads: int) -> Callable[[pytest.FixtureRequest], Choice]:
    return lambda request: {"runner": "direct", "options": {"parallelism": threads}}


def prism(request: pytest.FixtureRequest) -> Choice:
    return {"runner": request.getfixturevalue("prism")}


def embedded_flink(**settings: Any) -> Callable[[pytest.FixtureRequest], Choice]:
    """The session's Flink, with workers in this process or in the session's pool."""

    def choose(request: pytest.FixtureRequest) -> Choice:
        flink = request.getfixturevalue("flink")
        place = {"worker_pool": flink.worker_pool} if settings.get("environment") else {}
        return {
            "runner": "flink",
            "options": {"job_endpoint": flink.endpoint, "parallelism": 2, **settings, **place},
        }

    return choose


def flink_cluster(request: pytest.FixtureRequest) -> Choice:
    return {"runner": request.getfixturevalue("cluster_settings")}


RUNNERS: dict[str, Callable[[pytest.FixtureRequest], Choice]] = {
    "in-memory, 4 threads": in_memory(4),
    "prism": prism,
    "embedded Flink": embedded_flink(),
    "embedded Flink, worker processes": embedded_flink(
        environment="external", sdk_worker_parallelism=2
    ),
    "Flink cluster": flink_cluster,
}


@pytest.fixture(scope="module")
def cluster_settings(session_cluster: SessionCluster) -> Iterator[FlinkSettings]:
    """A cluster of two TaskManagers, with one worker process beside each, and a job server."""
    settings = FlinkSettings(
        master=session_cluster.master,
        worker_pool=session_cluster.worker_pool,
        parallelism=2,
        sdk_worker_parallelism=1,
    )
    with settings.started() as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sources are, the same ones for all."""
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="module")
def expected(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The outcome of each pipeline on one thread in memory."""
    return {name: run(name, folder, tmp_path_factory.mktemp(name), {}) for name in PIPELINES}


def run(name: str, folder: Path, run_dir: Path, choice: Choice) -> dict[str, Any]:
    source = folder / name
    source.mkdir(exist_ok=True)
    PIPELINES[name](source).run(output_dir=run_dir, logging_handlers=[], **choice)
    return outcome_of(run_dir)


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("runner", RUNNERS)
def test_the_same_outcome(
    runner: str,
    name: str,
    folder: Path,
    expected: dict[str, dict[str, Any]],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    found = run(name, folder, tmp_path / "run", RUNNERS[runner](request))
    for part, value in expected[name].items():
        assert found[part] == value, part
    assert found.keys() == expected[name].keys()
