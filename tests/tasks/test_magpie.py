"""Magpie and MagpieGenerator: both sides of a conversation, exact counts, draws that last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from beam_distilabel.distiset import Distiset
from beam_distilabel.errors import GenerationError
from beam_distilabel.metadata import METADATA
from beam_distilabel.models.base import AsyncLLM
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.models.inference_endpoints import InferenceEndpointsLLM
from beam_distilabel.models.magpie import MagpieChatTemplateMixin
from beam_distilabel.pipeline import InstructionResponsePipeline, Pipeline
from beam_distilabel.row import DRAW, ROW_ID, Row
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.transforms.tasks.magpie import (
    MAGPIE_MULTI_TURN_SYSTEM_PROMPT,
    Magpie,
    MagpieGenerator,
)
from beam_distilabel.typing import GenerateOutput
from tests.fakes import FakeLLM, journal, new_name, output_of, plain, run_with_failures


def answer_to(llm: Any, chat: Any, seed: int | None) -> GenerateOutput:
    """A user who says the seed, an assistant who answers it; troubles by the system prompt."""
    journal(llm.tag).add((chat, seed))
    system = chat[0]["content"] if chat and chat[0]["role"] == "system" else ""
    said = [message for message in chat if message["role"] != "system"]
    if "[refused]" in system and len(said) == 3:
        raise GenerationError("no more of this", "refused")
    if "[silent]" in system and len(said) == 1:
        return output_of([" \n"])
    if "[lost]" in system:
        return {
            "generations": [None],
            "failures": [{"kind": "timeout", "message": "too late", "attempts": 2}],
        }
    text = f"to {said[-1]['content']}" if said else f"{seed}"
    return output_of([text if llm.user_is_next(chat) is (len(said) % 2 == 0) else "wrong side"])


class TalkEngine(Engine):
    """Answers as `answer_to` says, by the request's seed."""

    def __init__(self, llm: Any) -> None:
        super().__init__()
        self._llm = llm

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        assert request.num_generations == 1
        return answer_to(self._llm, request.input, request.seed)


class Talk(AsyncLLM, MagpieChatTemplateMixin):
    """Writes both sides."""

    tag: str
    magpie_pre_query_template: str | None = "qwen2"

    @property
    def model_name(self) -> str:
        return "talk"

    def make_engine(self) -> Engine:
        return TalkEngine(self)

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1, temperature: float = 1.0
    ) -> Any:
        return answer_to(self, input, None)


def magpie(**fields: Any) -> Magpie:
    return Magpie(**{"name": "magpie", "llm": Talk(tag=new_name()), **fields})


def made(rows: list[Row], **fields: Any) -> list[Row]:
    found, failures = run_with_failures(rows, magpie(**fields))
    assert failures == []
    return plain(found)


# ----------------------------------------------------------------------------------- the columns

SHAPES: list[tuple[dict[str, Any], list[str], list[str] | None]] = [
    ({}, ["instruction", "response"], None),
    ({"only_instruction": True, "n_turns": 3}, ["instruction"], None),
    ({"n_turns": 2}, ["conversation"], ["user", "assistant"] * 2),
    ({"n_turns": 2, "end_with_user": True}, ["conversation"], ["user", "assistant", "user"]),
    ({"end_with_user": True}, ["conversation"], ["user"]),
    (
        {"n_turns": 2, "include_system_prompt": True},
        ["conversation"],
        ["system", *["user", "assistant"] * 2],
    ),
    (
        {"include_system_prompt": True, "system_prompt": "Hm."},
        ["instruction", "response", "conversation"],
        ["system", "user", "assistant"],
    ),
]


@pytest.mark.parametrize(("fields", "columns", "roles"), SHAPES)
def test_the_columns(fields: dict[str, Any], columns: list[str], roles: list[str] | None) -> None:
    step = magpie(**fields)
    assert step.outputs == [*columns, "model_name"]
    found, failures = run_with_failures([{"n": 7}], step)
    assert failures == []
    [row] = plain(found)
    assert set(row) == {"n", *columns, "model_name", METADATA}
    if roles is not None:
        assert [message["role"] for message in row["conversation"]] == roles
    if "response" in columns:
        assert row["response"] == f"to {row['instruction']}"
    assert step.output_schema() is not None
    schema = step.output_schema()
    assert schema is not None and set(schema.names) == {*columns, "model_name"}


def test_what_is_asked_and_what_it_cost() -> None:
    step = magpie(n_turns=2)
    [row], _ = run_with_failures([{}], step)
    first, second, third, fourth = (chat for chat, _ in journal(step.llm.tag).events)
    assert first == [{"role": "system", "content": MAGPIE_MULTI_TURN_SYSTEM_PROMPT}]
    assert fourth[:-1] == third and third[:-1] == second and second[:-1] == first
    metadata = row[METADATA]
    assert metadata["raw_input_magpie"] == first
    assert metadata["raw_output_magpie"] == row["conversation"][-1]["content"]
    texts = [message["content"] for message in row["conversation"]]
    assert metadata["statistics_magpie"]["output_tokens"] == sum(map(len, texts))
    # Nothing is said about several turns where there is one, and nothing of the caller's changes.
    alone = magpie(only_instruction=True, n_turns=3)
    run_with_failures([{}], alone)
    assert journal(alone.llm.tag).events[0][0] == []


# ------------------------------------------------------------------------------- system prompts


def test_a_row_has_its_own_system_prompt() -> None:
    rows = [{"system_prompt": text} for text in ("A.", None, "")]
    found = made(rows, system_prompt={"b": "B."}, include_system_prompt=True)
    assert [row["conversation"][0]["content"] for row in found] == ["A.", "B.", "B."]
    assert [row["system_prompt_key"] for row in found] == [None, "b", "b"]
    _, [failure] = run_with_failures([{"system_prompt": 3}], magpie())
    assert (failure.kind, "has int, expected text" in failure.message) == ("render", True)


def test_weights() -> None:
    prompts = {"never": ("N", 0.0), "often": ("O", 0.9), "seldom": ("S", 0.1)}
    rows = [{"n": n} for n in range(300)]
    keys = [row["system_prompt_key"] for row in made(rows, system_prompt=prompts)]
    assert keys.count("never") == 0
    assert 5 < keys.count("seldom") < 80
    # By the row, whatever its position.
    assert [row["system_prompt_key"] for row in made(rows[100:], system_prompt=prompts)] == keys[
        100:
    ]
    listed = made(rows[:40], system_prompt=["A", "B"], include_system_prompt=True)
    assert {row["conversation"][0]["content"] for row in listed} == {"A", "B"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"system_prompt": {"a": ("A", 0.5), "b": ("B", 0.4)}}, "their sum 1, it is 0.9"),
        ({"system_prompt": {"a": ("A", 1.5), "b": ("B", -0.5)}}, "have to be 0 or more"),
        ({"system_prompt": {"a": ("A", float("nan"))}}, "have to be 0 or more"),
        ({"system_prompt": []}, "is empty"),
        ({"system_prompt": {}}, "is empty"),
        ({"n_turns": 0}, "greater than 0"),
        ({"llm": FakeLLM()}, "FakeLLM can't write the user's turn"),
        ({"llm": Talk(tag="x", magpie_pre_query_template=None)}, "`magpie_pre_query_template`: 'l"),
        (
            {"llm": InferenceEndpointsLLM(model_id="m", magpie_pre_query_template="llama3")},
            "InferenceEndpointsLLM needs `tokenizer_id`",
        ),
    ],
)
def test_mistakes(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        magpie(**fields)


def test_a_third_of_a_weight() -> None:
    magpie(system_prompt={name: (name, 0.1) for name in "abcdefghij"})


# ------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("system", "kind", "message", "attempts"),
    [
        ("[refused]", "refused", "turn 2, assistant: no more of this", 1),
        ("[silent]", "parse", "turn 1, assistant: the model wrote nothing", 1),
        ("[lost]", "timeout", "turn 1, user: too late", 2),
    ],
)
def test_a_turn_that_fails_costs_its_row(
    system: str, kind: str, message: str, attempts: int
) -> None:
    found, [failure] = run_with_failures(
        [{"system_prompt": "fine"}, {"system_prompt": system}], magpie(n_turns=2)
    )
    assert (failure.kind, failure.message, failure.attempts) == (kind, message, attempts)
    good, bad = sorted(found, key=lambda row: row["conversation"] is None)
    assert len(good["conversation"]) == 4
    assert bad["conversation"] is None
    assert bad[METADATA]["failure_magpie"]["message"] == message


def test_several_conversations_of_a_row() -> None:
    llm = Talk(tag=new_name())
    rows, failures = run_with_failures([{}], magpie(llm=llm, num_generations=3))
    assert failures == [] and len({row["instruction"] for row in rows}) == 3
    grouped = magpie(llm=llm, num_generations=3, group_generations=True)
    [row], _ = run_with_failures([{}], grouped)
    assert row["instruction"] == [one["instruction"] for one in rows]
    assert len(row[METADATA]["statistics_magpie"]) == 3


def test_all_rows_are_draws_of_their_own() -> None:
    """Also those of different files, which have the same numbers."""
    rows = [{"n": n, ROW_ID: f"{n}-0"} for n in range(3)]
    rows += [{"n": 0, DRAW: draw, ROW_ID: f"0-{draw}"} for draw in (1, 2)]
    assert len({row["instruction"] for row in made(rows)}) == 5


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=20), st.integers(1, 3), st.booleans())
def test_outside_of_a_pipeline(system: str, n_turns: int, ends: bool) -> None:
    step = magpie(n_turns=n_turns, end_with_user=ends, include_system_prompt=True)
    step.load()
    [rows] = step.process([{"system_prompt": system}] * 2)
    assert [set(row) for row in rows] == [{"system_prompt", *step.outputs, METADATA}] * 2


# ------------------------------------------------------------------------------------ generator


def generator(count: int | None, **fields: Any) -> MagpieGenerator:
    llm = fields.pop("llm", None) or Talk(tag=new_name())
    return MagpieGenerator(name="magpie", llm=llm, num_rows=count, **fields)


@pytest.mark.parametrize(("count", "size"), [(1, 50), (7, 3), (6, 3), (50, 50)])
def test_exactly_so_many_rows_and_an_end(count: int, size: int) -> None:
    step = generator(count, batch_size=size, only_instruction=True)
    step.load()
    batches = list(step.process())
    assert sum(len(rows) for rows, _ in batches) == count
    assert [last for _, last in batches] == [False] * (len(batches) - 1) + [True]
    assert sum(len(rows) for rows, _ in step.process(offset=count)) == 0
    with pytest.raises(ValidationError, match="raise that instead"):
        generator(count, num_generations=2)


def run_generator(folder: Path, step: MagpieGenerator, **arguments: Any) -> Distiset:
    with Pipeline(name="gen") as pipeline:
        pipeline.add_step(step)
    return pipeline.run(output_dir=folder, logging_handlers=[], **arguments)


def test_more_rows_ask_for_the_new_ones_only(tmp_path: Path) -> None:
    llm = Talk(tag=new_name())
    rows = run_generator(tmp_path, generator(5, llm=llm))["default"]["train"].to_list()
    assert len({row["instruction"] for row in rows}) == 5
    assert len(journal(llm.tag).events) == 10
    more = run_generator(tmp_path, generator(None, llm=llm), parameters={"magpie": {"num_rows": 8}})
    assert more["default"]["train"].to_list()[:5] == rows
    assert len(more["default"]["train"]) == 8
    assert len(journal(llm.tag).events) == 16
    again = run_generator(tmp_path, generator(5, llm=llm))
    assert again["default"]["train"].to_list() == rows
    assert len(journal(llm.tag).events) == 16


def test_what_is_finished_of_more_rows(tmp_path: Path) -> None:
    llm = Talk(tag=new_name())
    rows = run_generator(tmp_path, generator(3, llm=llm))["default"]["train"].to_list()
    with Pipeline(name="gen") as pipeline:
        generator(9, llm=llm)
    part = pipeline.finalize(output_dir=tmp_path, logging_handlers=[])
    assert part["default"]["train"].to_list() == rows
    assert len(journal(llm.tag).events) == 6


def test_the_number_of_rows_has_to_be_given(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="num_rows"):
        run_generator(tmp_path, generator(None))


def test_it_takes_no_rows() -> None:
    with pytest.raises(ValueError, match="makes rows of its own"):
        [{}] | generator(2)


def test_rows_of_a_loader_in_a_pipeline(tmp_path: Path) -> None:
    """Columns that only tell rows apart count, also where a KeepColumns leaves them out."""
    from beam_distilabel.steps import KeepColumns

    with Pipeline(name="rows") as pipeline:
        load = LoadDataFromDicts(data=[{"id": n} for n in range(4)])
        _ = load >> magpie(pipeline=pipeline) >> KeepColumns(columns=["instruction"])
    rows = pipeline.run(output_dir=tmp_path, logging_handlers=[])["default"]["train"]
    assert len(set(rows["instruction"])) == 4


# ------------------------------------------------------------------------------------- template


def test_the_template(tmp_path: Path) -> None:
    template = InstructionResponsePipeline(
        llm=Talk(tag=new_name()), num_rows=3, system_prompt="Poems."
    )
    distiset = template.run(output_dir=tmp_path, logging_handlers=[])
    columns = {"instruction", "response", "model_name", METADATA}
    assert set(distiset["default"]["train"].column_names) == columns
    assert len(distiset["default"]["train"]) == 3


def test_the_template_needs_no_network_and_shows_no_token() -> None:
    template = InstructionResponsePipeline(hf_token="hf_abcdefgh12345678")
    assert isinstance(template.llm, InferenceEndpointsLLM)
    assert template.llm.api_key.get_secret_value() == "hf_abcdefgh12345678"
    assert "abcdefgh" not in str(template.pipeline.dump()) + repr(template.llm)
