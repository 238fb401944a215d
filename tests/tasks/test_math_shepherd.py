"""MathShepherdGenerator and MathShepherdCompleter."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, strategies as st
from pydantic import ValidationError

from beam_distilabel.errors import ParseError
from beam_distilabel.metadata import METADATA
from beam_distilabel.steps.tasks import MathShepherdCompleter, MathShepherdGenerator
from beam_distilabel.transforms.tasks.math_answers import normalised
from beam_distilabel.transforms.tasks.math_shepherd import solutions_in, split_steps
from beam_distilabel.transforms.tasks.math_shepherd_completer import (
    _golden,
    labelled,
    prefixes,
)
from tests.fakes import new_name, run_with_failures
from tests.tasks.judging import HOSTILE, WORDS, ScriptedLLM, prompts, user_message

PIECES = st.lists(
    st.sampled_from(["Step 1:", "Step 2:", "The answer is:", "---", " 3", "{", "\n"]), max_size=12
)
GOLDEN = ["Step 1: 1 + 1 + 1 = 3.", "The answer is: 3"]


def make(cls: Any, **fields: Any) -> Any:
    llm = ScriptedLLM(
        tag=new_name(), answer=fields.pop("answer", ""), script=fields.pop("script", {})
    )
    return cls(name="shepherd", llm=llm, **fields)


@given(st.none() | HOSTILE | PIECES.map("".join), st.booleans())
@example("Step 1:" * 5_000, False)
@example("-" * 20_000, False)
@example('{"solutions": [1, {"solution": 2}, {}, "Step 1: a"]}', True)
@example('{"solutions": {}}', True)
def test_reading_solutions_is_total(text: str | None, structured: bool) -> None:
    try:
        solutions = solutions_in(text, structured)
    except ParseError as error:
        assert str(error)
    else:
        assert solutions and all(solutions)
        for steps in solutions:
            assert all(step.startswith("Step ") for step in steps[:-1])


@given(st.lists(st.lists(WORDS, min_size=1, max_size=4), min_size=1, max_size=3), st.integers())
def test_what_was_written_is_found(solutions: list[list[str]], answer: int) -> None:
    written = [
        [f"Step {number}: {words}" for number, words in enumerate(steps, 1)]
        + [f"The answer is: {answer}"]
        for steps in solutions
    ]
    text = "Here:\n" + "\n---\n".join("\n".join(steps) for steps in written)
    assert solutions_in(text, structured=False) == written
    objects = [{"solution": "\n".join(steps)} for steps in written]
    assert solutions_in(json.dumps({"solutions": objects}), structured=True) == written


def test_a_rule_of_hyphens_within_a_line_separates_nothing() -> None:
    assert split_steps("Step 1: a --- b\nThe answer is: 1") == [
        "Step 1: a --- b",
        "The answer is: 1",
    ]
    assert len(solutions_in("Step 1: a --- b\nThe answer is: 1", structured=False)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "**Step 1:** add 1+1 = 2\n\n**Step 2:** so 2*1\n\n**The answer is:** 2",
        "### Step 1: add 1+1 = 2\n### Step 2: so 2*1\n### The answer is: **2**",
        "**Step 1: add** 1+1 = 2\n* **Step 2**: so 2*1\n* the answer is 2",
        "<think>Step 1: guess</think>Step 1: add 1+1 = 2\nStep 2: so 2*1\nThe answer is:\n2\nBye",
    ],
)
def test_markdown_is_no_part_of_steps(text: str) -> None:
    expected = ["Step 1: add 1+1 = 2", "Step 2: so 2*1", "The answer is: 2"]
    assert solutions_in(text, structured=False) == [expected]


def test_an_answer_is_a_line_of_its_own() -> None:
    step = "Step 1: Now\nthe answer is close by all means, so the answer is 3."
    steps = [step, "The answer is: 3"]
    assert split_steps("\n".join(steps)) == steps
    assert split_steps("Step 1: a\nThe answer is:") == ["Step 1: a"]


def test_one_solution() -> None:
    step = make(
        MathShepherdGenerator,
        script={
            "add": "Step 1: 1+1=2.\nThe answer is: 2\nBye!",
            "twice": "Step 1: a\nThe answer is: 1\n---\nStep 1: b\nThe answer is: 1",
            "none": "I don't know.",
            "unfinished": "Step 1: a",
            "guessed": "The answer is: 2",
        },
    )
    rows = [{"instruction": text} for text in (*step.llm.script, None)]
    done, failures = run_with_failures(rows, step)
    found = {row["instruction"]: row["golden_solution"] for row in done}
    assert found == {
        "add": ["Step 1: 1+1=2.", "The answer is: 2"],
        **dict.fromkeys(("twice", "none", "unfinished", "guessed", None)),
    }
    assert sorted(failure.kind for failure in failures) == ["parse"] * 4 + ["render"]


def test_several_solutions_and_generations() -> None:
    llm_answer = "\n---\n".join(
        [
            "Step 1: a\nThe answer is: 1",
            "nothing",
            "Step 1: unfinished",
            "The answer is: 1",
            "Step 1: b\nThe answer is: 2",
            "Step 1: c\nThe answer is: 3",
        ]
    )
    step = make(MathShepherdGenerator, M=2, num_generations=2, answer=llm_answer)
    done, _ = run_with_failures([{"instruction": "?"}], step)
    assert [row["solutions"] for row in done] == [
        [["Step 1: a", "The answer is: 1"], ["Step 1: b", "The answer is: 2"]]
    ] * 2
    assert done[0]["solutions"] is not done[1]["solutions"]
    assert "2 times" in prompts(step.llm)[0]


@given(HOSTILE)
@example("{{ 7 * 7 }}")
def test_problems_are_inserted_as_they_are(problem: str) -> None:
    assert f"problem:\n{problem}\n" in user_message(
        make(MathShepherdGenerator), {"instruction": problem}
    )


def test_the_system_prompt_is_a_template() -> None:
    step = make(
        MathShepherdGenerator,
        system_prompt="Solve.{{ extra_rules }}{{ few_shots }}{{ structured_prompt }}",
        extra_rules=" Be {{ brief }}.",
        few_shots=None,
    )
    assert step.format_input({"instruction": "?"})[0]["content"] == "Solve. Be {{ brief }}."
    structured = make(
        MathShepherdGenerator,
        system_prompt="{{ structured_prompt }}",
        use_default_structured_output=True,
        M=3,
    )
    chat, schema = structured._format_input({"instruction": "?"})
    assert '"solutions"' in chat[0]["content"] and "---" not in chat[1]["content"]
    assert schema["schema"]["required"] == ["solutions"]
    silent = make(MathShepherdGenerator, system_prompt=None)
    assert [message["role"] for message in silent.format_input({"instruction": "?"})] == ["user"]


# ---------------------------------------------------------------------------------- labels


@given(st.lists(st.lists(WORDS, min_size=1, max_size=5), min_size=1, max_size=3), st.booleans())
def test_every_step_is_labelled_once(solutions: list[list[str]], answered: bool) -> None:
    whole = [[*steps, *(["The answer is: 3"] if answered else [])] for steps in solutions]
    begun = list(prefixes("?", whole))
    assert len(begun) == sum(len(steps) - 1 for steps in solutions)
    leads = {(prefix.solution, prefix.step): True for prefix in begun}
    labels = labelled(whole, leads, "3", ["+", "-"])
    assert [len(steps) for steps in labels] == [len(steps) for steps in solutions]
    last = "+" if answered else "-"
    for steps in labels:
        assert all(step.endswith(" +") for step in steps[:-1])
        assert steps[-1].endswith(f" {last}")


def test_steps_are_labelled_by_what_they_lead_to() -> None:
    right, wrong = "Step 3: c\nThe answer is: 3 .", "Step 3: c\nThe answer is: 4"
    step = make(
        MathShepherdCompleter,
        N=2,
        script={
            "Step 2: three": wrong + "\n---\n" + wrong,
            "Step 1: two": f"{wrong}\n---\n{right}",
        },
    )
    solutions = [["Step 1: two", "Step 2: three", "Step 3: four", "The answer is: 4"]]
    rows = [{"instruction": "1+1+1?", "golden_solution": GOLDEN, "solutions": solutions}]
    done, failures = run_with_failures(rows, step)
    assert failures == []
    assert done[0]["solutions"] == [
        ["Step 1: two +", "Step 2: three -", "Step 3: four The answer is: 4 -"]
    ]
    assert rows[0]["solutions"][0][0] == "Step 1: two"
    metadata = done[0][METADATA]
    assert len(prompts(step.llm)) == len(metadata["raw_input_shepherd"]) == 2
    assert metadata["statistics_shepherd"] == {
        "input_tokens": sum(map(len, prompts(step.llm))),
        "output_tokens": len(wrong + "\n---\n" + wrong) + len(f"{wrong}\n---\n{right}"),
    }


def test_an_answer_is_judged_without_a_request() -> None:
    step = make(MathShepherdCompleter)
    rows = [{"instruction": "?", "golden_solution": GOLDEN, "solutions": [GOLDEN, GOLDEN[1:]]}]
    [row], _ = run_with_failures(rows, step)
    assert row["solutions"] == [
        ["Step 1: 1 + 1 + 1 = 3. The answer is: 3 +"],
        ["The answer is: 3 +"],
    ]
    assert prompts(step.llm) == []


@pytest.mark.parametrize(
    ("answer", "golden"),
    [
        *(
            (f"{said} {number}", "1000")
            for said in ("The answer is:", "**The answer is:**", "the answer is:", "The answer is")
            for number in ("1000", "$1000", "1,000", "1000.0", "**1000**", "1000.", "\\boxed{1000}")
        ),
        ("The answer is: 1000", "$1,000.00"),
        ("The answer is: $\\text{Blue}$.", "blue"),
        ("The answer is: Blue  and red", "blue and  Red"),
        ("The answer is: -\N{EURO SIGN}0.50", "-.5"),
        ("The answer is:\n1 000", "1000"),
        ("The answer is: \\(x + 1\\)", "x + 1"),
    ],
)
def test_answers_are_compared_by_what_they_say(answer: str, golden: str) -> None:
    right = _golden({"golden_solution": ["Step 1: x", f"The answer is: {golden}"]})
    [completion] = solutions_in(f"Step 2: b\n{answer}", structured=False)
    for steps in (completion, ["Step 2: b", answer]):
        [[step]] = labelled([steps], {}, right, ["+", "-"])
        assert step.endswith(" +")


@given(HOSTILE)
def test_what_stands_around_an_answer_does_not_matter(answer: str) -> None:
    assert normalised(f" **{answer}** ") == normalised(answer)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("1,00", "100"), ("1000 dollars", "1000"), ("50%", "50"), ("2*3", "23"), ("-3", "3")),
        *(("1.5", "15"), (".5", "5"), ("1/2", "12"), ("", "0"), ("x", "y")),
    ],
)
def test_other_answers_are_other_answers(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_numbers_are_compared_exactly(number: Decimal) -> None:
    assert normalised(f"{number:f}") == normalised(f"{number:,f}") == number
    assert normalised(f"{number + Decimal('0.001'):f}") != number


def test_a_completion_without_an_answer_does_not_come_to_it() -> None:
    step = make(MathShepherdCompleter, answer="Step 2: b is 3.")
    solutions = [["Step 1: a", "Step 2: b is 3."]]
    rows = [{"instruction": "?", "golden_solution": GOLDEN, "solutions": solutions}]
    [row], _ = run_with_failures(rows, step)
    assert row["solutions"] == [["Step 1: a -", "Step 2: b is 3. -"]]


def test_what_others_cost_is_counted_where_one_beginning_fails() -> None:
    step = make(MathShepherdCompleter, script={"Step 2: b": "!boom"}, answer="The answer is: 3")
    solutions = [["Step 1: a", "Step 2: b", "Step 3: c", "The answer is: 3"]]
    rows = [{"instruction": "?", "golden_solution": GOLDEN, "solutions": solutions}]
    [row], [failure] = run_with_failures(rows, step)
    assert (failure.kind, failure.message) == (
        "engine",
        "solution 1, after step 2: ValueError: boom",
    )
    assert row[METADATA]["statistics_shepherd"]["output_tokens"] == len("The answer is: 3")


BAD: list[tuple[str, Any]] = [
    ("solutions", [["The answer is: 3", "Step 1: more"]]),
    ("solutions", None),
    ("solutions", []),
    ("solutions", [[]]),
    ("solutions", [["a", 3]]),
    ("solutions", "Step 1: a"),
    ("golden_solution", None),
    ("golden_solution", []),
    ("golden_solution", ["Step 1: a"]),
    ("golden_solution", "The answer is: 3"),
    ("instruction", None),
]


def test_rows_that_cannot_be_asked_about() -> None:
    good = {"instruction": "?", "golden_solution": GOLDEN, "solutions": [GOLDEN]}
    rows = [{**good, "id": number, column: value} for number, (column, value) in enumerate(BAD)]
    done, failures = run_with_failures(rows, make(MathShepherdCompleter))
    assert [row["solutions"] for row in done] == [None] * len(BAD)
    for failure in failures:
        assert failure.kind == "render"
        assert f"the column {BAD[failure.row['id']][0]!r}" in failure.message
    assert len(failures) == len(BAD)


@pytest.mark.parametrize(("answer", "kind"), [("No.", "parse"), ("!refused", "engine")])
def test_a_beginning_that_is_not_completed_costs_its_row(answer: str, kind: str) -> None:
    step = make(MathShepherdCompleter, answer=answer)
    solutions = [["Step 1: a", "Step 2: b", "The answer is: 3"]]
    rows = [
        {"instruction": "1", "golden_solution": GOLDEN, "solutions": solutions},
        {"instruction": "2", "golden_solution": GOLDEN, "solutions": [GOLDEN]},
    ]
    done, [failure] = run_with_failures(rows, step)
    assert {row["instruction"]: row["solutions"] is None for row in done} == {
        "1": True,
        "2": False,
    }
    assert failure.kind == kind
    if kind == "parse":
        assert "solution 1, after step 1: expected steps" in failure.message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tags": ["+"]}, "name two"),
        ({"tags": ["+", "+"]}, "name two"),
        ({"num_generations": 2}, "raise N"),
        ({"system_prompt": "{{ rules }}"}, "uses 'rules'; known are extra_rules, few_shots"),
        ({"N": 0}, "N"),
    ],
)
def test_wrong_arguments_are_refused_at_once(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make(MathShepherdCompleter, **fields)
