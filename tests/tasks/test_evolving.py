"""EvolInstruct, EvolComplexity and EvolQuality."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from pydantic import Field, ValidationError

from beam_distilabel.checkpoint import CheckpointSettings
from beam_distilabel.context import RunContext
from beam_distilabel.errors import GenerationError, ParseError
from beam_distilabel.metadata import METADATA
from beam_distilabel.models.base import AsyncLLM
from beam_distilabel.row import Row
from beam_distilabel.transforms.tasks.evol_complexity import EvolComplexity
from beam_distilabel.transforms.tasks.evol_instruct import MUTATION_TEMPLATES, EvolInstruct, parse
from beam_distilabel.transforms.tasks.evol_quality import EvolQuality
from tests.fakes import journal, new_name, output_of, prompt_of, run, run_with_failures
from tests.tasks.judging import HOSTILE, WORDS, user_message

TEMPLATES = {name: f"{name} of <PROMPT>!" for name in ("A", "B", "C", "D")}


class Evolver(AsyncLLM):
    """Answers "A of x!" with "x+", and anything else with "answer to" it.

    A prompt is answered as `odd` says where one of its keys is the text that is to evolve, or to be
    answered; a value that begins with "!" is raised.
    """

    tag: str = "evolver"
    odd: dict[str, Any] = Field(default_factory=dict)

    @property
    def model_name(self) -> str:
        return "evolver"

    def answer_identity(self) -> dict[str, Any]:
        return {"class": "evolver"}

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
        prompt = prompt_of(input)
        journal(self.tag).add(prompt)
        evolves = re.fullmatch("[ABCD] of (.*)!", prompt, re.DOTALL)
        text = evolves[1] if evolves else prompt
        answer = f"{text}+" if evolves else f"answer to {text}"
        answer = self.odd.get(text, answer)
        if isinstance(answer, str) and answer.startswith("!"):
            raise GenerationError(answer[1:], "refused")
        if isinstance(answer, int):
            return {"generations": [answer] * num_generations}
        return output_of([answer] * num_generations, prompt)


def evol(cls: type[EvolInstruct] = EvolInstruct, **fields: Any) -> EvolInstruct:
    llm = Evolver(tag=new_name(), odd=fields.pop("odd", {}))
    return cls(
        **{
            "name": "evol",
            "llm": llm,
            "num_evolutions": 2,
            "mutation_templates": TEMPLATES,
            **fields,
        }
    )


def asked(task: EvolInstruct) -> list[str]:
    return journal(task.llm.tag).events  # type: ignore[attr-defined]


def mutations(rows: list[Row]) -> dict[str, Any]:
    return {row["instruction"]: row[METADATA].get("mutations_evol") for row in rows}


ROWS = [{"instruction": text} for text in ("x", "y", "z", "u", "v", "w")]


# ---------------------------------------------------------------------------------- evolving


def test_each_evolution_starts_from_the_last() -> None:
    task = evol(num_evolutions=3)
    [row] = run([{"instruction": "x", "other": 1}], task)
    assert (row["evolved_instruction"], row["model_name"], row["other"]) == ("x+++", "evolver", 1)
    metadata = row[METADATA]
    used = metadata["mutations_evol"]
    assert asked(task) == [f"{m} of {t}!" for m, t in zip(used, ("x", "x+", "x++"), strict=True)]
    assert metadata["raw_input_evol"] == [{"role": "user", "content": asked(task)[-1]}]
    assert (metadata["raw_output_evol"], metadata["failure_evol"]) == ("x+++", None)
    assert metadata["statistics_evol"] == {"input_tokens": 7 + 8 + 9, "output_tokens": 2 + 3 + 4}
    assert task.format_input(row) == [{"role": "user", "content": asked(task)[0]}]


def test_templates_follow_from_the_seeds_and_the_row_alone() -> None:
    first = mutations(run(ROWS, evol(num_evolutions=6)))
    assert {name for used in first.values() for name in used} == set(TEMPLATES)
    assert len({tuple(used) for used in first.values()}) == len(ROWS)
    # Not from the order, from other rows or other columns, nor from how often it evolves.
    others = [{**row, "more": 1} for row in reversed(ROWS[:3])]
    again = mutations(run(others, evol(num_evolutions=4), workers=2))
    assert again == {text: first[text][:4] for text in again}
    assert mutations(run(ROWS, evol(num_evolutions=6, seed=7))) != first
    other_run = evol(num_evolutions=6)
    other_run._context = RunContext(seed=1)
    assert mutations(run(ROWS, other_run)) != first


def test_equal_rows_and_generations_evolve_in_ways_of_their_own() -> None:
    task = evol(num_evolutions=6, num_generations=2)
    task.load()
    rows = next(task.process([{"instruction": "x"}, {"instruction": "x"}]))
    assert [row["evolved_instruction"] for row in rows] == ["x++++++"] * 4
    assert len({tuple(row[METADATA]["mutations_evol"]) for row in rows}) == 4


@pytest.mark.parametrize("include", [False, True])
def test_evolutions_are_stored_and_answered(include: bool) -> None:
    fields: dict[str, Any] = {"store_evolutions": True, "include_original_instruction": include}
    task = evol(generate_answers=True, **fields)
    [row] = run([{"instruction": "x"}], task)
    kept = ["x", "x+", "x++"][0 if include else 1 :]
    assert row["evolved_instructions"] == kept
    assert row["answers"] == [f"answer to {text}" for text in kept]
    assert "evolved_instruction" not in row
    schema = task.output_schema()
    assert schema is not None
    assert schema.names == ["evolved_instructions", "answers", "model_name"]


def test_the_answer_is_to_the_last_evolution() -> None:
    task = evol(generate_answers=True)
    [row] = run([{"instruction": "x"}], task)
    assert (row["evolved_instruction"], row["answer"]) == ("x++", "answer to x++")
    assert asked(task)[-1] == "x++"
    assert task.outputs == ["evolved_instruction", "answer", "model_name"]


def test_grouped_generations() -> None:
    task = evol(num_generations=2, group_generations=True)
    [row] = run([{"instruction": "x"}], task)
    assert row["evolved_instruction"] == ["x++", "x++"]
    assert [len(used) for used in row[METADATA]["mutations_evol"]] == [2, 2]


# ---------------------------------------------------------------------------------- failures


def test_one_bad_answer_costs_one_row() -> None:
    odd = {"y+": None, "z": "!not about z", "v": " Prompt#: \n", "w": 5}
    task = evol(odd=odd, generate_answers=True)
    done, failures = run_with_failures([*ROWS, {"instruction": None}, {"instruction": 3}], task)
    assert {row["instruction"]: row["evolved_instruction"] for row in done} == {
        "x": "x++",
        "u": "u++",
        **dict.fromkeys(["y", "z", "v", "w", None, 3]),
    }
    told = {failure.row["instruction"]: (failure.kind, failure.message) for failure in failures}
    named = {text: mutations(done)[text] for text in "yzvw"}
    assert told == {
        "y": ("parse", f"evolution 2 of 2 ({named['y'][1]}): the model gave no answer"),
        "z": ("refused", f"evolution 1 of 2 ({named['z'][0]}): not about z"),
        "v": ("parse", f"evolution 1 of 2 ({named['v'][0]}): the answer has no evolved text"),
        "w": (
            "parse",
            f"evolution 1 of 2 ({named['w'][0]}): the LLM gave int, expected text or None",
        ),
        None: ("render", "ValueError: the column 'instruction' has NoneType, expected text"),
        3: ("render", "ValueError: the column 'instruction' has int, expected text"),
    }
    raw = {failure.row["instruction"]: failure.raw_output for failure in failures}
    assert raw["v"] == " Prompt#: \n"


def test_an_answer_that_fails_leaves_the_instructions() -> None:
    # "x" evolves to the text that is refused once it is to be answered, and not before.
    fields: dict[str, Any] = {
        "store_evolutions": True,
        "generate_answers": True,
        "odd": {"x++": "!too hard"},
    }
    [row], [failure] = run_with_failures([{"instruction": "x"}], evol(**fields))
    assert row["evolved_instructions"] == ["x+", "x++"]
    assert row["answers"] == ["answer to x+", None]
    assert (failure.kind, failure.message) == ("refused", "answer 2: too hard")


def test_a_rollout_is_repeated_with_the_same_templates() -> None:
    task = evol(odd={"x+": None}, max_retries=2)
    [row], [failure] = run_with_failures([{"instruction": "x"}], task)
    assert failure.attempts == 3
    assert len(asked(task)) == 6
    assert len(set(asked(task))) == 2
    assert row[METADATA]["failure_evol"]["attempts"] == 3


# ---------------------------------------------------------------------------------- later runs


def test_later_runs_ask_what_is_new(tmp_path: Path) -> None:
    def ask(**fields: Any) -> tuple[list[Row], list[str]]:
        task = evol(num_generations=2, **fields)
        task._context = RunContext(str(tmp_path), checkpoint=CheckpointSettings())
        return run([{"instruction": "x"}], task), asked(task)

    first, prompts = ask()
    assert len(prompts) == 4
    again, prompts = ask()
    assert (again, prompts) == (first, [])
    more, prompts = ask(num_evolutions=3, generate_answers=True, store_evolutions=True)
    assert [row["evolved_instructions"][1] for row in more] == ["x++", "x++"]
    # One more evolution, and three answers, for each of the two generations.
    assert len(prompts) == 2 * (1 + 3)


# ---------------------------------------------------------------------------------- prompts


@given(st.text("#Prompt: *\n\ud800x", max_size=40) | HOSTILE)
def test_parsing_is_total(text: str) -> None:
    for task in (evol(), quality()):
        try:
            [evolved] = task.format_output(text).values()
        except ParseError as error:
            assert str(error)
        else:
            assert evolved
            assert evolved == evolved.strip()


@given(
    WORDS, st.sampled_from(["{}", "#New Prompt#:\n{}\n", "**#New Prompt#:** {}", "a\n#Prompt# :{}"])
)
def test_what_the_model_wrote_is_found(text: str, form: str) -> None:
    assert parse(form.format(text)) == text


@given(HOSTILE)
def test_texts_are_inserted_as_they_are(text: str) -> None:
    task = evol(mutation_templates={"A": MUTATION_TEMPLATES["BREADTH"]})
    assert f"\n#Prompt#:\n{text}\n\n#New Prompt#:\n" in user_message(task, {"instruction": text})
    prompt = user_message(quality(), {"instruction": "<RESPONSE>", "response": text})
    assert f"#Prompt#:\n<RESPONSE>\n\n#Response#:\n{text}\n\n#New Response#:\n" in prompt


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mutation_templates": {}}, "mutation_templates is empty"),
        ({"mutation_templates": {"A": "Rewrite it."}}, "mutation_templates.'A'. lacks <PROMPT>"),
        ({"num_evolutions": 0}, "num_evolutions"),
    ],
)
def test_wrong_arguments_are_refused_at_once(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        evol(**fields)


def test_complexity_breeds_nothing() -> None:
    task = EvolComplexity(llm=Evolver(), num_evolutions=1)
    assert set(MUTATION_TEMPLATES) - set(task.mutation_templates_names) == {"BREADTH"}


# ---------------------------------------------------------------------------------- EvolQuality


def quality(**fields: Any) -> EvolQuality:
    fields.setdefault("llm", Evolver(tag=new_name()))
    return EvolQuality(**{"name": "evol", "num_evolutions": 2, **fields})


@pytest.mark.parametrize("include", [False, True])
def test_responses_evolve(include: bool) -> None:
    templates = {"A": "A of <RESPONSE>!"}
    task = quality(
        mutation_templates=templates, store_evolutions=True, include_original_response=include
    )
    [row] = run([{"instruction": "i", "response": "r"}], task)
    assert row["evolved_responses"] == ["r", "r+", "r++"][0 if include else 1 :]
    [row] = run([{"instruction": "i", "response": "r"}], quality(mutation_templates=templates))
    assert row["evolved_response"] == "r++"
    with pytest.raises(ValidationError, match=r"mutation_templates\['A'\] lacks <RESPONSE>"):
        quality(mutation_templates={"A": "<PROMPT>"})


def test_a_response_that_is_no_text_costs_its_row() -> None:
    rows = [{"instruction": "i", "response": response} for response in ("r", None, ["r"])]
    task = quality(mutation_templates={"A": "A of <RESPONSE>!"})
    done, failures = run_with_failures(rows, task)
    assert sorted(str(row["evolved_response"]) for row in done) == ["None", "None", "r++"]
    assert [failure.kind for failure in failures] == ["render", "render"]
