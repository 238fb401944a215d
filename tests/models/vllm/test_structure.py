"""Structured output with the real engine and random weights."""

from __future__ import annotations

import asyncio
import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from beam_distilabel.errors import EngineError, GenerationError
from beam_distilabel.metadata import METADATA
from beam_distilabel.models.answer_schema import AnswerSchema
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.vllm import sampling, vLLM
from beam_distilabel.models.vllm.embedded import VLLMEngine
from beam_distilabel.models.vllm.sampling import structured_outputs
from beam_distilabel.steps.tasks import StructuredGeneration, TextGeneration
from tests.fakes import run, run_with_failures

CHAT: Any = [{"role": "user", "content": "how many words does the fox need"}]


@pytest.fixture
def engine(tiny_llm: vLLM) -> Iterator[VLLMEngine]:
    engine = tiny_llm.load_model()
    assert isinstance(engine, VLLMEngine)
    yield engine
    engine.release()


def ask(engine: VLLMEngine, structure: Any, n: int = 1, seed: int = 1, **kwargs: Any) -> Any:
    request = GenerateRequest((CHAT, structure), n, {"max_new_tokens": 60, **kwargs}, seed)
    return engine.call(engine.generate(request))


names = st.sampled_from(["name", "age", "list"])
schemas = st.recursive(
    st.sampled_from(
        [
            {"type": "integer", "minimum": 10, "maximum": 99},
            {"type": "boolean"},
            {"type": "null"},
            {"type": "string", "maxLength": 5},
            {"enum": ["yes", "no", 3]},
            {"allOf": [{"type": "integer"}, {"maximum": 7}]},
            {"type": "string", "pattern": "^[a-c]{2,4}$"},
        ]
    ),
    lambda inner: st.one_of(
        inner.map(lambda one: {"type": "array", "items": one, "minItems": 1, "maxItems": 2}),
        st.dictionaries(names, inner, min_size=1, max_size=2).map(
            lambda some: {
                "type": "object",
                "properties": some,
                "required": sorted(some),
                "additionalProperties": False,
            }
        ),
        st.lists(inner, min_size=1, max_size=2).map(lambda some: {"anyOf": some}),
    ),
    max_leaves=4,
)


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(schema=schemas)
def test_every_finished_answer_has_the_form_of_its_schema(
    engine: VLLMEngine, schema: dict[str, Any]
) -> None:
    output = ask(engine, {"format": "json", "schema": schema}, n=4)
    assert "failures" not in output
    for text, reason in zip(output["generations"], output["finish_reasons"], strict=True):
        if reason == "stop":
            jsonschema.validate(json.loads(text), schema)
        else:
            assert reason == "length"


@pytest.mark.parametrize(
    ("structure", "pattern"),
    [
        ({"format": "choice", "schema": ["yes", 'n"o\n', "ü"]}, 'yes|n"o\n|ü'),
        ({"format": "regex", "schema": "[0-9]{3}-[a-f]{2}"}, "[0-9]{3}-[a-f]{2}"),
        ({"format": "grammar", "schema": 'root ::= "a" | "b" root'}, "b*a"),
        ({"format": "grammar", "schema": 'start: "a" | "b" start'}, "b*a"),
    ],
)
def test_formats(engine: VLLMEngine, structure: Any, pattern: str) -> None:
    output = ask(engine, structure, n=8)
    assert output["finish_reasons"] == ["stop"] * 8
    assert all(re.fullmatch(pattern, text) for text in output["generations"])
    assert len(set(output["generations"])) > 1


@pytest.mark.parametrize(
    "structure",
    [
        {"format": "regex", "schema": r"(a)\1"},
        {"format": "json", "schema": {"type": "array", "uniqueItems": True}},
        {"format": "grammar", "schema": "hello there"},
        {"format": "grammar", "schema": "root ::= x"},
        {"format": "json", "schema": {"$ref": "#/$defs/none"}},
        {"format": "json", "schema": {"not": {"type": "integer"}}},
        {"format": "json", "schema": {"type": "nothing"}},
        {"format": "choice", "schema": []},
    ],
)
def test_a_structure_that_the_engine_can_not_follow_costs_its_row(
    engine: VLLMEngine, structure: Any
) -> None:
    processes = engine.process_ids()
    with pytest.raises(GenerationError) as failure:
        ask(engine, structure)
    assert failure.value.kind == "refused"
    assert ask(engine, {"format": "choice", "schema": ["yes"]})["generations"] == ["yes"]
    assert engine.process_ids() == processes


def test_what_the_engine_lets_through_is_found(
    engine: VLLMEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = {"type": "array", "items": {"enum": [1, 2]}, "minItems": 3, "maxItems": 3}
    loose = structured_outputs(
        AnswerSchema({"format": "regex", "schema": r"\[[12](, [12]){1,3}\]"})
    )
    monkeypatch.setattr(sampling, "structured_outputs", lambda schema: copy.copy(loose))
    output = ask(engine, {"format": "json", "schema": schema}, n=16)
    right = 0
    for text, failure in zip(output["generations"], output["failures"], strict=True):
        if failure is None:
            jsonschema.validate(json.loads(text), schema)
            right += 1
        else:
            assert text is None and failure["kind"] == "schema"
            assert len(json.loads(failure["raw_output"])) in (2, 4)
    assert 0 < right < 16


def test_an_answer_that_was_cut_is_not_checked(engine: VLLMEngine) -> None:
    output = ask(engine, {"format": "regex", "schema": "[a-z]{900}"}, max_new_tokens=3)
    assert output["finish_reasons"] == ["length"] and "failures" not in output
    assert re.fullmatch("[a-z]+", output["generations"][0])


def test_the_canary_catches_an_engine_that_ignores_structures(
    engine: VLLMEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_canary", type(engine._canary)())
    with monkeypatch.context() as ignoring:
        ignoring.setattr(sampling, "structured_outputs", lambda schema: None)
        with pytest.raises(EngineError, match=r"vllm \d+.* ignores structured output: asked for"):
            ask(engine, {"format": "choice", "schema": ["yes"]})
        # What asks for no structure isn't held up.
        plain = engine.call(engine.generate(GenerateRequest(CHAT, 1, {"max_new_tokens": 3})))
        assert plain["statistics"]["output_tokens"][0] > 0
    before = engine._requests

    async def many() -> list[Any]:
        one = GenerateRequest((CHAT, {"format": "choice", "schema": ["yes"]}))
        return await asyncio.gather(*(engine.generate(one) for _ in range(4)))

    assert [output["generations"] for output in engine.call(many())] == [["yes"]] * 4
    assert engine._requests == before + 5, "one canary"


def test_equal_prompts_with_different_structures_keep_to_their_rows(tiny_llm: vLLM) -> None:
    structures: list[Any] = [
        {"format": "choice", "schema": ["red"]},
        {"format": "choice", "schema": ["blue"]},
        {"format": "regex", "schema": "[0-9]{4}"},
        '{"format": "regex", "schema": "x{3}"}',
        {"format": "json", "schema": '{"enum": ["only"]}'},
        {"format": "grammar", "schema": 'root ::= "zz"'},
        None,
    ]
    patterns = ["red", "blue", "[0-9]{4}", "xxx", '"only"', "zz", r"[\s\S]+"]
    rows = [
        {"instruction": "the same", "structured_output": structures[i % 7], "i": i}
        for i in range(35)
    ]
    step = StructuredGeneration(name="ask", llm=tiny_llm)
    done = run(rows, step)
    assert len(done) == 35
    for row in done:
        assert re.fullmatch(patterns[row["i"] % 7], row["generation"]), row
        assert row[METADATA]["failure_ask"] is None


def test_rows_with_wrong_structures_fail_alone(tiny_llm: vLLM) -> None:
    structures = [
        {"format": "choice", "schema": ["red"]},
        {"format": "choice", "schema": []},
        "no json",
        {"format": "regex", "schema": r"(a)\1"},
    ]
    rows = [{"instruction": "i", "structured_output": one} for one in structures]
    done, failures = run_with_failures(rows, StructuredGeneration(name="ask", llm=tiny_llm))
    assert sorted(str(row["generation"]) for row in done) == ["None", "None", "None", "red"]
    assert sorted(failure.kind for failure in failures) == ["refused", "render", "render"]


class Verdict(TextGeneration):
    """Has a schema of its own."""

    def get_structured_output(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"good": {"type": "boolean"}},
            "required": ["good"],
            "additionalProperties": False,
        }


def test_a_task_has_a_schema_of_its_own(tiny_llm: vLLM) -> None:
    rows = [{"instruction": "is it good?"} for _ in range(4)]
    step = Verdict(name="judge", llm=tiny_llm, use_default_structured_output=True)
    for row in run(rows, step):
        assert set(json.loads(row["generation"])) == {"good"}
    # The LLM's own takes precedence, as in distilabel.
    own = tiny_llm.model_copy(update={"structured_output": {"format": "choice", "schema": ["ok"]}})
    own._engine = None
    step = Verdict(name="judge", llm=own, use_default_structured_output=True)
    assert [row["generation"] for row in run(rows, step)] == ["ok"] * 4
