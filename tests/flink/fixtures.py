"""Fixtures that `tests/conftest.py` imports: `flink`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from beam_distilabel.runners.flink_cluster.jars import MissingTool
from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkJobServer]:
    """A job server with embedded Flink and two workers, one for the whole session."""
    try:
        server = FlinkJobServer(tmp_path_factory.mktemp("flink")).__enter__()
    except MissingTool as error:
        pytest.skip(str(error))
    with server:
        yield server
