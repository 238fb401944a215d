"""`Pipeline.finalize`: the Distiset of what is finished, without asking; and resumed runs.

A part of a run's rows is finished by a run of that part: answers are found by their content.
"""

from __future__ import annotations

import json
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.checkpoint import count_rows
from beam_distilabel.errors import (
    DistilabelUserError,
    ParseError,
    RunCancelled,
    RunFailedError,
    RunInterrupted,
)
from beam_distilabel.models.base import LLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.report import RunFacts
from beam_distilabel.progress import discard, stop
from beam_distilabel.row import Row
from beam_distilabel.step import Step
from beam_distilabel.steps.tasks import GeneratorTask, TextGeneration
from beam_distilabel.typing import GeneratorStepOutput, StepInput, StepOutput
from tests.fakes import FakeLLM, journal, new_name
from tests.pipeline.fakes import GATES, Gate, Lose, Merge, Reverse
from tests.pipeline.running import columns, failures_of, rows_of

ROWS = [{"instruction": f"row{n}", "x": n} for n in range(6)]


def asking(tag: str, name: str = "asking", **fields: Any) -> Pipeline:
    with Pipeline(name=name) as pipeline:
        TextGeneration(name="ask", llm=FakeLLM(tag=tag), **fields)
    return pipeline


def run(pipeline: Pipeline, output_dir: Path, rows: list[Row], **arguments: Any) -> Any:
    return pipeline.run(dataset=rows, output_dir=output_dir, logging_handlers=[], **arguments)


def finalize(pipeline: Pipeline, output_dir: Path, rows: list[Row] = ROWS) -> Any:
    return pipeline.finalize(output_dir, dataset=rows, logging_handlers=[])


def report_of(run_dir: Path) -> Any:
    return json.loads((run_dir / "report.json").read_text())


# -- finalize --------------------------------------------------------------------------------------


def test_what_is_finished_is_there_and_nothing_is_asked_or_loaded(tmp_path: Path) -> None:
    tag = new_name()
    pipeline = asking(tag)
    run(pipeline, tmp_path / "run", ROWS[:3])
    before = json.loads((tmp_path / "run" / "run.json").read_text())
    loads = list(journal(f"{tag}/life").events)
    for _ in range(2):
        part = finalize(pipeline, tmp_path / "run")
        assert columns(rows_of(part), "x", "generation") == [(n, f"row{n}") for n in range(3)]
        report = report_of(tmp_path / "run")
        assert report["partial"] == {"ask": {"finished": 3, "known": 6}}
        assert report["steps"]["ask"]["reused"] == 3
    card = (tmp_path / "run" / "distiset" / "README.md").read_text()
    assert "This is a part of the result" in card and "`ask`: 3 of 6 rows finished" in card
    assert journal(tag).events == ["row0", "row1", "row2"]
    assert journal(f"{tag}/life").events == loads
    after = json.loads((tmp_path / "run" / "run.json").read_text())
    assert {k: v for k, v in after.items() if k not in ("finalized", "result", "sources")} == {
        k: v for k, v in before.items() if k not in ("result", "sources")
    }
    assert (before["result"], after["result"]) == ("whole", "part")
    # It goes on where it was.
    whole = run(pipeline, tmp_path / "run", ROWS)
    assert columns(rows_of(whole), "generation") == [(f"row{n}",) for n in range(6)]
    assert journal(tag).events[3:] == ["row3", "row4", "row5"]
    finalize(pipeline, tmp_path / "run")
    assert "partial" not in report_of(tmp_path / "run")


class Picky(TextGeneration):
    """Takes no answer with the word "bad"."""

    def format_output(self, output: str | None, input: Any = None) -> dict[str, Any]:
        if output and "bad" in output:
            raise ParseError("a bad word")
        return super().format_output(output, input)


def test_failures_that_last_are_finished(tmp_path: Path) -> None:
    with Pipeline(name="picky") as pipeline:
        Picky(name="ask", llm=FakeLLM(tag=new_name()))
    rows = [{"instruction": "fine"}, {"instruction": "bad"}, {"instruction": "later"}]
    run(pipeline, tmp_path / "run", rows[:2])
    kinds = [failure["kind"] for failure in failures_of(tmp_path / "run")]
    part = finalize(pipeline, tmp_path / "run", rows)
    assert kinds == ["parse"]
    assert [failure["kind"] for failure in failures_of(tmp_path / "run")] == kinds
    assert columns(rows_of(part), "generation") == [("fine",), (None,)]


def test_unfinished_rows_are_no_join_failures(tmp_path: Path) -> None:
    tag = new_name()

    def joining() -> Pipeline:
        with Pipeline(name="joining") as pipeline:
            start, merge = Lose(name="start", which=[]), Merge(name="merge")
            ask, lose = TextGeneration(name="ask", llm=FakeLLM(tag=tag)), Lose(name="lose")
            lose.which = [{"x": 1}, {"x": 5}]
            start >> [ask, lose] >> merge
        return pipeline

    run(joining(), tmp_path / "run", ROWS[:3])
    part = finalize(joining(), tmp_path / "run")
    # Row 1 is a failure in the whole run too; rows 3 to 5 wait for their answers, whole.
    assert [(f["kind"], f["row"]["x"]) for f in failures_of(tmp_path / "run")] == [("join", 1)]
    done = [row for row in rows_of(part) if row["n"] is not None]
    assert columns(done, "x", "generation", "n") == [(0, "row0", 2), (2, "row2", 2)]
    assert [row["x"] for row in rows_of(part) if row["n"] is None] == [1]


def test_a_global_step_gets_what_is_finished(tmp_path: Path) -> None:
    with Pipeline(name="global") as pipeline:
        TextGeneration(name="ask", llm=FakeLLM(tag=new_name())) >> Reverse(name="reverse")
    run(pipeline, tmp_path / "run", ROWS[:4])
    part = finalize(pipeline, tmp_path / "run")
    assert columns(rows_of(part), "x", "place") == [(0, 3), (1, 2), (2, 1), (3, 0)]


class OwnProcess(TextGeneration):
    """A Task that asks in its `process`."""

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield from super().process(inputs)


class AsksTwice(Step):
    """A Step with a model of its own."""

    judge: LLM

    @property
    def outputs(self) -> list[str]:
        return ["verdict"]

    def load(self) -> None:
        super().load()
        self.judge.load()

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        chats: Any = [[{"role": "user", "content": row["instruction"]}] for row in inputs]
        outputs = self.judge.generate_outputs(chats)
        yield [
            {**row, "verdict": output["generations"][0]}
            for row, output in zip(inputs, outputs, strict=True)
        ]


class Invents(GeneratorTask):
    """A generator that asks."""

    @property
    def outputs(self) -> list[str]:
        return ["instruction"]

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        chat: Any = [{"role": "user", "content": "invent"}]
        (output,) = self.llm.generate_outputs([chat])
        yield [{"instruction": output["generations"][0]}], True


@pytest.mark.parametrize("kind", ["own process", "own model"])
def test_steps_that_ask_in_their_process_ask_nothing(tmp_path: Path, kind: str) -> None:
    tag, logged = new_name(), tmp_path / "run" / "pipeline.log"
    with Pipeline(name="own") as pipeline:
        ask = TextGeneration(name="ask", llm=FakeLLM(tag=new_name()))
        if kind == "own process":
            ask >> OwnProcess(name="own", llm=FakeLLM(tag=tag))
        else:
            ask >> AsksTwice(name="own", judge=FakeLLM(tag=tag))
    assert len(rows_of(run(pipeline, tmp_path / "run", ROWS[:3]))) == 3
    asked, life = len(journal(tag).events), len(journal(f"{tag}/life").events)
    assert asked == 3
    part = finalize(pipeline, tmp_path / "run")
    assert rows_of(part) == []
    assert (len(journal(tag).events), len(journal(f"{tag}/life").events)) == (asked, life)
    assert "Step 'own'" in logged.read_text() and "left out" in logged.read_text()
    assert report_of(tmp_path / "run")["partial"] == {
        "ask": {"finished": 3, "known": 6},
        "own": {"finished": 0, "known": 3},
    }
    assert len(rows_of(run(pipeline, tmp_path / "run", ROWS))) == 6


def test_a_generator_that_asks_makes_nothing(tmp_path: Path) -> None:
    tag = new_name()
    with Pipeline(name="invents") as pipeline:
        Invents(name="invent", llm=FakeLLM(tag=tag))
    assert rows_of(pipeline.run(output_dir=tmp_path / "run")) == [{"instruction": "invent"}]
    assert rows_of(pipeline.finalize(tmp_path / "run")) == []
    assert journal(tag).events == ["invent"]
    assert report_of(tmp_path / "run")["partial"] == {"invent": {"finished": 0, "known": 0}}
    card = (tmp_path / "run" / "distiset" / "README.md").read_text()
    assert "`invent`: no rows finished" in card


def test_there_has_to_be_a_run(tmp_path: Path) -> None:
    pipeline = asking(new_name())
    with pytest.raises(DistilabelUserError, match="no run of the pipeline 'asking'.*to finalize"):
        finalize(pipeline, tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    run(pipeline, tmp_path / "run", ROWS[:1])
    with pytest.raises(DistilabelUserError, match="of the pipeline 'asking', this one is 'other'"):
        finalize(asking(new_name(), "other"), tmp_path / "run")


# -- resume ----------------------------------------------------------------------------------------


def test_a_finished_run_asks_nothing_again(tmp_path: Path) -> None:
    tag = new_name()
    first = rows_of(run(asking(tag), tmp_path / "run", ROWS))
    again = run(asking(tag), tmp_path / "run", ROWS)
    assert rows_of(again) == first
    assert len(journal(tag).events) == 6
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["asked"], record["reused"]) == ({}, {"ask": 6})


def test_the_default_directory_resumes_after_a_change(tmp_path: Path) -> None:
    tag = new_name()

    def pipeline(suffix: str) -> Pipeline:
        with Pipeline(name="changed", cache_dir=tmp_path) as made:
            ask = TextGeneration(name="ask", llm=FakeLLM(tag=tag))
            judge = TextGeneration(
                name="judge",
                llm=FakeLLM(tag=tag),
                system_prompt=suffix,
                input_mappings={"instruction": "generation"},
                output_mappings={"generation": "verdict"},
            )
            ask >> judge
        return made

    for suffix in ("strict", "mild"):
        pipeline(suffix).run(dataset=ROWS[:2], logging_handlers=[])
    # The judge's prompt has changed: it is asked again, and nobody else.
    assert len(journal(tag).events) == 2 + 2 + 2
    record = json.loads((tmp_path / "changed" / "run.json").read_text())
    assert (record["asked"], record["reused"]) == ({"judge": 2}, {"ask": 2})
    # A row is changed: it is asked again.
    rows = [{**ROWS[0], "instruction": "new"}, ROWS[1]]
    pipeline("mild").run(dataset=rows, logging_handlers=[])
    assert journal(tag).events[6:] == ["new", "new"]


@pytest.mark.parametrize("whose", ["run", "step"])
def test_without_cache_nothing_of_earlier_runs_is_used(tmp_path: Path, whose: str) -> None:
    tag = new_name()
    shared = tmp_path / "shared"

    def pipeline(**fields: Any) -> Pipeline:
        with Pipeline(name="uncached", response_cache_dir=shared) as made:
            TextGeneration(name="ask", llm=FakeLLM(tag=tag), **fields)
        return made

    run(pipeline(), tmp_path / "run", ROWS[:2])
    if whose == "run":
        run(pipeline(), tmp_path / "run", ROWS[:2], use_cache=False)
        anew = pipeline()
    else:
        anew = pipeline(use_cache=False)
        run(anew, tmp_path / "run", ROWS[:2])
    assert len(journal(tag).events) == 4
    assert len(rows_of(finalize(anew, tmp_path / "run", ROWS[:2]))) == 2
    assert len(journal(tag).events) == 4
    # What the run without cache has finished is used by one with it.
    run(pipeline(), tmp_path / "run", ROWS[:2])
    assert len(journal(tag).events) == 4


def test_a_run_of_several_jobs_resumes(tmp_path: Path) -> None:
    tags = [new_name(), new_name()]

    def pipeline(broken: bool) -> Pipeline:
        with Pipeline(name="jobs") as made:
            first = TextGeneration(name="first", llm=FakeLLM(tag=tags[0]))
            second = TextGeneration(
                name="second",
                llm=FakeLLM(tag=tags[1]),
                on_failure="raise",
                input_mappings={"instruction": "generation" if not broken else "x"},
            )
            first >> second
        return made

    arguments: dict[str, Any] = {"load_groups": "sequential_step_execution"}
    with pytest.raises(Exception, match="second"):
        run(pipeline(broken=True), tmp_path / "run", ROWS, **arguments)
    part = finalize(pipeline(broken=False), tmp_path / "run")
    assert rows_of(part) == []
    assert report_of(tmp_path / "run")["partial"] == {"second": {"finished": 0, "known": 6}}
    whole = run(pipeline(broken=False), tmp_path / "run", ROWS, **arguments)
    assert columns(rows_of(whole), "generation") == [(f"row{n}",) for n in range(6)]
    assert [len(journal(tag).events) for tag in tags] == [6, 6]


# -- interrupted runs ------------------------------------------------------------------------------


def test_an_interrupted_handle(tmp_path: Path) -> None:
    """As Ctrl-C, from any thread; `test_interrupt` has the processes."""
    GATES["interrupted"] = arrived, go_on = threading.Event(), threading.Event()
    try:
        with Pipeline(name="interrupted") as pipeline:
            ask = TextGeneration(name="ask", llm=FakeLLM(tag=new_name()))
            Gate(name="gate", gate="interrupted", input_batch_size=1) >> ask
        handle = pipeline.submit(dataset=ROWS, output_dir=tmp_path / "run", logging_handlers=[])
        assert arrived.wait(60)
        handle.interrupt()
        go_on.set()
        assert handle.wait(60) == "interrupted"
        for _ in range(2):
            with pytest.raises(RunInterrupted, match="To go on: ") as caught:
                handle.distiset()
        assert caught.value.run_dir == str(tmp_path / "run")
        assert pickle.loads(pickle.dumps(caught.value)).resume == caught.value.resume
        handle.interrupt()  # it is too late, and harms no later run
        assert len(rows_of(run(pipeline, tmp_path / "run", ROWS))) == 6
    finally:
        go_on.set()
        del GATES["interrupted"]


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_run_that_is_to_end_publishes_nothing(tmp_path: Path, everywhere: bool) -> None:
    facts = RunFacts("p", str(tmp_path), {}, ())
    stop(str(tmp_path), "rows", everywhere)
    if everywhere:
        discard(str(tmp_path))  # another process looks it up
    with pytest.raises(RunCancelled, match="before its result was published"):
        facts.companions("org/name", None, {}, {})
    discard(str(tmp_path))


def test_a_pipeline_without_a_name_goes_on_when_it_has_other_steps(tmp_path: Path) -> None:
    tag, later = new_name(), new_name()

    def pipeline(name: str | None, *others: str) -> Pipeline:
        with Pipeline(name) as made:
            ask = TextGeneration(name="ask", llm=FakeLLM(tag=tag))
            for other in others:
                ask >> TextGeneration(name=other, llm=FakeLLM(tag=later))
        return made

    run(pipeline(None), tmp_path, ROWS[:2])
    run(pipeline(None, "judge"), tmp_path, ROWS[:2])
    assert len(journal(tag).events) == 2
    run(pipeline("named", "judge"), tmp_path, ROWS[:2])
    with pytest.raises(DistilabelUserError, match="give the pipeline its name"):
        run(pipeline("another", "judge"), tmp_path, ROWS[:2])


def test_without_cache_earlier_answers_stay_until_there_are_new_ones(tmp_path: Path) -> None:
    tag = new_name()

    def pipeline(llm: Any) -> Pipeline:
        with Pipeline(name="uncached") as made:
            TextGeneration(name="ask", llm=llm)
        return made

    class Fails(FakeLLM):
        def load(self) -> None:
            raise ConnectionError("no accelerator is free")

    run(pipeline(FakeLLM(tag=tag)), tmp_path, ROWS[:2])
    with pytest.raises(RunFailedError, match="with use_cache=True"):
        run(pipeline(Fails(tag=tag)), tmp_path, ROWS[:2], use_cache=False)
    run(pipeline(FakeLLM(tag=tag)), tmp_path, ROWS[:2])
    assert len(journal(tag).events) == 2
    run(pipeline(FakeLLM(tag=tag)), tmp_path, ROWS[:2], use_cache=False)
    assert len(journal(tag).events) == 4
    assert count_rows(str(tmp_path / "checkpoint" / "ask")) == 2
