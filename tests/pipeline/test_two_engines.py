"""A generator and a judge on two real engines, with memory for one of them."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
import pytest

from beam_distilabel.models.vllm import vLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from tests.pipeline.running import rows_of
from tests.tiny_model import make_tiny_model

SAMPLE_SECONDS = 0.2


class EngineSampler:
    """Looks every 0.2 s for processes that this one has started since, and that are engines.

    Attributes:
        looks: the process ids of each look.
    """

    def __init__(self) -> None:
        self.looks: list[frozenset[int]] = []
        self._before = self._engines()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> EngineSampler:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    @staticmethod
    def _engines() -> frozenset[int]:
        found = set()
        for process in psutil.Process().children():
            try:
                command = " ".join(process.cmdline())
                # vLLM renames its process once it has started.
                if "spawn_main" in command or "EngineCore" in command:
                    found.add(process.pid)
            except psutil.Error:
                continue
        return frozenset(found)

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self.looks.append(self._engines() - self._before)


def test_a_generator_and_a_judge_are_never_loaded_together(tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    cache = 64 * 2**20

    def llm(context: int) -> vLLM:
        model = make_tiny_model(tmp_path / f"model-{context}", context=context)
        return vLLM(
            model=str(model),
            extra_kwargs={"max_num_seqs": 8, "kv_cache_memory_bytes": cache},
            generation_kwargs={"max_new_tokens": 12, "temperature": 0.5},
        )

    generator, judge = llm(512), llm(256)
    need = generator.memory_need().memory
    assert need > cache
    data = [{"instruction": f"how many words does the fox need? {x}"} for x in range(20)]
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=data)
        first = TextGeneration(name="first", llm=generator)
        second = TextGeneration(
            name="second",
            llm=generator.model_copy(),
            output_mappings={"generation": "other"},
        )
        verdict = TextGeneration(
            name="verdict",
            llm=judge,
            input_mappings={"instruction": "generation"},
            output_mappings={"generation": "verdict"},
        )
        load >> first >> second >> verdict
    with EngineSampler() as sampler:
        handle = pipeline.submit(
            output_dir=tmp_path / "run", memory_budget=int(1.5 * need), logging_handlers=[]
        )
        rows = rows_of(handle.distiset())
    assert handle.report["jobs"] == [["load", "first", "second"], ["verdict"]]
    assert len(rows) == 20
    # Random weights may end an answer at once, so it may be empty.
    assert all(isinstance(r[c], str) for r in rows for c in ("generation", "other", "verdict"))
    assert handle.report["failures"] == 0
    # Two engines for the three Steps, and never both.
    assert max(map(len, sampler.looks)) == 1
    assert len(frozenset().union(*sampler.looks)) == 2
