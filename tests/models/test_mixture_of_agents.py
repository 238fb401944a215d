"""`MixtureOfAgentsLLM`: who is asked what, counts, failures, sharing, dumps."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic import PrivateAttr

from beam_distilabel.errors import DistilabelUserError, EngineError, GenerationError
from beam_distilabel.models.base import LLM, AsyncLLM
from beam_distilabel.models.engine import GenerateRequest, engines
from beam_distilabel.models.mixture_of_agents import MixtureOfAgentsLLM
from beam_distilabel.models.openai import OpenAILLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from tests.openai_server.fixtures import openai_server  # noqa: F401
from tests.openai_server.server import OpenAIServer

CHAT: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 2 + 2?"},
]

asked: list[tuple[str, Any, dict[str, Any]]] = []
"""Who was asked, what, and with which arguments."""


class Member(AsyncLLM):
    """Answers with its name and how often it was asked; `trouble` is what it raises instead."""

    name: str
    trouble: str | None = None

    _count: int = PrivateAttr(0)

    @property
    def model_name(self) -> str:
        return self.name

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1, temperature: float = 1.0
    ) -> Any:
        asked.append((self.name, copy.deepcopy(input), {"temperature": temperature}))
        if self.trouble == "engine":
            raise EngineError("dead")
        if self.trouble is not None:
            raise GenerationError(f"{self.name} can't", self.trouble)
        self._count += 1
        return {
            "generations": [f"{self.name} {self._count}"] * num_generations,
            "statistics": {"input_tokens": [10], "output_tokens": [3] * num_generations},
        }


class Synchronous(LLM):
    """A member without `agenerate`."""

    @property
    def model_name(self) -> str:
        return "synchronous"

    def generate(self, inputs: Any, num_generations: int = 1, **kwargs: Any) -> Any:
        return [{"generations": ["from a batch"] * num_generations} for _ in inputs]


@pytest.fixture(autouse=True)
def nobody_asked() -> Iterator[None]:
    asked.clear()
    before = set(engines._entries)
    yield
    assert set(engines._entries) == before


def mixture(*names: str, **kwargs: Any) -> MixtureOfAgentsLLM:
    return MixtureOfAgentsLLM(
        aggregator_llm=Member(name="last", generation_kwargs={"temperature": 0.0}),
        proposers_llms=[Member(name=name) for name in names or ("one", "two")],
        **kwargs,
    )


def answered(llm: MixtureOfAgentsLLM, inputs: Any, n: int = 1, **kwargs: Any) -> list[Any]:
    llm.load()
    try:
        return llm.generate_outputs(inputs, num_generations=n, **kwargs)
    finally:
        llm.unload()


def test_the_answers_of_a_round_are_in_the_next_one() -> None:
    before = copy.deepcopy(CHAT)
    (output,) = answered(mixture(rounds=2), [CHAT], 2)
    assert CHAT == before
    assert output["generations"] == ["last 1", "last 1"]
    assert sorted(name for name, _, _ in asked) == ["last", "one", "one", "two", "two"]
    first, second, final = asked[:2], asked[2:4], asked[4]
    assert all(chat == CHAT for _, chat, _ in first)
    for _, chat, _ in [*second, final]:
        assert [message["role"] for message in chat] == ["system", "user"]
        assert chat[0]["content"].endswith("\n\nBe brief.")
        assert chat[1] == CHAT[1]
    for number in (1, 2):
        told = (second[0] if number == 1 else final)[1][0]["content"]
        assert f"[Answer 1]\none {number}" in told and f"[Answer 2]\ntwo {number}" in told
    assert "one 1" not in final[1][0]["content"]


def test_a_chat_without_a_system_prompt_gets_one() -> None:
    answered(mixture("one"), [CHAT[1:]])
    assert [message["role"] for message in asked[-1][1]] == ["system", "user"]


def test_counts_are_those_of_all_members() -> None:
    (output,) = answered(mixture(rounds=2), [CHAT], 2)
    assert output["statistics"]["input_tokens"] == [5 * 10]
    assert sum(output["statistics"]["output_tokens"]) == 4 * 3 + 2 * 3
    assert len(output["statistics"]["output_tokens"]) == 2


def test_each_member_has_its_own_arguments() -> None:
    llm = mixture(generation_kwargs={"proposers_llms": [{}, {"temperature": 0.5}]})
    llm.check_generation_kwargs()
    assert llm.get_generation_kwargs() == {
        "aggregator_llm": {"temperature": 0.0},
        "proposers_llms": [{}, {"temperature": 0.5}],
    }
    answered(llm, [CHAT])
    assert {name: kwargs["temperature"] for name, _, kwargs in asked} == {
        "one": 1.0,
        "two": 0.5,
        "last": 0.0,
    }


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"temperature": 1}, "no generation argument 'temperature'"),
        ({"proposers_llms": [{}]}, "has 1 dicts; there are 2 proposers"),
        ({"aggregator_llm": {"temprature": 1}}, "Did you mean 'temperature'"),
    ],
)
def test_wrong_arguments_are_found_early(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(DistilabelUserError, match=message):
        mixture(generation_kwargs=kwargs).check_generation_kwargs()


def test_without_proposers_there_is_no_mixture() -> None:
    with pytest.raises(ValueError, match="at least one LLM"):
        MixtureOfAgentsLLM(aggregator_llm=Member(name="last"))


def test_a_proposer_that_fails_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    llm = MixtureOfAgentsLLM(
        aggregator_llm=Member(name="last"),
        proposers_llms=[Member(name="bad", trouble="refused"), Member(name="good")],
    )
    outputs = answered(llm, [CHAT, CHAT])
    assert all(output["generations"][0].startswith("last") for output in outputs)
    assert "[Answer 1]\ngood" in asked[-1][1][0]["content"]
    assert caplog.text.count("bad can't") == 1


def test_where_no_proposer_answers_the_row_fails() -> None:
    llm = MixtureOfAgentsLLM(
        aggregator_llm=Member(name="last"),
        proposers_llms=[Member(name="bad", trouble="too_long")],
    )
    (output,) = answered(llm, [CHAT])
    assert output["generations"] == [None]
    assert output["failures"][0]["kind"] == "too_long"
    assert "bad can't" in output["failures"][0]["message"]
    assert "last" not in [name for name, _, _ in asked]


def test_a_dead_member_ends_the_run() -> None:
    llm = MixtureOfAgentsLLM(
        aggregator_llm=Member(name="last"),
        proposers_llms=[Member(name="dead", trouble="engine"), Member(name="good")],
    )
    with pytest.raises(EngineError, match="dead"):
        answered(llm, [CHAT])


def test_raw_prompts_are_refused() -> None:
    (output,) = answered(mixture(), ["2 + 2 ="])
    assert output["failures"][0]["kind"] == "refused"


def test_the_structure_is_for_the_aggregator() -> None:
    structure = {"format": "regex", "schema": "yes|no"}
    answered(mixture("one"), [(CHAT, structure)])
    assert asked[0][1] == CHAT
    assert asked[1][1][1] == structure


def test_members_of_any_kind() -> None:
    llm = MixtureOfAgentsLLM(
        aggregator_llm=Synchronous(), proposers_llms=[Synchronous(), Member(name="one")]
    )
    (output,) = answered(llm, [CHAT])
    assert output["generations"] == ["from a batch"]


def test_equal_members_share_an_engine_with_each_other_and_others() -> None:
    llm = mixture("same", "same")
    alone = Member(name="same").load_model()
    engine: Any = llm.load_model()
    try:
        assert engine._proposers == [alone, alone]
        requests = [GenerateRequest(CHAT, 1, {}, 5) for _ in range(3)]

        async def ask() -> Any:
            return await asyncio.gather(*(engine.generate(request) for request in requests))

        assert len(engine.call(ask())) == 3
    finally:
        engines.release(engine)
        engines.release(alone)


def test_a_member_that_cannot_start_leaves_no_engine_behind() -> None:
    llm = MixtureOfAgentsLLM(
        aggregator_llm=OpenAILLM(model="x", api_key=None, base_url="http://localhost:1/v1"),
        proposers_llms=[Member(name="one")],
    )
    llm.aggregator_llm.api_key = None  # type: ignore[attr-defined]
    with pytest.raises(DistilabelUserError, match="no API key"):
        llm.load()


def test_proposers_are_asked_at_once(openai_server: OpenAIServer) -> None:  # noqa: F811
    openai_server.latency = 0.2
    openai_server.models = ["one", "two", "last"]
    members = [
        OpenAILLM(model=name, base_url=openai_server.url, api_key=openai_server.key)
        for name in ("one", "two", "last")
    ]
    llm = MixtureOfAgentsLLM(aggregator_llm=members[2], proposers_llms=members[:2])
    (output,) = answered(llm, [CHAT])
    assert output["generations"][0].startswith("answer to")
    assert openai_server.peak == 2
    assert [one.body["model"] for one in openai_server.received][-1] == "last"


def test_a_pipeline_with_it_is_dumped_without_secrets_and_loaded() -> None:
    def made() -> Pipeline:
        with Pipeline("mixture") as pipeline:
            load = LoadDataFromDicts(data=[{"instruction": "What is 2 + 2?"}])
            secret = OpenAILLM(model="gpt", api_key="sk-very-secret")
            llm = MixtureOfAgentsLLM(aggregator_llm=secret, proposers_llms=[secret], rounds=3)
            load >> TextGeneration(name="generate", llm=llm)
        return pipeline

    pipeline = made()
    text = yaml.safe_dump(pipeline.dump())
    assert "sk-very-secret" not in text
    loaded = Pipeline.from_dict(json.loads(json.dumps(pipeline.dump())))
    llm = loaded.dump()["pipeline"]["steps"][1]["step"]["llm"]
    assert llm["rounds"] == 3 and llm["proposers_llms"][0]["model"] == "gpt"
    assert llm["type_info"]["name"] == "MixtureOfAgentsLLM"


def test_members_have_runtime_parameters() -> None:
    llm = mixture()
    assert set(llm.runtime_parameters_names) >= {"aggregator_llm", "proposers_llms"}
    assert "generation_kwargs" not in llm.runtime_parameters_names
    llm.set_runtime_parameters(
        {"proposers_llms": {"1": {"generation_kwargs": {"temperature": 0.3}}}}
    )
    assert llm.get_generation_kwargs()["proposers_llms"] == [{}, {"temperature": 0.3}]


def test_it_runs_in_a_pipeline() -> None:
    with Pipeline("mixture") as pipeline:
        load = LoadDataFromDicts(data=[{"instruction": f"What is {i} + 2?"} for i in range(4)])
        load >> TextGeneration(llm=mixture(), name="generate")
    (rows,) = pipeline.run(use_cache=False)["default"].values()
    assert len(rows) == 4
    for row in rows:
        assert row["generation"].startswith("last")
        assert row["model_name"] == "moa-last-one-two"
        assert row["distilabel_metadata"]["statistics_generate"]["input_tokens"] == 30
