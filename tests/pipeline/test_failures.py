"""Failures of a run: where they come from, how they are kept, and when they end the run."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.errors import DistilabelUserError, RunFailedError
from beam_distilabel.pipeline import Pipeline, Route, routing_batch_function
from beam_distilabel.pipeline.failure_watch import FailureLimit, all_failed, too_many_failed
from beam_distilabel.row import Row
from beam_distilabel.step import GeneratorStep, GlobalStep, RowStep, Step
from beam_distilabel.task import GeneratorTask, Task
from beam_distilabel.transforms.sources.load_data_from_dicts import LoadDataFromDicts
from beam_distilabel.transforms.sources.load_data_from_file_system import LoadDataFromFileSystem
from beam_distilabel.typing import GeneratorStepOutput, StepInput, StepOutput
from tests.fakes import Ask, FakeLLM, journal, new_name
from tests.pipeline.fakes import Add, Fails, Numbers
from tests.pipeline.running import failures_of, rows_of


def run(pipeline: Pipeline, folder: Path, **arguments: Any) -> Any:
    return pipeline.run(output_dir=folder, logging_handlers=[], **arguments)


def load(rows: list[Row]) -> LoadDataFromDicts:
    return LoadDataFromDicts(data=rows, name="load")


# ------------------------------------------------------------------------------- as a dataset


class Retype(RowStep):
    """Makes the column `x` something else."""

    @property
    def inputs(self) -> list[str]:
        return ["x"]

    def transform_row(self, row: Row) -> Row:
        if row["x"] == 1:
            raise ValueError("one can't be retyped")
        return {**row, "x": {"is": str(row["x"])}, "more": [1.5]}


class Picky(RowStep):
    """Refuses two."""

    def transform_row(self, row: Row) -> Row:
        if row["x"] == {"is": "2"}:
            raise ValueError("two is refused")
        return row


def test_failures_of_steps_whose_columns_have_other_types(tmp_path: Path) -> None:
    import datasets

    with Pipeline(name="types") as pipeline:
        _ = load([{"x": i} for i in range(4)]) >> Retype(name="retype") >> Picky(name="picky")
    run(pipeline, tmp_path)
    dataset = datasets.load_dataset(str(tmp_path / "failures"), cache_dir=str(tmp_path / "cache"))
    by_step = {row["step"]: row for row in dataset["train"]}
    assert set(by_step) == {"retype", "picky"}
    # What has no common type is JSON text.
    assert by_step["retype"]["row"]["x"] == "1"
    assert by_step["picky"]["row"]["x"] == '{"is": "2"}'
    assert by_step["picky"]["row"]["more"] == [1.5]
    for number, row in ((1, by_step["retype"]), (2, by_step["picky"])):
        assert row["_row_id"] == row["row"]["_row_id"] == f"0-{number}"
        assert (row["kind"], row["attempts"]) == ("user_code", 1)


# ------------------------------------------------------------------------------- where they arise


def failing(folder: Path) -> list[tuple[str, str, str]]:
    """(step, kind, message) of a run's failures."""
    return [(f["step"], f["kind"], f["message"]) for f in failures_of(folder)]


@routing_batch_function
def by_chance(steps: list[str]) -> list[str]:
    if random.random() < 0.3:
        raise KeyError("nowhere to go")
    return steps[:1]


def test_a_routing_function_that_raises_costs_its_row(tmp_path: Path) -> None:
    with Pipeline(name="route") as pipeline:
        numbers = load([{"x": i} for i in range(40)])
        _ = numbers >> by_chance >> [Add(name="a"), Add(name="b")]
    distiset = run(pipeline, tmp_path)
    failures = failures_of(tmp_path)
    lost = {failure["row"]["x"] for failure in failures}
    assert 0 < len(lost) < 40
    assert {row["x"] for row in rows_of(distiset, "a")} == set(range(40)) - lost
    assert set(failing(tmp_path)) == {
        (
            "load",
            "user_code",
            "the routing function 'by_chance' raised KeyError: 'nowhere to go'",
        )
    }


def test_a_router_that_knows_no_row_ends_the_run(tmp_path: Path) -> None:
    with Pipeline(name="route") as pipeline:
        _ = load([{"x": 1}, {"x": 2}]) >> Route("x", to={3: Add(name="a"), 4: Add(name="b")})
    with pytest.raises(
        RunFailedError, match=r"All 2 rows of the routing after Step 'load' failed.*named for 1"
    ):
        run(pipeline, tmp_path)
    with Pipeline(name="strict") as pipeline:
        numbers = LoadDataFromDicts(data=[{"x": 1}], name="load", on_failure="raise")
        _ = numbers >> Route("x", to={3: Add(name="a"), 4: Add(name="b")})
    with pytest.raises(RunFailedError, match="could not be routed"):
        run(pipeline, tmp_path / "strict")


def uncarriable(kind: str) -> Any:
    holds_itself: list[Any] = []
    holds_itself.append(holds_itself)
    return {
        "lock": threading.Lock(),
        "generator": (i for i in [1]),
        "itself": holds_itself,
    }[kind]


class MakesIt(Step):
    """Makes a value that can't be sent anywhere of the row whose x is 1."""

    kind: str

    @property
    def outputs(self) -> list[str]:
        return ["made"]

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        made = [uncarriable(self.kind) if row["x"] == 1 else row["x"] for row in inputs]
        yield [{**row, "made": one} for row, one in zip(inputs, made, strict=True)]


class MakesItOfARow(RowStep):
    kind: str

    @property
    def outputs(self) -> list[str]:
        return ["made"]

    def transform_row(self, row: Row) -> Row:
        return {**row, "made": uncarriable(self.kind) if row["x"] == 1 else row["x"]}


class MakesItOfAll(GlobalStep, MakesIt):
    pass


class AnswersWithIt(Ask):
    kind: str

    def format_input(self, input: Row) -> Any:
        return [{"role": "user", "content": str(input["x"])}]

    @property
    def inputs(self) -> list[str]:
        return ["x"]

    @property
    def outputs(self) -> list[str]:
        return ["made", "model_name"]

    def format_output(self, output: Any, input: Row | None = None) -> dict[str, Any]:
        return {"made": uncarriable(self.kind) if output == "1" else int(output)}


@pytest.mark.parametrize("cls", [MakesIt, MakesItOfARow, MakesItOfAll, AnswersWithIt])
@pytest.mark.parametrize("kind", ["lock", "generator", "itself"])
def test_a_value_that_no_runner_can_carry(tmp_path: Path, cls: Any, kind: str) -> None:
    fields = {"llm": FakeLLM(tag=new_name())} if issubclass(cls, Task) else {}
    with Pipeline(name="odd") as pipeline:
        _ = load([{"x": i} for i in range(3)]) >> cls(name="odd", kind=kind, **fields)
    rows = rows_of(run(pipeline, tmp_path))
    assert [row["made"] for row in rows] == [0, None, 2]
    [(step, failure_kind, message)] = failing(tmp_path)
    assert (step, failure_kind) == ("odd", "user_code")
    assert "column 'made' " in message
    assert failures_of(tmp_path)[0]["row"]["x"] == 1


class Odd(GeneratorStep):
    """Makes three rows; the second can't be sent."""

    @property
    def outputs(self) -> list[str]:
        return ["made"]

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        yield [{"made": 0}, {"made": uncarriable("itself")}, {"made": 2}], True


@pytest.mark.parametrize(("on_failure", "made"), [("null", [0, None, 2]), ("drop", [0, 2])])
def test_a_generators_row_that_cannot_be_sent(tmp_path: Path, on_failure: Any, made: Any) -> None:
    with Pipeline(name="odd") as pipeline:
        Odd(name="odd", on_failure=on_failure)
    assert [row["made"] for row in rows_of(run(pipeline, tmp_path))] == made
    [failure] = failures_of(tmp_path)
    assert failure["_row_id"] == "0-1"
    assert failure["kind"] == "user_code"
    assert "holds itself" in failure["raw_output"]


class NoRow(RowStep):
    def transform_row(self, row: Row) -> Row:
        return None if row["x"] == 1 else row  # type: ignore[return-value]


def test_a_row_function_that_returns_no_row(tmp_path: Path) -> None:
    with Pipeline(name="none") as pipeline:
        _ = load([{"x": 0}, {"x": 1}]) >> NoRow(name="none")
    run(pipeline, tmp_path)
    [(_, kind, message)] = failing(tmp_path)
    assert kind == "user_code"
    assert "`transform_row` has to return a row (dict); it gave 'None'" in message


class InBatches(Ask):
    """Asks in a `process` of its own, with what a Task has for that."""

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield self._process_batch(inputs)


@pytest.mark.parametrize(("on_failure", "answers"), [("null", ["a", None]), ("drop", ["a"])])
def test_a_task_with_a_process_of_its_own(tmp_path: Path, on_failure: Any, answers: Any) -> None:
    with Pipeline(name="own") as pipeline:
        task = InBatches(name="ask", llm=FakeLLM(tag=new_name()), on_failure=on_failure)
        _ = load([{"text": "a"}, {"text": "[garbage]"}]) >> task
    assert [row["answer"] for row in rows_of(run(pipeline, tmp_path))] == answers
    [failure] = failures_of(tmp_path)
    assert (failure["kind"], failure["raw_output"]) == ("parse", "{{ 7 * 7 }} [RESULT] 9")


class MakesAnswers(GeneratorTask):
    """Asks for rows; what it parses says why a row has no answer."""

    @property
    def outputs(self) -> list[str]:
        return ["answer", "model_name"]

    def format_output(self, output: Any, input: Row | None = None) -> dict[str, Any]:
        if "bad" in output:
            raise ValueError("a bad answer")
        return {"answer": output}

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        outputs = [{"generations": [text]} for text in ("good", "bad")]
        yield [row for output in outputs for row in self._finished_rows({}, output, "go")], True


@pytest.mark.parametrize(("on_failure", "answers"), [("null", ["good", None]), ("drop", ["good"])])
def test_a_generator_task(tmp_path: Path, on_failure: Any, answers: Any) -> None:
    with Pipeline(name="makes") as pipeline:
        MakesAnswers(name="makes", llm=FakeLLM(tag=new_name()), on_failure=on_failure)
    assert [row["answer"] for row in rows_of(run(pipeline, tmp_path))] == answers
    [failure] = failures_of(tmp_path)
    assert (failure["kind"], failure["raw_output"]) == ("parse", "bad")


# ------------------------------------------------------------------------------- all rows failed


def test_a_run_whose_rows_all_failed_is_no_success(tmp_path: Path) -> None:
    tag = new_name()
    with Pipeline(name="all") as pipeline:
        ask = Ask(name="ask", llm=FakeLLM(tag=tag))
        _ = load([{"text": f"[garbage] {i}"} for i in range(7)]) >> ask
    with pytest.raises(
        RunFailedError, match=r"All 7 rows of Step 'ask' failed.*this can't be parsed"
    ):
        run(pipeline, tmp_path)
    assert len(failures_of(tmp_path)) == 7
    # What was paid for is kept.
    with pytest.raises(RunFailedError):
        run(pipeline, tmp_path)
    assert len(journal(tag).events) == 7


@pytest.mark.parametrize("on_failure", ["null", "drop"])
@pytest.mark.parametrize("generations", [1, 3])
def test_all_failed_in_any_form(tmp_path: Path, on_failure: Any, generations: int) -> None:
    with Pipeline(name="all") as pipeline:
        ask = Ask(
            name="ask",
            llm=FakeLLM(tag=new_name()),
            on_failure=on_failure,
            num_generations=generations,
            group_generations=generations > 1,
        )
        _ = load([{"text": "[garbage]"}]) >> ask
    with pytest.raises(RunFailedError, match="The only row of Step 'ask' failed"):
        run(pipeline, tmp_path)


def test_one_of_two_branches_failed(tmp_path: Path) -> None:
    with Pipeline(name="branches") as pipeline:
        _ = load([{"x": 1}, {"x": 2}]) >> [
            Add(name="add", column="y"),
            Fails(name="fails", values=[1, 2]),
        ]
    with pytest.raises(RunFailedError, match="All 2 rows of Step 'fails' failed.*KeyError: 'no"):
        run(pipeline, tmp_path)


def test_the_first_step_is_named(tmp_path: Path) -> None:
    with Pipeline(name="chain") as pipeline:
        first = Fails(name="first", values=[1], on_failure="null")
        _ = load([{"x": 1}]) >> first >> Fails(name="then", values=[1])
    with pytest.raises(RunFailedError, match="The only row of Step 'first' failed"):
        run(pipeline, tmp_path)


def test_no_rows_are_no_failure(tmp_path: Path) -> None:
    with Pipeline(name="none") as pipeline:
        numbers = Numbers(name="load", count=2)
        _ = numbers >> Fails(name="lost", values=[0], on_failure="drop") >> Keep(name="keep")
    assert rows_of(run(pipeline, tmp_path)) == []
    assert len(failures_of(tmp_path)) == 1


class Keep(Step):
    """Keeps no row."""

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield []


def test_nothing_useless_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """See tests/test_publishing.py for what is; the commit asks for the verdict first."""
    from beam_distilabel.pipeline.report import RunFacts
    from beam_distilabel.progress import forget, step_progress

    progress = step_progress(str(tmp_path), "ask")
    progress.rows_failed = 2
    progress.failed("parse", "no verdict")
    progress.write()
    facts = RunFacts("p", str(tmp_path), {}, ("ask",))
    with pytest.raises(RunFailedError, match="All 2 rows.*no verdict. Nothing is published"):
        facts.companions("me/data", None, {}, {})
    forget(str(tmp_path))


# ------------------------------------------------------------------------------- too many failed


def test_a_run_in_which_too_many_rows_fail_is_stopped(tmp_path: Path) -> None:
    """The rows after the failing ones wait until the run is stopped: they are never asked."""
    tag = new_name()
    with Pipeline(name="ratio") as pipeline:
        rows = [{"text": f"[garbage] {i}" if i % 2 else f"fine {i}"} for i in range(40)]
        rows += [{"text": f"[wait] {i}"} for i in range(30)]
        ask = Ask(name="ask", llm=WaitingLLM(tag=tag), max_in_flight=10)
        _ = load(rows) >> ask
    with pytest.raises(
        RunFailedError,
        match=r"50% of the rows of Step 'ask' failed: 20 of 40; max_failure_ratio is 0.3. "
        r"Most frequent reason: ValueError: this can't be parsed\..* to go on: ",
    ):
        run(pipeline, tmp_path, max_failure_ratio=0.3, min_failure_sample=40)
    # What was answered is kept: a run that allows it asks for the rest only.
    asked = journal(tag).events
    assert sum("[wait]" in prompt for prompt in asked) <= 20
    journal(tag).events.clear()
    journal(tag).released.set()
    rows = rows_of(run(pipeline, tmp_path))
    assert len(rows) == 70
    assert sorted(journal(tag).events) == sorted(f"[wait] {i}" for i in range(30))


class WaitingLLM(FakeLLM):
    """Answers a prompt with "[wait]" only when its journal is released."""

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1, temperature: float = 1.0
    ) -> Any:
        import asyncio

        while "[wait]" in input[-1]["content"] and not journal(self.tag).released.is_set():
            await asyncio.sleep(0.01)
        return await super().agenerate(input, num_generations, temperature)


def test_a_run_that_was_too_quick_to_be_stopped(tmp_path: Path) -> None:
    with Pipeline(name="ratio") as pipeline:
        _ = load([{"x": i} for i in range(10)]) >> Fails(name="fails", values=[1, 2, 3])
    with pytest.raises(RunFailedError, match=r"30% of the rows of Step 'fails' failed: 3 of 10"):
        run(pipeline, tmp_path, max_failure_ratio=0.2, min_failure_sample=10)
    assert len(rows_of(run(pipeline, tmp_path, max_failure_ratio=0.3, min_failure_sample=10))) == 10
    # Ten rows are no sample unless that is said.
    assert len(rows_of(run(pipeline, tmp_path, max_failure_ratio=0.2))) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_failure_ratio": 0}, "max_failure_ratio=0"),
        ({"max_failure_ratio": 1.5}, "max_failure_ratio=1.5"),
        ({"max_failure_ratio": 0.5, "min_failure_sample": 0}, "min_failure_sample=0"),
    ],
)
def test_limits_that_make_no_sense(tmp_path: Path, arguments: Any, message: str) -> None:
    with Pipeline(name="ratio") as pipeline:
        load([{"x": 1}])
    with pytest.raises(DistilabelUserError, match=message):
        run(pipeline, tmp_path, **arguments)


def counted(passed: int, failed: int) -> dict[str, Any]:
    return {"rows_passed": passed, "rows_failed": failed, "reasons": {}}


def test_what_the_counts_say() -> None:
    limit = FailureLimit(0.5, min_sample=10)
    assert too_many_failed({"a": counted(4, 5)}, ["a"], limit) is None
    assert too_many_failed({"a": counted(5, 5)}, ["a"], limit) is None
    assert "Step 'a'" in (too_many_failed({"a": counted(5, 6)}, ["a"], limit) or "")
    assert too_many_failed({"a": counted(0, 99)}, ["a"], FailureLimit()) is None
    assert all_failed({"a": counted(0, 0)}, ["a", "b"]) is None
    assert all_failed({"a": counted(1, 99)}, ["a"]) is None
    assert "Step 'b'" in (all_failed({"a": counted(1, 1), "b": counted(0, 1)}, ["a", "b"]) or "")


# ------------------------------------------------------------------------------- retrying a run


class Judge(Ask):
    """Asks about the answer."""

    @property
    def inputs(self) -> list[str]:
        return ["answer"]

    @property
    def outputs(self) -> list[str]:
        return ["verdict", "model_name"]

    def format_input(self, input: Row) -> Any:
        if input["answer"] is None:
            raise ValueError("nothing to judge")
        return [{"role": "user", "content": f"judge {input['answer']}"}]

    def format_output(self, output: Any, input: Row | None = None) -> dict[str, Any]:
        return {"verdict": output}


class Changing(FakeLLM):
    """Answers every request for the same with another text: garbage, and then "good"."""

    def answer_identity(self) -> dict[str, Any]:
        return {"class": "Changing"}

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1, temperature: float = 1.0
    ) -> Any:
        prompt = input[-1]["content"]
        nth = journal(f"{self.tag}/{prompt}").add(prompt)
        journal(self.tag).add(prompt)
        text = prompt if "[moody]" not in prompt else "[RESULT] 9" if nth == 1 else "good"
        return {"generations": [text] * num_generations}


def judged(tag: str, rows: list[Row] | None, **fields: Any) -> Pipeline:
    with Pipeline(name="retried") as pipeline:
        ask = Ask(name="ask", llm=Changing(tag=tag), **fields)
        _ = ask >> Judge(name="judge", llm=Changing(tag=tag))
        if rows is not None:
            _ = load(rows) >> ask
    return pipeline


TEXTS = [{"text": text} for text in ("a", "[moody]", "c")]


@pytest.mark.parametrize("how", ["by the failures", "by the method"])
@pytest.mark.parametrize("data", ["loaded", "a path", "in memory"])
def test_retrying_a_run(tmp_path: Path, how: str, data: str) -> None:
    tag = new_name()
    folder = tmp_path / "run"
    pipeline = judged(tag, TEXTS if data == "loaded" else None)
    given: Any = {"loaded": None, "in memory": TEXTS, "a path": str(tmp_path / "rows.jsonl")}[data]
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n{"text": "[moody]"}\n{"text": "c"}\n')
    first = rows_of(run(pipeline, folder, dataset=given))
    assert [row["verdict"] for row in first] == ["judge a", None, "judge c"]
    assert {f["step"] for f in failures_of(folder)} == {"ask", "judge"}
    journal(tag).events.clear()

    arguments = {"logging_handlers": []}
    if data == "in memory":
        with pytest.raises(DistilabelUserError, match=r"in memory; give them again: `pipeline.ret"):
            pipeline.run(dataset=folder / "failures", **arguments)
        mended = pipeline.retry(folder, given, **arguments)
    elif how == "by the method":
        mended = pipeline.retry(folder, **arguments)
    else:
        mended = pipeline.run(dataset=folder / "failures", **arguments)
    rows = rows_of(mended)
    assert [row["verdict"] for row in rows] == ["judge a", "judge good", "judge c"]
    assert [rows[0], rows[2]] == [first[0], first[2]]
    assert journal(tag).events == ["[moody]", "judge good"]
    assert failures_of(folder) == []

    # A plain run finds it all.
    journal(tag).events.clear()
    assert rows_of(run(pipeline, folder, dataset=given)) == rows
    assert journal(tag).events == []


def test_a_retry_uses_what_the_run_has_whatever_runs_may_use(tmp_path: Path) -> None:
    tag = new_name()
    pipeline = judged(tag, TEXTS, use_cache=False)
    run(pipeline, tmp_path, use_cache=False)
    journal(tag).events.clear()
    pipeline.retry(tmp_path, logging_handlers=[])
    assert journal(tag).events == ["[moody]", "judge good"]


def test_there_is_nothing_to_retry(tmp_path: Path) -> None:
    pipeline = judged(new_name(), TEXTS)
    with pytest.raises(DistilabelUserError, match="holds no run of the pipeline 'retried'"):
        pipeline.retry(tmp_path)
    run(pipeline, tmp_path / "run")
    with pytest.raises(DistilabelUserError, match="leave out output_dir"):
        run(pipeline, tmp_path / "other", dataset=tmp_path / "run" / "failures")


def test_failures_of_another_pipeline_are_data(tmp_path: Path) -> None:
    with Pipeline(name="one") as one:
        _ = load([{"x": 1}, {"x": 2}]) >> Fails(name="fails", values=[1])
    run(one, tmp_path / "one")
    with Pipeline(name="two") as two:
        Message(name="message")
    rows = rows_of(run(two, tmp_path / "two", dataset=tmp_path / "one" / "failures"))
    assert [row["step"] for row in rows] == ["fails"]


class Message(RowStep):
    @property
    def inputs(self) -> list[str]:
        return ["message"]

    def transform_row(self, row: Row) -> Row:
        return row


# ------------------------------------------------------------------------------- too deep


def nested(levels: int) -> Any:
    value: Any = "end"
    for _ in range(levels):
        value = [value]
    return value


class Same(RowStep):
    def transform_row(self, row: Row) -> Row:
        return {**row}


@pytest.mark.parametrize("cls", [Same, Add, Ask])
def test_a_row_that_can_go_nowhere(tmp_path: Path, cls: Any) -> None:
    """It is not even in its own failure, but as text."""
    fields = {"llm": FakeLLM(tag=new_name())} if cls is Ask else {}
    rows: list[Row] = [{"x": i, "text": f"{i}", "deep": nested(1)} for i in range(3)]
    rows[1]["deep"] = nested(400)
    with Pipeline(name="deep") as pipeline:
        _ = load(rows) >> cls(name="step", **fields)
    assert [row["x"] for row in rows_of(run(pipeline, tmp_path))] == [0, 2]
    [failure] = failures_of(tmp_path)
    assert (failure["step"], failure["kind"]) == ("step", "user_code")
    assert failure["message"].endswith("column 'deep' is nested too deeply, or holds itself")
    assert failure["row"]["_row_id"] == failure["_row_id"] == "0-1"
    assert '"x": 1' in failure["row"]["json"]


@pytest.mark.parametrize("whole", [False, True])
def test_deep_json_in_files(tmp_path: Path, whole: bool) -> None:
    rows = [{"x": 0, "deep": nested(200)}, {"x": 1, "deep": nested(400)}]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    if whole:
        file = tmp_path / "rows.json"
        file.write_text(json.dumps(rows))
    with Pipeline(name="deep") as pipeline:
        LoadDataFromFileSystem(data_files=str(file), name="load")
    assert [row["x"] for row in rows_of(run(pipeline, tmp_path / "run"))] == [0]
    [(step, kind, message)] = failing(tmp_path / "run")
    assert (step, kind) == ("load", "read")
    assert "the JSON is nested too deeply, in more than 256 levels" in message
