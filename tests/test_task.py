"""Tasks: prompts in, answers and `distilabel_metadata` out."""

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from pydantic import PrivateAttr

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.metadata import METADATA
from beam_distilabel.row import DRAW, ROW_ID
from beam_distilabel.task import check_llm
from beam_distilabel.transforms.columns.keep_columns import KeepColumns
from beam_distilabel.transforms.tasks.prometheus_eval import PrometheusEval
from beam_distilabel.transforms.tasks.text_generation import TextGeneration
from beam_distilabel.typing import StepInput, StepOutput
from tests.fakes import (
    Ask,
    AskInOwnWords,
    FakeLLM,
    SyncFakeLLM,
    journal,
    new_name,
    no_engine_is_left,  # noqa: F401
    output_of,
    plain,
    run,
    run_with_failures,
)

pytestmark = pytest.mark.usefixtures("no_engine_is_left")

KEYS = {
    f"{key}_ask" for key in ("raw_input", "raw_output", "statistics", "finish_reason", "failure")
}
PROMPT = [{"role": "user", "content": "hey"}]


def ask(**fields: Any) -> Ask:
    return Ask(**{"name": "ask", "llm": FakeLLM(), **fields})


def by_text(rows: list[Any]) -> dict[str, Any]:
    return {row["text"]: row for row in rows}


# ---------------------------------------------------------------------------------- metadata


def test_an_answered_row() -> None:
    [row] = plain(run([{"text": "hey", "other": 1}], ask()))
    assert row == {
        "text": "hey",
        "other": 1,
        "answer": "hey",
        "model_name": "fake",
        METADATA: {
            "raw_input_ask": PROMPT,
            "raw_output_ask": "hey",
            "statistics_ask": {"input_tokens": 3, "output_tokens": 3},
            "finish_reason_ask": "stop",
            "failure_ask": None,
        },
    }


@pytest.mark.parametrize(
    ("text", "kind", "message", "raw_output"),
    [
        ("[garbage]", "parse", "ValueError: this can't be parsed", "{{ 7 * 7 }} [RESULT] 9"),
        ("[none]", "parse", "ValueError: this can't be parsed", None),
        ("[raise]", "engine", "ValueError: this prompt is refused", None),
        ("[too long]", "too_long", "the prompt has 10 tokens, the model takes 4", None),
        (5, "render", "TypeError: no text: int", None),
    ],
)
@pytest.mark.parametrize("grouped", [False, True])
def test_a_failed_row_has_the_same_keys(
    text: Any, kind: str, message: str, raw_output: Any, grouped: bool
) -> None:
    rows, failures = run_with_failures([{"text": text}], ask(group_generations=grouped))
    [row] = rows

    def one(value: Any) -> Any:
        if not grouped:
            return value
        assert isinstance(value, list)
        [only] = value
        return only

    metadata = row[METADATA]
    assert set(metadata) == KEYS
    reason = {"kind": kind, "message": message, "attempts": 1}
    assert one(metadata["failure_ask"]) == reason
    assert one(metadata["raw_output_ask"]) == raw_output
    assert one(row["answer"]) is None
    sent = None if kind == "render" else [{"role": "user", "content": text}]
    assert one(metadata["raw_input_ask"]) == sent
    assert set(one(metadata["statistics_ask"])) == {"input_tokens", "output_tokens"}
    assert (row["text"], row["model_name"]) == (text, "fake")
    [failure] = failures
    assert (failure.step, failure.reason(), failure.raw_output) == ("ask", reason, raw_output)
    assert plain([failure.row]) == [{"text": text}]


def test_failed_rows_that_are_dropped_or_end_the_run() -> None:
    texts = [{"text": "[raise]"}, {"text": "good"}, {"text": "[garbage]"}, {"text": 1}]
    rows, failures = run_with_failures(texts, ask(on_failure="drop"))
    assert [row["text"] for row in rows] == ["good"]
    assert sorted(failure.kind for failure in failures) == ["engine", "parse", "render"]
    with pytest.raises(Exception, match=r"Step 'ask' \(Ask\): a row failed \(engine\).*refused"):
        run(texts[:2], ask(on_failure="raise"))


def test_what_is_not_kept_is_not_there() -> None:
    step = ask(add_raw_input=False, add_raw_output=False)
    for row in run([{"text": "a"}, {"text": "[raise]"}], step):
        assert set(row[METADATA]) == {"statistics_ask", "finish_reason_ask", "failure_ask"}


def test_generations_are_rows() -> None:
    rows = run([{"text": "hey", ROW_ID: "0-4"}], ask(num_generations=3))
    assert sorted(row[ROW_ID] for row in rows) == ["0-4.0", "0-4.1", "0-4.2"]
    assert sorted(row.get(DRAW, 0) for row in rows) == [0, 1, 2]
    for row in rows:
        assert row["answer"] == "hey"
        assert set(row[METADATA]) == KEYS
        assert row[METADATA]["statistics_ask"] == {"input_tokens": 3, "output_tokens": 3}


def test_grouped_generations_are_lists_of_one_row() -> None:
    [row] = run([{"text": "hey", ROW_ID: "0-4"}], ask(num_generations=3, group_generations=True))
    assert (row[ROW_ID], row["answer"], row["model_name"]) == ("0-4", ["hey"] * 3, "fake")
    assert row[METADATA] == {
        "raw_input_ask": [PROMPT] * 3,
        "raw_output_ask": ["hey"] * 3,
        "statistics_ask": [{"input_tokens": 3, "output_tokens": 3}] * 3,
        "finish_reason_ask": ["stop"] * 3,
        "failure_ask": [None] * 3,
    }


class HalfGood(FakeLLM):
    """Every other of its answers can't be parsed."""

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
        return output_of([("good", "[RESULT] 9")[i % 2] for i in range(num_generations)])


@pytest.mark.parametrize("on_failure", ["null", "drop"])
def test_one_bad_generation_of_three(on_failure: str) -> None:
    step = ask(llm=HalfGood(), num_generations=3, on_failure=on_failure)
    rows, failures = run_with_failures([{"text": "hey"}], step)
    kept = ["good", None, "good"] if on_failure == "null" else ["good", "good"]
    assert [row["answer"] for row in rows] == kept
    assert [(failure.kind, failure.raw_output) for failure in failures] == [("parse", "[RESULT] 9")]

    grouped = ask(llm=HalfGood(), num_generations=3, on_failure=on_failure, group_generations=True)
    [row], failures = run_with_failures([{"text": "hey"}], grouped)
    assert row["answer"] == ["good", None, "good"]
    assert [reason and reason["kind"] for reason in row[METADATA]["failure_ask"]] == [
        None,
        "parse",
        None,
    ]
    assert len(failures) == 1


class HalfRefused(FakeLLM):
    """Says itself that the second of its answers is of no use."""

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:
        refused = {"kind": "schema", "message": "no JSON", "attempts": 1, "raw_output": "{"}
        return {**output_of(["fine", None]), "failures": [None, refused]}


def test_a_generation_that_the_llm_says_is_of_no_use() -> None:
    step = ask(llm=HalfRefused(tag=new_name()), num_generations=2)
    rows, failures = run_with_failures([{"text": "hey"}], step)
    assert [row["answer"] for row in rows] == ["fine", None]
    assert [row[METADATA]["raw_output_ask"] for row in rows] == ["fine", "{"]
    assert [(failure.kind, failure.message) for failure in failures] == [("schema", "no JSON")]
    assert failures[0].raw_output == "{"


def test_a_refused_row_with_several_generations() -> None:
    rows = run([{"text": "[raise]"}], ask(num_generations=2))
    assert [row["answer"] for row in rows] == [None, None]
    [row] = run([{"text": "[raise]"}], ask(num_generations=2, group_generations=True))
    assert row["answer"] == [None, None]
    assert [reason["kind"] for reason in row[METADATA]["failure_ask"]] == ["engine"] * 2
    assert set(row[METADATA]) == KEYS


def test_chained_tasks_add_to_the_metadata() -> None:
    first = TextGeneration(name="first", llm=FakeLLM(tag="one", answer="an answer"))
    judge = PrometheusEval(
        name="judge",
        llm=FakeLLM(tag="two", answer="Feedback: fine [RESULT] 4"),
        mode="absolute",
        rubric="honesty",
    )
    [row] = run([{"instruction": "?", METADATA: {"failure_before": None}}], first, judge)
    assert (row["generation"], row["result"], row["model_name"]) == ("an answer", 4, "two")
    kinds = ("raw_input", "raw_output", "statistics", "finish_reason", "failure")
    assert set(row[METADATA]) == {
        "failure_before",
        *(f"{kind}_{name}" for name in ("first", "judge") for kind in kinds),
    }
    assert row[METADATA]["raw_output_first"] == "an answer"


def test_metadata_that_is_no_dict_is_kept() -> None:
    [row] = run([{"text": "a", METADATA: ["kept"]}], ask())
    assert row[METADATA]["upstream"] == ["kept"]


def test_metadata_of_the_parser_is_kept() -> None:
    class Notes(Ask):
        def format_output(self, output: Any, input: Any = None) -> dict[str, Any]:
            return {"answer": output, METADATA: {"note": 1}}

    [row] = run([{"text": "a"}], Notes(name="ask", llm=FakeLLM()))
    assert set(row[METADATA]) == {*KEYS, "note"}


def test_other_keys_of_an_llm_are_columns_named_after_the_step() -> None:
    class Chatty(FakeLLM):
        async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
            texts = [f"answer {i}" for i in range(num_generations)]
            return {
                **output_of(texts),
                "logprobs": [[{"token": i}] for i in range(num_generations)],
                "cost": 0.5,
                "ids": ["only one"],
            }

    rows = run([{"text": "a"}], ask(llm=Chatty(), num_generations=2))
    assert [
        (r["answer"], r["llm_ask_logprobs"], r["llm_ask_cost"], r["llm_ask_ids"]) for r in rows
    ] == [(f"answer {i}", [{"token": i}], 0.5, "only one") for i in range(2)]
    [row] = run([{"text": "a"}], ask(llm=Chatty(), num_generations=2, group_generations=True))
    assert row["llm_ask_logprobs"] == [[{"token": 0}], [{"token": 1}]]
    assert row["llm_ask_cost"] == [0.5, 0.5]


# ---------------------------------------------------------------------------------- the prompt


def test_the_raw_input_is_what_was_sent() -> None:
    """A prompt that is drawn at random is drawn once."""
    tag = new_name()
    step = AskInOwnWords(name="ask", llm=FakeLLM(tag=tag))
    rows = run([{"text": f"row {n}"} for n in range(20)], step)
    assert len(journal(tag).events) == len(journal(f"{tag}/formatted").events) == 20
    for row in rows:
        [message] = row[METADATA]["raw_input_ask"]
        assert row["answer"] == message["content"] == row[METADATA]["raw_output_ask"]

    step.load()
    [row] = next(step.process([{"text": "outside"}]))
    assert row["answer"] == row[METADATA]["raw_input_ask"][0]["content"]
    assert journal(f"{tag}/formatted").count("outside") == 1


def test_a_structured_input_is_kept_without_its_schema() -> None:
    class Structured(Ask):
        def get_structured_output(self) -> dict[str, Any]:
            return {"type": "object"}

    tag = new_name()
    step = Structured(name="ask", llm=FakeLLM(tag=tag), use_default_structured_output=True)
    [row] = run([{"text": "hey"}], step)
    assert row[METADATA]["raw_input_ask"] == PROMPT
    assert step._format_input({"text": "hey"}) == (
        PROMPT,
        {"format": "json", "schema": {"type": "object"}},
    )


@pytest.mark.parametrize("where", ["first", "second"])
def test_a_prompt_that_changes_its_row_changes_no_other_branch(where: str) -> None:
    class Pops(Ask):
        def format_input(self, input: Any) -> Any:
            input["tags"].append("seen")
            return [{"role": "user", "content": input.pop("text")}]

    found = new_name()
    pops, keep = Pops(name="pops", llm=FakeLLM()), KeepColumns(columns=["text", "tags"])
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        rows = pipeline | beam.Create([{"text": "a", "tags": []}], reshuffle=False)
        for step in (pops, keep) if where == "first" else (keep, pops):
            out = rows | step
            if step is keep:
                _ = out | beam.Map(lambda row, name: journal(name).add(dict(row)), found)
    assert plain(journal(found).events) == [{"text": "a", "tags": []}]


# ---------------------------------------------------------------------------------- in Beam


def test_the_engine_is_released_at_the_end() -> None:
    tag = new_name()
    assert len(run([{"text": "a"}], ask(llm=FakeLLM(tag=tag)))) == 1
    assert journal(f"{tag}/life").events == ["load", "unload"]


def test_tasks_with_equal_llms_share_an_engine() -> None:
    tag = new_name()
    chain = [
        Ask(name=f"ask_{i}", llm=FakeLLM(tag=tag), output_mappings={"answer": f"answer_{i}"})
        for i in range(3)
    ]
    [row] = run([{"text": "a"}], *chain)
    assert [row[f"answer_{i}"] for i in range(3)] == ["a", "a", "a"]
    assert journal(f"{tag}/life").events == ["load", "unload"]


def test_windows_and_timestamps() -> None:
    found = new_name()

    def see(
        row: Any, time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> None:
        journal(found).add((row["answer"], int(time), int(window.start)))

    times = (3, 14, 5, 25, 11)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        outputs = (
            pipeline
            | beam.Create([TimestampedValue({"text": f"t{t}"}, t) for t in times])
            | beam.WindowInto(FixedWindows(10))
            | ask(num_generations=2).with_failures()
        )
        _ = outputs["rows"] | beam.Map(see)
    assert sorted(journal(found).events) == sorted((f"t{t}", t, t // 10 * 10) for t in times * 2)


def test_mappings() -> None:
    step = ask(input_mappings={"text": "question"}, output_mappings={"answer": "reply"})
    rows = run([{"question": "why", "text": "kept", "answer": "kept too"}, {"question": 1}], step)
    good, bad = sorted(rows, key=lambda row: str(row["question"]), reverse=True)
    assert {k: good[k] for k in ("question", "text", "answer", "reply")} == {
        "question": "why",
        "text": "kept",
        "answer": "kept too",
        "reply": "why",
    }
    assert (bad["question"], bad["reply"]) == (1, None)
    assert "answer" not in bad


def test_a_task_in_two_pipelines_and_twice_in_one() -> None:
    step = ask()
    rows = [*run([{"text": "a"}], step), *run([{"text": "b"}], step, step)]
    assert [row["answer"] for row in rows] == ["a", "b"]


def test_rows_piped_into_a_task() -> None:
    [row] = [{"text": "a"}] | ask()
    assert row["answer"] == "a"


# ---------------------------------------------------------------------------------- outside


@pytest.mark.parametrize("llm", [FakeLLM(), SyncFakeLLM()], ids=["async", "sync"])
def test_a_task_outside_of_a_pipeline(llm: Any) -> None:
    step = ask(llm=llm, num_generations=2)
    step.load()
    rows = next(step.process([{"text": "a"}, {"text": "b"}]))
    assert [row["answer"] for row in rows] == ["a", "a", "b", "b"]
    assert set(rows[0][METADATA]) == KEYS
    assert ROW_ID not in rows[0]
    step.unload()


def test_an_older_llm_that_returns_lists() -> None:
    step = ask()
    step.load()
    [row] = next(step.process([{"text": "[list]"}]))
    assert row["answer"] == "[list]"
    [row] = run([{"text": "[list]"}], ask())
    assert row["answer"] == "[list]"


def test_generation_arguments_that_the_llm_does_not_take() -> None:
    step = ask(llm=FakeLLM(generation_kwargs={"temprature": 1}))
    with pytest.raises(
        DistilabelUserError, match=r"'ask'.*'temprature'. Did you mean 'temperature'"
    ):
        check_llm(step)


# ---------------------------------------------------------------------------------- own process


class Twice(Ask):
    """Asks about every row twice, in a `process` of its own."""

    _own: Any = PrivateAttr(None)

    def load(self) -> None:
        super().load()
        self._own = lambda text: text

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        formatted = self._format_inputs(inputs)
        for _ in range(2):
            outputs = self.llm.generate_outputs(
                inputs=formatted,
                num_generations=self.num_generations or 1,
                **self.llm.get_generation_kwargs(),
            )
            for row, output in zip(inputs, outputs, strict=True):
                yield [
                    {**row, **self._own(columns), "model_name": self.llm.model_name}
                    for columns in self._format_outputs(output, row)
                ]


def test_a_process_of_ones_own() -> None:
    tag = new_name()
    step = Twice(name="ask", llm=FakeLLM(tag=tag, generation_kwargs={"temperature": 0.5}))
    rows, failures = run_with_failures([{"text": "a"}, {"text": "b"}], step)
    assert sorted(row["answer"] for row in rows) == ["a", "a", "b", "b"]
    assert all(set(row[METADATA]) == KEYS for row in rows)
    assert not failures
    # The worker's copy loads the LLM, since there is no engine.
    assert journal(f"{tag}/life").events == ["load", "unload"]


@pytest.mark.parametrize("grouped", [False, True])
def test_a_row_that_fails_in_a_process_of_ones_own(grouped: bool) -> None:
    step = Twice(name="ask", llm=FakeLLM(), num_generations=2, group_generations=grouped)
    before = {"failure_before": None}
    rows, failures = run_with_failures(
        [{"text": "[raise]", METADATA: before}, {"text": "b", METADATA: before}], step
    )
    [failure] = failures
    assert (failure.kind, failure.row["text"]) == ("user_code", "[raise]")
    bad = [row for row in rows if row["text"] == "[raise]"]
    assert len(bad) == (1 if grouped else 2)
    assert len({row[ROW_ID] for row in rows}) == len(rows)
    for row in bad:
        assert row["answer"] == ([None, None] if grouped else None)
        assert set(row[METADATA]) == {*KEYS, "failure_before"}


def test_several_inputs_of_a_task_are_asked_for_by_its_process() -> None:
    class Joined(Ask):
        def process(self, *inputs: StepInput) -> StepOutput:
            merged = [{**a, **b} for a, b in zip(*inputs, strict=True)]
            yield self._process_batch(merged)

    found = new_name()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        left = pipeline | "L" >> beam.Create([{"text": "a", ROW_ID: "0-0"}])
        right = pipeline | "R" >> beam.Create([{"more": 1, ROW_ID: "0-0"}])
        _ = (
            (left, right)
            | Joined(name="ask", llm=FakeLLM())
            | beam.Map(lambda row, name: journal(name).add(row), found)
        )
    [row] = journal(found).events
    assert (row["answer"], row["more"], row[ROW_ID]) == ("a", 1, "0-0")


@pytest.mark.parametrize("grouped", [False, True])
def test_a_lone_surrogate_in_an_answer_becomes_its_escape(grouped: bool) -> None:
    """No runner can carry it and no file hold it."""
    [row] = run([{"text": "[surrogate]"}], ask(group_generations=grouped))
    answer = "half a \\ud83d character"
    assert row["answer"] == ([answer] if grouped else answer)
    assert row[METADATA]["raw_output_ask"] == row["answer"]
