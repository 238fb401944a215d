"""Fixtures that `tests/conftest.py` imports: `flink` and `session_cluster`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TypeVar

import pytest

from beam_distilabel.runners.flink_cluster.jars import MissingTool
from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer
from beam_distilabel.runners.flink_cluster.session_cluster import SessionCluster

_Processes = TypeVar("_Processes", FlinkJobServer, SessionCluster)


@contextlib.contextmanager
def started(processes: _Processes) -> Iterator[_Processes]:
    """Skip the test where Java or Maven is missing."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(processes)
        except MissingTool as error:
            pytest.skip(str(error))
        yield processes


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkJobServer]:
    """A job server with embedded Flink and two workers, one for the whole session."""
    with started(FlinkJobServer(tmp_path_factory.mktemp("flink"))) as server:
        yield server


@pytest.fixture(scope="session")
def session_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionCluster]:
    """Two TaskManagers with two slots and a worker pool each, one cluster for the whole session."""
    with started(SessionCluster(tmp_path_factory.mktemp("cluster"))) as cluster:
        yield cluster
