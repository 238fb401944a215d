"""Numbers that come from the user, and are none."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.vllm import vLLM
from beam_distilabel.models.vllm.embeddings import vLLMEmbeddings
from beam_distilabel.models.vllm.settings import CACHE_VARIABLE, READY_VARIABLE, ready_seconds


@pytest.mark.parametrize("kind", [vLLM, vLLMEmbeddings])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tensor_parallel_size", "two"),
        ("tensor_parallel_size", 0),
        ("pipeline_parallel_size", 1.5),
        ("data_parallel_size", True),
        ("kv_cache_memory_bytes", "4 GiB"),
        ("gpu_memory_utilization", 90),
    ],
)
def test_sizes_are_checked_where_the_model_is_made(
    kind: type[BaseModel], name: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}.extra_kwargs=.*{name}.*") as e:
        kind(model="m", extra_kwargs={name: value})
    assert repr(value) in str(e.value)


def test_sizes_that_a_run_gives_are_checked_too() -> None:
    llm = vLLM(model="m", extra_kwargs={"tensor_parallel_size": 2})
    llm.extra_kwargs = {"tensor_parallel_size": "two"}
    with pytest.raises(DistilabelUserError, match="'two'"):
        llm.memory_need()
    with pytest.raises(DistilabelUserError, match="'two'"):
        llm.check_start()


@pytest.mark.parametrize("variable", [READY_VARIABLE, CACHE_VARIABLE])
@pytest.mark.parametrize("value", ["abc", "-1", "0", "nan", "inf"])
def test_the_environment_is_checked_before_a_run(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(DistilabelUserError, match=f"{variable} is '{value}'"):
        vLLM(model="m").check_start()


def test_how_long_a_start_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(READY_VARIABLE, raising=False)
    assert ready_seconds() == 1800
    monkeypatch.setenv(READY_VARIABLE, "2.5")
    assert ready_seconds() == 2.5
