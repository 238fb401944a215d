"""The Batch API: sent, waited for, come back for, and never charged twice."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from beam_distilabel.errors import (
    DistilabelOfflineBatchGenerationNotFinishedException as NotFinished,
    EngineError,
    PipelineValidationError,
    RunFailedError,
)
from beam_distilabel.models.openai import OpenAILLM, batch as openai_batch
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps.tasks import TextGeneration
from tests.fakes import Ask, FakeLLM, no_engine_is_left  # noqa: F401
from tests.openai_server import Fault, OpenAIServer
from tests.openai_server.fixtures import openai_server  # noqa: F401
from tests.pipeline.running import columns, failures_of, rows_of

pytestmark = pytest.mark.usefixtures("no_engine_is_left", "quick")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests come at once here."""
    monkeypatch.setattr(openai_batch, "QUIET_SECONDS", 0.2)


def llm_of(server: OpenAIServer, **fields: Any) -> OpenAILLM:
    given = {
        "model": "tiny",
        "base_url": server.url,
        "api_key": server.key,
        "use_offline_batch_generation": True,
        "generation_kwargs": {"max_new_tokens": 50},
    }
    return OpenAILLM(**{**given, **fields})


def chats(*prompts: str) -> list[Any]:
    return [[{"role": "user", "content": prompt}] for prompt in prompts]


def texts(outputs: list[Any]) -> list[Any]:
    return [output["generations"] for output in outputs]


def done(server: OpenAIServer) -> None:
    """All batches are done at the next look."""
    server.batches.looks = 0
    for batch in server.batches.made.values():
        if batch["status"] == "validating":
            batch["status"] = "in_progress"


def test_it_is_waited_for(openai_server: OpenAIServer) -> None:  # noqa: F811
    llm = llm_of(openai_server, offline_batch_generation_block_until_done=1)
    llm.load()
    outputs = llm.generate_outputs(chats("a", "b", "a"), num_generations=2, max_new_tokens=9)
    llm.unload()
    expected = [[f"answer to {p}", f"answer to {p} #1"] for p in "aba"]
    assert texts(outputs) == expected
    assert outputs[0]["statistics"] == {"input_tokens": [1], "output_tokens": [3, 4]}
    (batch,) = openai_server.batches.made.values()
    assert (batch["endpoint"], batch["completion_window"]) == ("/v1/chat/completions", "24h")
    body = openai_server.batches.requests()[0]["body"]
    assert (body["model"], body["n"], body["max_tokens"]) == ("tiny", 2, 9)
    assert openai_server.received == [], "nothing was asked one by one"


def test_it_is_come_back_for(openai_server: OpenAIServer) -> None:  # noqa: F811
    """As in distilabel: the LLM keeps the ids, and a later call has the answers."""
    openai_server.batches.looks = None
    llm = llm_of(openai_server)
    llm.load()
    for _ in range(2):
        with pytest.raises(NotFinished, match="not finished. Run again") as caught:
            llm.generate_outputs(chats("a", "b"))
    assert caught.value.jobs_ids == llm.jobs_ids == ("batch-0",)
    assert pickle.loads(pickle.dumps(caught.value)).jobs_ids == ("batch-0",)
    done(openai_server)
    assert texts(llm.generate_outputs(chats("a", "b"))) == [["answer to a"], ["answer to b"]]
    llm.unload()
    assert openai_server.charged == {"a": 1, "b": 1}
    assert list(openai_server.batches.made) == ["batch-0"]


def test_rows_that_moved_or_came_since(openai_server: OpenAIServer) -> None:  # noqa: F811
    llm = llm_of(openai_server)
    llm.load()
    with pytest.raises(NotFinished):
        llm.generate_outputs(chats("a", "b"))
    done(openai_server)
    with pytest.raises(NotFinished) as caught:
        llm.generate_outputs(chats("new", "b", "a"))
    assert caught.value.jobs_ids == ("batch-0", "batch-1")
    done(openai_server)
    found = texts(llm.generate_outputs(chats("new", "b", "a")))
    llm.unload()
    assert found == [["answer to new"], ["answer to b"], ["answer to a"]]
    assert openai_server.charged == {"a": 1, "b": 1, "new": 1}


def test_a_batch_whose_making_got_no_answer_is_made_once(
    openai_server: OpenAIServer,  # noqa: F811
) -> None:
    openai_server.batches.lose_answer_to_creation = 1
    llm = llm_of(openai_server, offline_batch_generation_block_until_done=1)
    llm.load()
    assert texts(llm.generate_outputs(chats("a"))) == [["answer to a"]]
    llm.unload()
    assert list(openai_server.batches.made) == ["batch-0"]


def test_in_a_pipeline(openai_server: OpenAIServer, tmp_path: Path) -> None:  # noqa: F811
    """The first run sends, the second has the answers; one bad row costs one row."""
    openai_server.faults.append(Fault("content_filter", r"^7$", times=None))
    rows = [{"instruction": f"{i}"} for i in range(40)]
    with Pipeline("batches") as pipeline:
        TextGeneration(llm=llm_of(openai_server), name="ask")
    with pytest.raises(RunFailedError) as caught:
        pipeline.run(dataset=rows, output_dir=tmp_path / "first", options={"parallelism": 2})
    assert "batch-0" in str(caught.value)
    done(openai_server)
    distiset = pipeline.run(dataset=rows, output_dir=tmp_path / "second")
    expected = [(f"answer to {i}" if i != 7 else None,) for i in range(40)]
    assert columns(rows_of(distiset), "generation") == expected
    (failure,) = failures_of(tmp_path / "second")
    assert (failure["kind"], failure["row"]["instruction"]) == ("refused", "7")
    assert "The prompt was filtered" in failure["message"]
    assert list(openai_server.batches.made) == ["batch-0"]
    assert openai_server.charged == {f"{i}": 1 for i in range(40) if i != 7}


class Person(BaseModel):
    name: str


def test_structure_is_checked(openai_server: OpenAIServer) -> None:  # noqa: F811
    openai_server.answer = lambda body, index: '{"name": "Ada"}' if index == 0 else "{}"
    llm = llm_of(
        openai_server,
        structured_output={"schema": Person},
        offline_batch_generation_block_until_done=1,
    )
    llm.load()
    (output,) = llm.generate_outputs(chats("a"), num_generations=2)
    llm.unload()
    assert output["generations"] == ['{"name": "Ada"}', None]
    assert output["failures"][1]["kind"] == "schema"
    asked = openai_server.batches.requests()[0]["body"]["response_format"]["json_schema"]
    assert asked["name"] == "Person"


def test_what_one_batch_cannot_hold(
    openai_server: OpenAIServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openai_batch, "MAX_BYTES", 1_000)
    llm = llm_of(openai_server, offline_batch_generation_block_until_done=1)
    prompts = ["x" * 600, "y" * 300, "z"]
    llm.load()
    outputs = llm.generate_outputs([*chats(*prompts), "raw"])
    llm.unload()
    assert texts(outputs) == [[f"answer to {prompt}"] for prompt in [*prompts, "raw"]]
    made = openai_server.batches.made.values()
    sizes = [len(openai_server.batches.files[batch["input_file_id"]]) for batch in made]
    assert len(sizes) == 3 and max(sizes) <= 1_000
    assert [batch["endpoint"] for batch in made].count("/v1/completions") == 1


def test_what_expired_is_sent_again(openai_server: OpenAIServer) -> None:  # noqa: F811
    openai_server.batches.expiring = {"b"}
    llm = llm_of(openai_server, offline_batch_generation_block_until_done=1)
    llm.load()
    assert texts(llm.generate_outputs(chats("a", "b"))) == [["answer to a"], ["answer to b"]]
    llm.unload()
    assert openai_server.charged == {"a": 1, "b": 1}
    assert len(openai_server.batches.made) == 2


def test_a_batch_that_fails_ends_the_run(openai_server: OpenAIServer) -> None:  # noqa: F811
    openai_server.batches.failing = "The file is no JSONL"
    llm = llm_of(openai_server, offline_batch_generation_block_until_done=1)
    llm.load()
    with pytest.raises(EngineError, match="batch-0 failed: The file is no JSONL"):
        llm.generate_outputs(chats("a"))
    llm.unload()


def test_fewer_answers_than_asked_for(openai_server: OpenAIServer) -> None:  # noqa: F811
    openai_server.max_choices = 1
    llm = llm_of(openai_server, offline_batch_generation_block_until_done=1)
    llm.load()
    (output,) = llm.generate_outputs(chats("a"), num_generations=2)
    llm.unload()
    assert output["generations"] == ["answer to a", None]
    assert "made fewer answers" in output["failures"][1]["message"]


@pytest.mark.parametrize("come_back", [False, True])
def test_an_unreadable_line_costs_its_own_row(
    openai_server: OpenAIServer,  # noqa: F811
    come_back: bool,
) -> None:
    def damaged(content: bytes) -> bytes:
        lines = [json.loads(line) for line in content.splitlines()]
        for line in lines:
            prompt = line["id"].removeprefix("request-")
            if prompt == "nobody's":
                del line["custom_id"]
            elif prompt in ("text", "null"):
                line |= {"response": None, "error": {"text": "no luck", "null": None}[prompt]}
            elif prompt in ("body", "list"):
                line["response"]["body"] = {"body": "<html>", "list": []}[prompt]
        made = [json.dumps(line).encode() for line in lines]
        return b"\n".join([*made, b'{"half', b"null", b"[1]", b"\xff", b"[" * 100_000])

    openai_server.batches.damaged = damaged
    prompts = ["good", "nobody's", "text", "null", "body", "list", "good too"]
    llm = llm_of(openai_server, offline_batch_generation_block_until_done=1)
    if come_back:
        prompts.remove("nobody's")  # it would be sent again
        openai_server.batches.looks = None
        llm = llm_of(openai_server)
        llm.load()
        with pytest.raises(NotFinished):
            llm.generate_outputs(chats(*prompts))
        llm.unload()
        done(openai_server)
    llm.load()
    outputs = dict(zip(prompts, llm.generate_outputs(chats(*prompts)), strict=True))
    llm.unload()
    for prompt in ("good", "good too"):
        assert outputs.pop(prompt)["generations"] == [f"answer to {prompt}"]
    said = {prompt: output["failures"][0]["message"] for prompt, output in outputs.items()}
    assert all(output["generations"] == [None] for output in outputs.values())
    if not come_back:
        assert "no answer for the request (6 lines" in said["nobody's"]
    assert "no luck" in said["text"] and "has no answer" in said["null"]
    assert "can't be read" in said["body"] and "can't be read" in said["list"]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (lambda llm: Ask(llm=llm, name="ask"), "can't be used with use_offline_batch_generation"),
        (
            lambda llm: TextGeneration(llm=FakeLLM(use_offline_batch_generation=True), name="ask"),
            "FakeLLM has no batch service",
        ),
    ],
)
def test_who_cannot_use_it_is_told_before_the_run(
    openai_server: OpenAIServer,  # noqa: F811
    task: Any,
    message: str,
) -> None:
    with Pipeline("not") as pipeline:
        task(llm_of(openai_server))
    with pytest.raises(PipelineValidationError, match=message):
        pipeline.run(dataset=[{"text": "a", "instruction": "a"}])
