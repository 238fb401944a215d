"""Needs and budgets: whether models fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.models import (
    LlamaCppLLM,
    MixtureOfAgentsLLM,
    OpenAILLM,
    TransformersLLM,
)
from beam_distilabel.models.devices import Gpu
from beam_distilabel.models.memory import MemoryBudget, MemoryNeed
from beam_distilabel.models.vllm import memory as vllm_memory, vLLM
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.needs import Needs
from beam_distilabel.steps.tasks import TextGeneration

GPUS = (Gpu("0", "GPU-aaaa"), Gpu("1", "GPU-bbbb"))


def gpu(count: int = 1, share: float = 0.92, *devices: int) -> MemoryNeed:
    return MemoryNeed(gpus=count, share=share, devices=devices)


@pytest.mark.parametrize(
    ("needs", "fits"),
    [
        ([], True),
        ([gpu(), gpu()], True),
        ([gpu(), gpu(), gpu()], False),
        ([gpu(2), gpu()], False),
        ([gpu(2, 0.5), gpu(1, 0.5), gpu(1, 0.5)], True),
        ([gpu(3)], False),
        ([gpu(1, 0.92, 0), gpu(1, 0.92, 0)], False),
        ([gpu(1, 0.92, 0), gpu(1, 0.92, 1)], True),
        # What may go anywhere leaves to others what they need.
        ([gpu(), gpu(1, 0.92, 0)], True),
        ([gpu(1, 0.5, 7)], False),
        ([gpu(1, 0.3), gpu(1, 0.3), gpu(1, 0.4), gpu(1, 0.7)], True),
    ],
)
def test_gpus(needs: list[MemoryNeed], fits: bool) -> None:
    assert MemoryBudget(gpus=GPUS).fits(needs) is fits


def test_memory() -> None:
    budget = MemoryBudget(memory=100)
    assert budget.fits([MemoryNeed(memory=60), MemoryNeed(memory=40)])
    assert not budget.fits([MemoryNeed(memory=60), MemoryNeed(memory=41)])
    assert budget.fits([MemoryNeed(gpus=8)])  # nothing is known of GPUs
    assert MemoryBudget().fits([MemoryNeed(memory=2**60)])


def make_model(folder: Path) -> str:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(bytes(1000))
    (folder / "pytorch_model.bin").write_bytes(bytes(3000))
    return str(folder)


def test_what_a_vllm_needs_on_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_memory, "runs_on_gpus", lambda: False)
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    model = make_model(tmp_path / "model")

    def memory(**extra: Any) -> int:
        return vLLM(model=model, extra_kwargs=extra).memory_need().memory

    assert memory() == 1000 + 2 * 2**30
    assert memory(kv_cache_memory_bytes=5) == 1005
    assert memory(load_format="dummy", kv_cache_memory_bytes=5) == 5
    assert memory(kv_cache_memory_bytes=5, tensor_parallel_size=2) == 1010
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "3")
    assert memory() == 1000 + 3 * 2**30
    assert vLLM(model="someone/not-on-this-host").memory_need().memory == 3 * 2**30


def test_what_a_vllm_needs_on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_memory, "runs_on_gpus", lambda: True)
    monkeypatch.setattr(vllm_memory, "default_share", lambda: 0.9)
    assert vLLM(model="m").memory_need() == gpu(1, 0.9)
    extra = {"tensor_parallel_size": 2, "pipeline_parallel_size": 2, "gpu_memory_utilization": 0.4}
    assert vLLM(model="m", extra_kwargs=extra).memory_need() == gpu(4, 0.4)
    assert vLLM(model="m", cuda_devices=[1]).memory_need() == gpu(1, 0.9, 1)
    ignored = vLLM(model="m", cuda_devices=[1], disable_cuda_device_placement=True)
    assert ignored.memory_need() == gpu(1, 0.9)


def test_what_models_in_the_workers_process_need(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x" * 300)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x" * 700)  # the same weights again
    assert TransformersLLM(model=str(tmp_path)).memory_need() == MemoryNeed(memory=300)
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"x" * 90)
    assert LlamaCppLLM(model_path=weights).memory_need() == MemoryNeed(memory=90)


def test_the_members_of_a_model_are_what_a_step_loads(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x" * 300)
    member = TransformersLLM(model=str(tmp_path))
    mixture = MixtureOfAgentsLLM(
        aggregator_llm=member, proposers_llms=[member, OpenAILLM(model="m", api_key="key")]
    )
    graph = Graph()
    graph.add(TextGeneration(name="ask", llm=mixture))
    (loaded,) = Needs(graph).loaded.values()
    assert (loaded.need, loaded.steps) == (MemoryNeed(memory=300), ["ask"])
