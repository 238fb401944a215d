"""`vLLM(engine="server")` with the real engine: the same answers, and deaths in the middle."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
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


async def ask_until(
    killed: threading.Event, begun: threading.Event, engine: VLLMServerEngine, seed: int
) -> list[str | None]:
    """Answers to one request that is sent again and again, the last time after the kill."""
    kwargs: dict[str, Any] = {
        # Of different lengths, so that some are under way whenever others have just ended.
        "max_new_tokens": 60 + 25 * seed,
        "extra_sampling_params": {"ignore_eos": True},
    }
    texts: list[str | None] = []
    last = False
    while not last:
        last = killed.is_set()
        output = await engine.generate(GenerateRequest([USER], 1, kwargs, seed))
        begun.set()
        assert output["statistics"]["output_tokens"] == [60 + 25 * seed]
        texts += output["generations"]
    return texts


@pytest.mark.parametrize("victim", [pytest.param("engine core", marks=pytest.mark.slow), "server"])
def test_a_kill_in_the_middle_loses_nothing(
    victim: str, tiny_model_path: Path, served: VLLMServerEngine
) -> None:
    other = VLLMServerEngine(
        vLLM(model=str(tiny_model_path), engine="server", extra_kwargs={"max_num_seqs": 64})
    )
    other.open()
    try:
        server, *rest = served.process_ids()
        assert other.process_ids()[0] == server
        killed, begun = threading.Event(), threading.Event()
        pending = [
            engine.submit(ask_until(killed, begun, engine, seed))
            for engine in (served, other)
            for seed in range(8)
        ]
        assert begun.wait(60)
        core = [pid for pid in rest if "EngineCore" in " ".join(psutil.Process(pid).cmdline())]
        core = core or [pid for pid in rest if "spawn_main" in str(psutil.Process(pid).cmdline())]
        others = [psutil.Process(pid) for pid in rest]
        os.kill(core[0] if victim == "engine core" else server, signal.SIGKILL)
        killed.set()
        texts = [set(one.result()) for one in pending]
        assert all(len(equal) == 1 for equal in texts)
        assert texts[:8] == texts[8:] and len(set.union(*texts)) == 8
        assert (served.process_ids()[0] == server) == (victim == "engine core")
        if victim == "server":
            psutil.wait_procs(others, timeout=30)
            assert not any(
                one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in others
            )
        else:
            assert core[0] not in served.process_ids()
    finally:
        other.close()


@pytest.mark.slow
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


def test_a_model_that_is_not_there_starts_no_server(folder: Path) -> None:
    before = set(folder.glob("*"))
    with pytest.raises(EngineError, match="/no/such/model"):
        vLLM(model="/no/such/model", engine="server").load()
    assert set(folder.glob("*")) == before
