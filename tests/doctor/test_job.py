"""The three rows, on the in-memory runner and with models that fail."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.doctor.job import EchoLLM, look_at_job
from beam_distilabel.errors import EngineError, GenerationError
from beam_distilabel.models.base import AsyncLLM

SECONDS = 240.0


class Fails(AsyncLLM):
    """Fails as it is told."""

    how: str

    @property
    def model_name(self) -> str:
        return "fails"

    def load(self) -> None:
        if self.how == "start":
            raise EngineError("there is no GPU for it")

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
        if self.how == "hang":
            await asyncio.sleep(3600)
        if self.how == "all" or "two" in input[-1]["content"]:
            raise GenerationError("the model refuses")
        return {"generations": ["fine"] * num_generations}


def test_three_rows_come_through(tmp_path: Path) -> None:
    before = logging.root.manager.disable
    finding = look_at_job("direct", {"parallelism": 2}, None, str(tmp_path), SECONDS)
    assert finding.status == "ok"
    assert "3 rows in" in finding.detail and "'Say one.'" in finding.detail
    assert not list(tmp_path.iterdir())
    assert logging.root.manager.disable == before


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("start", "there is no GPU for it"),
        ("some", "2 of 3 rows came through: the model refuses"),
        ("all", "the model refuses"),
    ],
)
def test_rows_that_do_not(how: str, said: str, tmp_path: Path) -> None:
    finding = look_at_job(None, None, Fails(how=how), str(tmp_path), SECONDS)
    assert finding.status == "failed"
    assert said in finding.detail and finding.remedy
    assert len(list(tmp_path.iterdir())) == 1  # kept, to be looked at


def test_a_job_that_does_not_end(tmp_path: Path) -> None:
    finding = look_at_job(None, None, Fails(how="hang"), str(tmp_path), 1.0)
    assert finding.status == "failed"
    assert "didn't end within 1 s" in finding.detail and "pipeline.log" in finding.remedy


def test_a_runner_that_cannot_be(tmp_path: Path) -> None:
    finding = look_at_job("direct", {"paralelism": 2}, EchoLLM(), str(tmp_path), SECONDS)
    assert (finding.status, "'parallelism'" in finding.detail) == ("failed", True)
