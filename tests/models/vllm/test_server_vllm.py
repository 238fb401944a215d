"""`vLLM(engine="server")` with the real engine: the same answers, and deaths in the middle."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from beam_distilabel.errors import EngineError
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.vllm import vLLM
from beam_distilabel.models.vllm.server import VLLMServerEngine
from tests.models.vllm.parity import USER, answers


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bd") as path, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", path)
        yield Path(path) / f"beam-distilabel-{os.getuid()}"


@pytest.fixture(scope="module")
def served(tiny_model_path: Path, folder: Path) -> Iterator[VLLMServerEngine]:
    llm = vLLM(model=str(tiny_model_path), engine="server", extra_kwargs={"max_num_seqs": 64})
    engine = llm.load_model()
    assert isinstance(engine, VLLMServerEngine)
    processes = [psutil.Process(pid) for pid in engine.process_ids()]
    assert processes
    yield engine
    processes += [psutil.Process(pid) for pid in engine.process_ids()]
    engine.release()
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


def test_it_answers_as_the_embedded_engine(tiny_llm: vLLM, served: VLLMServerEngine) -> None:
    embedded = tiny_llm.load_model()
    try:
        assert answers(served) == answers(embedded)
        assert served.max_in_flight == embedded.max_in_flight == 128
    finally:
        embedded.release()


@pytest.mark.parametrize("victim", ["engine core", "server"])
def test_a_kill_in_the_middle_loses_nothing(
    victim: str, tiny_model_path: Path, served: VLLMServerEngine
) -> None:
    kwargs: dict[str, Any] = {
        "max_new_tokens": 900,
        "extra_sampling_params": {"ignore_eos": True},
    }
    other = VLLMServerEngine(
        vLLM(model=str(tiny_model_path), engine="server", extra_kwargs={"max_num_seqs": 64})
    )
    other.open()
    try:
        server, *rest = served.process_ids()
        assert other.process_ids()[0] == server
        pending = [
            engine.submit(engine.generate(GenerateRequest([USER], 1, kwargs, seed)))
            for engine in (served, other)
            for seed in range(24)
        ]
        # These come with the first tokens of all the others.
        served.call(served.generate(GenerateRequest("pack", 1, {"max_new_tokens": 1})))
        assert not all(one.done() for one in pending)
        core = [pid for pid in rest if "EngineCore" in " ".join(psutil.Process(pid).cmdline())]
        core = core or [pid for pid in rest if "spawn_main" in str(psutil.Process(pid).cmdline())]
        killed = psutil.Process(core[0] if victim == "engine core" else server)
        others = [psutil.Process(pid) for pid in rest]
        os.kill(killed.pid, signal.SIGKILL)
        outputs = [one.result() for one in pending]
        assert [o["statistics"]["output_tokens"] for o in outputs] == [[900]] * 48
        texts = [output["generations"][0] for output in outputs]
        assert texts[:24] == texts[24:] and len(set(texts)) == 24
        assert (served.process_ids()[0] == server) == (victim == "engine core")
        if victim == "server":
            psutil.wait_procs(others, timeout=30)
            assert not any(
                one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in others
            )
    finally:
        other.close()


def test_too_little_memory_is_said_in_the_engines_words(
    tiny_model_path: Path, folder: Path
) -> None:
    before = set(folder.glob("*.json"))
    llm = vLLM(
        model=str(tiny_model_path),
        engine="server",
        extra_kwargs={"kv_cache_memory_bytes": 2**16},
    )
    with pytest.raises(EngineError, match="memory for the cache blocks"):
        llm.load()
    assert set(folder.glob("*.json")) == before
    with pytest.raises(EngineError, match="/no/such/model"):
        vLLM(model="/no/such/model", engine="server").load()
