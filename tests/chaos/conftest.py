"""What the chaos tests share: one server, and what a run gives that nobody disturbs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from beam_distilabel.row import Row
from tests.chaos.counting_server import JUDGE, WRITER, CountingServer
from tests.chaos.runs import ROWS, Run, asked_rows, result_of


@pytest.fixture(scope="session")
def server() -> Iterator[CountingServer]:
    with CountingServer() as one:
        yield one


@pytest.fixture(scope="session")
def undisturbed(server: CountingServer, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """The rows of a run of `ROWS` rows that nobody disturbs; one of fewer rows has the first."""
    folder = tmp_path_factory.mktemp("undisturbed")
    server.forget()
    assert "report" in Run(server.url, folder / "run", ROWS, folder / "outcome.json").wait()
    assert set(server.asked().values()) == {1}
    assert asked_rows(server) == {WRITER: ROWS, JUDGE: ROWS}
    rows = result_of(folder / "run")
    assert len({(row["instruction"], row["generation"], row["feedback"]) for row in rows}) == ROWS
    return rows
