"""The keys of answers: what changes them, and what doesn't."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.pipeline import PipelineVisitor
from hypothesis import given, settings, strategies as st
from pydantic import BaseModel

from beam_distilabel.checkpoint import CheckpointSettings
from beam_distilabel.context import RunContext
from beam_distilabel.generate import Asked, RowGenerate
from beam_distilabel.models.base import AsyncLLM, answer_identity_of
from beam_distilabel.models.inference_endpoints import InferenceEndpointsLLM
from beam_distilabel.models.llamacpp.llm import LlamaCppLLM
from beam_distilabel.models.mixture_of_agents import MixtureOfAgentsLLM
from beam_distilabel.models.openai.llm import OpenAILLM
from beam_distilabel.models.transformers.llm import TransformersLLM
from beam_distilabel.models.vllm.client import ClientvLLM
from beam_distilabel.models.vllm.embeddings import vLLMEmbeddings
from beam_distilabel.models.vllm.identity import of_answers
from beam_distilabel.models.vllm.llm import vLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.progress import forget, read_progress
from beam_distilabel.rollouts import task_key
from beam_distilabel.row import fingerprint
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import PrometheusEval, TextGeneration
from beam_distilabel.typing import GenerateOutput
from tests.checkpoint.faulty import FAULTS
from tests.fakes import FakeLLM, SeededLLM, journal, new_name, run

BASE: dict[str, Any] = {
    "name": "judge",
    "mode": "absolute",
    "rubric": "helpfulness",
    "num_generations": 1,
}
ROW = {"instruction": "why?", "generation": "because"}


def judge(context: RunContext | None = None, llm: Any = None, **fields: Any) -> Any:
    task = PrometheusEval(llm=llm or FakeLLM(tag="a model"), **{**BASE, **fields})
    task._context = context or RunContext()
    return task


class Key(BaseException):
    """What is asked for."""


def key_of(task: Any, row: dict[str, Any], draw: int = 0) -> str:
    """The key under which a Task looks for the answer to a row."""

    class Finds:
        async def find(self, key: str) -> GenerateOutput:
            raise Key(key)

    finds: Any = Finds()
    asked = Asked(task_key(task), task.model.get_generation_kwargs(), finds)
    generate = RowGenerate(asked, draw)
    try:
        task.rollout(row, generate).send(None)
    except Key as found:
        return str(found)
    raise AssertionError("nothing is asked")


def test_what_changes_a_key() -> None:
    same = key_of(judge(), ROW)
    changed = {
        "name": key_of(judge(name="other"), ROW),
        "rubric": key_of(judge(rubric="honesty"), ROW),
        "reference": key_of(judge(reference=True), {**ROW, "reference": "so"}),
        "num_generations": key_of(judge(num_generations=2), ROW),
        "schema": key_of(judge(llm=FakeLLM(tag="a model", generation_kwargs={"a": {"b": 1}})), ROW),
        "model": key_of(judge(llm=FakeLLM(tag="another")), ROW),
        "seed": key_of(judge(RunContext(seed=1)), ROW),
        "draw": key_of(judge(), ROW, 1),
        "row": key_of(judge(), {**ROW, "generation": "for"}),
        "temperature": key_of(
            judge(llm=FakeLLM(tag="a model", generation_kwargs={"temperature": 0.5})), ROW
        ),
    }
    assert len({same, *changed.values()}) == len(changed) + 1


def test_what_changes_no_key(tmp_path: Path) -> None:
    same = key_of(judge(), ROW)
    assert same == key_of(judge(RunContext(run_dir=str(tmp_path), dry_run=True)), ROW)
    for fields in (
        {"max_in_flight": 3},
        {"prefix_affinity": True},
        {"add_raw_output": False, "add_raw_input": False},
        {"on_failure": "drop"},
        {"max_retries": 4},
        {"group_generations": True},
        {"use_cache": False},
        {"input_batch_size": 7},
        {"output_mappings": {"feedback": "notes"}},
    ):
        assert key_of(judge(**fields), ROW) == same, fields
    # Neither what the row is called, nor what else it has.
    named = {"unused": 1, **dict(reversed(ROW.items())), "_row_id": "0-77"}
    assert key_of(judge(), named) == same
    warm = judge(llm=FakeLLM(tag="a model", generation_kwargs={"temperature": 1}))
    warmer = judge(llm=FakeLLM(tag="a model", generation_kwargs={"temperature": 1.0}))
    assert key_of(warm, ROW) == key_of(warmer, ROW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=60)
@given(JSON, JSON)
def test_keys_are_equal_where_the_content_is(one: Any, other: Any) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shuffled(item) for key, item in reversed(value.items())}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    def key(value: Any) -> str:
        return fingerprint(answer_identity_of({"kwargs": value}))

    assert key(one) == key(shuffled(one))
    texts = [json.dumps(value, sort_keys=True) for value in (one, other)]
    assert (key(one) == key(other)) == (texts[0] == texts[1])


class Answer(BaseModel):
    text: str = "no"


def test_objects_that_are_no_data_count_by_their_class() -> None:
    assert answer_identity_of(functools.partial(print, 1)) == "partial"
    assert answer_identity_of(object()) == "object"
    assert answer_identity_of(lambda: 1) == answer_identity_of(lambda: 2)
    assert answer_identity_of(Answer)["properties"]["text"]["default"] == "no"
    assert answer_identity_of(Answer())["text"] == "no"
    assert answer_identity_of(Answer()) != answer_identity_of(Answer(text="yes"))
    assert answer_identity_of(Path("a/b")) == "a/b"


SCRIPT = """
from tests.test_answer_keys import ROW, judge, key_of
print(key_of(judge(llm=None), ROW))
"""


def test_keys_are_equal_in_every_process() -> None:
    found = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", SCRIPT]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.add(done.stdout.split()[-1])
    assert found == {key_of(judge(), ROW)}


# ------------------------------------------------------------------------------------ models


def answers(model: Any) -> str:
    return fingerprint(model.answer_identity())


@pytest.mark.parametrize("kind", [vLLM, vLLMEmbeddings])
def test_how_vllm_is_run_changes_no_key(kind: Any) -> None:
    same = answers(kind(model="m"))
    for how in (
        {"tensor_parallel_size": 4},
        {"pipeline_parallel_size": 2, "data_parallel_size": 2},
        {"gpu_memory_utilization": 0.5, "kv_cache_memory_bytes": 10},
        {"max_num_seqs": 4, "max_num_batched_tokens": 512},
        {"enable_prefix_caching": False, "enable_chunked_prefill": False},
        {"disable_log_stats": True, "enable_log_requests": True},
        {"num_gpu_blocks_override": 9, "block_size": 32, "cpu_offload_gb": 1, "swap_space": 1},
        {"enforce_eager": True, "distributed_executor_backend": "mp", "download_dir": "/x"},
    ):
        assert answers(kind(model="m", extra_kwargs=how)) == same, how
    assert answers(kind(model="m", cuda_devices=[1], max_in_flight=3)) == same
    for what in (
        {"dtype": "float16"},
        {"quantization": "fp8"},
        {"revision": "main"},
        {"extra_kwargs": {"max_model_len": 512}},
        {"extra_kwargs": {"kv_cache_dtype": "fp8"}},
        {"extra_kwargs": {"reasoning_parser": "qwen3"}},
        {"extra_kwargs": {"hf_overrides": {"rope": 1}}},
        {"extra_kwargs": {"limit_mm_per_prompt": {"image": 1}}},
        {"extra_kwargs": {"an_argument_of_tomorrow": 1}},
    ):
        assert answers(kind(model="m", **what)) != same, what
    assert answers(kind(model="n")) != same


def test_every_name_is_an_argument_of_vllm() -> None:
    arguments = pytest.importorskip("vllm.engine.arg_utils").AsyncEngineArgs
    from dataclasses import fields

    from beam_distilabel.models.vllm import identity

    known = {field.name for field in fields(arguments)}
    left_out = {name for name in known if not of_answers({name: 1})}
    # Of other versions of vLLM.
    assert identity._NAMES - known <= {"swap_space", "nnodes_within_dp"}
    assert not left_out & {
        *("model", "dtype", "kv_cache_dtype", "quantization", "revision", "seed", "load_format"),
        *(
            "max_model_len",
            "tokenizer",
            "tokenizer_mode",
            "hf_overrides",
            "lora_dtype",
            "max_logprobs",
        ),
        *("speculative_config", "reasoning_parser", "pooler_config", "mm_processor_kwargs"),
        *("limit_mm_per_prompt", "generation_config", "override_generation_config", "runner"),
        *("disable_sliding_window", "enable_lora", "max_lora_rank", "logits_processors"),
    }


def test_the_place_of_a_vllm_server_changes_no_key() -> None:
    url = vLLM(model="m", engine="url", base_url="http://one:1/v1")
    assert answers(url) == answers(vLLM(model="m", engine="url", base_url="http://two:2/v1"))
    assert answers(url) == answers(vLLM(model="m")) == answers(vLLM(model="m", engine="server"))
    one = ClientvLLM(model="m", base_url="http://one:1/v1")
    assert answers(one) == answers(ClientvLLM(model="m", base_url="http://two:2/v1", timeout=9))
    assert answers(one) != answers(ClientvLLM(model="n", base_url="http://one:1/v1"))


def test_a_chat_template_counts_by_its_text(tmp_path: Path) -> None:
    file = tmp_path / "template.jinja"
    file.write_text("{{ messages }}")
    copy = tmp_path / "copy.jinja"
    copy.write_text("{{ messages }}")
    one = answers(vLLM(model="m", chat_template=str(file)))
    assert one == answers(vLLM(model="m", chat_template=str(copy)))
    assert one == answers(vLLM(model="m", chat_template="{{ messages }}"))
    file.write_text("{{ messages }}!")
    assert one != answers(vLLM(model="m", chat_template=str(file)))


def test_other_models(tmp_path: Path) -> None:
    local = TransformersLLM(model="m")
    assert answers(local) == answers(TransformersLLM(model="m", batch_size=3, device="cpu"))
    assert answers(local) != answers(TransformersLLM(model="m", revision="r"))
    path = tmp_path / "m.gguf"
    path.touch()
    file = LlamaCppLLM(model_path=path)
    assert answers(file) == answers(LlamaCppLLM(model_path=path, n_gpu_layers=2, verbose=True))
    assert answers(file) != answers(LlamaCppLLM(model_path=path, n_ctx=77))
    remote = InferenceEndpointsLLM(model_id="m", api_key="hf_a")
    assert answers(remote) == answers(
        InferenceEndpointsLLM(model_id="m", api_key="hf_b", timeout=3, model_display_name="M")
    )
    assert answers(remote) != answers(InferenceEndpointsLLM(model_id="m", provider="together"))
    small = OpenAILLM(model="small", api_key="k")
    assert answers(small) == answers(
        OpenAILLM(model="small", api_key="other", use_offline_batch_generation=True)
    )
    assert answers(small) != answers(OpenAILLM(model="small", base_url="http://x/v1", api_key="k"))


def test_a_mixture_is_its_members() -> None:
    def mixture(**fields: Any) -> MixtureOfAgentsLLM:
        member = vLLM(model="m", **fields)
        return MixtureOfAgentsLLM(aggregator_llm=vLLM(model="big"), proposers_llms=[member])

    same = answers(mixture())
    assert same == answers(mixture(extra_kwargs={"tensor_parallel_size": 2}, max_in_flight=2))
    assert same != answers(mixture(dtype="float16"))
    assert same != answers(mixture(generation_kwargs={"temperature": 0.1}))


# ------------------------------------------------------------------------------------ pipelines


class Chain(AsyncLLM):
    """Answers with the prompt and the Task's mark."""

    tag: str

    @property
    def model_name(self) -> str:
        return "chain"

    def answer_identity(self) -> dict[str, Any]:
        return {"class": "chain"}

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
        journal(self.tag).add(input[-1]["content"])
        return {"generations": [f"{input[-1]['content']}'"] * num_generations}


def chain(tag: str, names: str, cache: Path) -> Pipeline:
    shared = cache / "shared"
    with Pipeline(name=f"chain-{names}", cache_dir=cache, response_cache_dir=shared) as p:
        data = [{"instruction": f"q{i}"} for i in range(9)]
        last: Any = LoadDataFromDicts(name="load", data=data)
        column = "instruction"
        for name in names:
            task = TextGeneration(
                name=name,
                llm=Chain(tag=tag),
                input_mappings={"instruction": column},
                output_mappings={"generation": name},
            )
            last >> task
            last, column = task, name
    return p


def test_a_chain_is_used_by_a_longer_one(tmp_path: Path) -> None:
    tag = new_name()
    first = chain(tag, "abc", tmp_path).run(logging_handlers=[])
    assert len(journal(tag).events) == 27
    journal(tag).events.clear()
    longer = chain(tag, "abcd", tmp_path).run(logging_handlers=[])
    assert Counter(journal(tag).events) == Counter(f"q{i}'''" for i in range(9))
    assert longer["default"]["train"]["c"] == first["default"]["train"]["c"]
    assert len({path.name for path in (tmp_path / "shared").iterdir()}) == 4

    # What was found there is the longer run's own from now on.
    for file in (tmp_path / "shared").rglob("*.parquet"):
        file.unlink()
    journal(tag).events.clear()
    chain(tag, "abcd", tmp_path).run(logging_handlers=[])
    assert journal(tag).events == []


def test_equal_tasks_of_other_names_dont_answer_alike(tmp_path: Path) -> None:
    llm = SeededLLM(tag=new_name())
    with Pipeline(name="two") as pipeline:
        load = LoadDataFromDicts(data=[{"instruction": "why?"}])
        for name in ("a", "b"):
            load >> TextGeneration(name=name, llm=llm, output_mappings={"generation": name})
    for _ in range(2):
        distiset = pipeline.run(output_dir=tmp_path / "run", logging_handlers=[])
        texts = [distiset[name]["train"][0][name] for name in ("a", "b")]
        assert texts[0] != texts[1]
        assert len(journal(llm.tag).events) == 2


def test_no_engine_is_started_before_something_is_asked(tmp_path: Path) -> None:
    tag = new_name()
    context = RunContext(str(tmp_path), checkpoint=CheckpointSettings())

    def answered(count: int) -> list[Any]:
        task = TextGeneration(name="write", llm=FakeLLM(tag=tag))
        task._context = context
        return run([{"instruction": f"q{i}"} for i in range(count)], task)

    life = journal(f"{tag}/life").events
    assert len(answered(20)) == 20
    assert life == ["load", "unload"]
    assert len(answered(20)) == 20
    assert life == ["load", "unload"]
    assert len(answered(21)) == 21
    assert life == ["load", "unload"] * 2
    assert Counter(journal(tag).events) == Counter(f"q{i}" for i in range(21))
    counts = read_progress(str(tmp_path))["write"]
    assert (counts["reused"], counts["requests"], counts["rows_out"]) == (40, 21, 61)
    forget(str(tmp_path))


def test_no_shuffle_comes_with_a_task() -> None:
    class Shuffles(PipelineVisitor):
        def __init__(self) -> None:
            self.names: list[str] = []
            self.found: list[str] = []

        def visit_transform(self, node: Any) -> None:
            self.names.append(node.full_label)
            if isinstance(node.transform, (beam.GroupByKey, beam.CoGroupByKey, beam.Reshuffle)):
                self.found.append(node.full_label)

        enter_composite_transform = visit_transform

    pipeline = beam.Pipeline()
    rows = pipeline | beam.Create([dict(ROW)], reshuffle=False)
    context = RunContext(run_dir="memory://shuffles")
    for name in ("one", "two"):
        task = judge(context, name=name)
        rows = rows | task
    visitor = Shuffles()
    pipeline.visit(visitor)
    assert any("two" in name and "Rollouts" in name for name in visitor.names)
    assert visitor.found == []


class Named(AsyncLLM):
    """A user's own, whose fields don't say which model it is."""

    @property
    def model_name(self) -> str:
        return NAMES[-1]

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1
    ) -> Any:
        return {"generations": [f"{NAMES[-1]} says"] * num_generations}


NAMES = ["first"]


def test_a_users_model_counts_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_of(judge(llm=Named()), ROW)
    assert key_of(judge(llm=Named()), ROW) == before
    monkeypatch.setitem(globals(), "NAMES", ["second"])
    assert key_of(judge(llm=Named()), ROW) != before


def test_a_shared_folder_that_fails_costs_itself(tmp_path: Path) -> None:
    """The run goes on with what it keeps itself."""
    tag = new_name()
    for _ in range(2):
        FAULTS.__init__()  # type: ignore[misc]
        FAULTS.room = 0
        shared = f"faulty://{tmp_path}/shared"
        with Pipeline(name="shares", response_cache_dir=shared) as pipeline:
            load = LoadDataFromDicts(data=[{"instruction": str(n)} for n in range(40)])
            _ = load >> TextGeneration(name="ask", llm=SeededLLM(tag=tag))
        distiset = pipeline.run(
            output_dir=tmp_path / "own",
            checkpoint={"rows": 4, "seconds": 0.1},
            logging_handlers=[],
        )
        assert distiset["default"]["train"].num_rows == 40
    assert len(journal(tag).events) == 40
    log = (tmp_path / "own" / "pipeline.log").read_text()
    assert "goes on without its response_cache_dir" in log
