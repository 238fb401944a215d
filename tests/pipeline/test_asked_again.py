"""What a run asks again that goes on from an earlier one: what changed, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.pipeline import Pipeline, sample_n_steps
from beam_distilabel.row import Row, fingerprint
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import PrometheusEval, TextGeneration
from beam_distilabel.typing import GenerateOutput
from tests.fakes import SeededLLM, journal, new_name, output_of, prompt_of
from tests.pipeline.running import columns, rows_of

ROWS = 30
DATA = [{"instruction": f"question {n}", "source": f"page {n}"} for n in range(ROWS)]


class GradingEngine(Engine):
    """Grades by the prompt and the seed; writes the prompts down."""

    description = "grading 1.0"

    def __init__(self, tag: str) -> None:
        super().__init__()
        self._tag = tag

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        journal(self._tag).add(request)
        drawn = fingerprint(request.input, request.seed)
        return output_of([f"Feedback: {drawn} [RESULT] {1 + int(drawn, 16) % 5}"])


class GradingLLM(SeededLLM):
    """A judge."""

    def make_engine(self) -> Engine:
        return GradingEngine(self.tag)


class Pipelines:
    """Runs of a writer and a judge in one run directory.

    Attributes:
        asked: what the writer, the judge and the last Task were asked in the latest run.
        before: the rows of the first run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tags = {name: new_name() for name in ("write", "judge", "last")}
        self.asked: dict[str, list[str]] = {}
        self.before = self.run()

    def run(
        self,
        data: list[Row] = DATA,
        rubric: str = "helpfulness",
        temperature: float = 1.0,
        last: bool = False,
    ) -> list[Row]:
        tags = self._tags
        writer = SeededLLM(tag=tags["write"], generation_kwargs={"temperature": temperature})
        with Pipeline(name="again") as pipeline:
            load = LoadDataFromDicts(name="load", data=data)
            write = TextGeneration(name="write", llm=writer)
            judge = PrometheusEval(
                name="judge", llm=GradingLLM(tag=tags["judge"]), mode="absolute", rubric=rubric
            )
            load >> write >> judge
            if last:
                judge >> TextGeneration(
                    name="last",
                    llm=SeededLLM(tag=tags["last"]),
                    input_mappings={"instruction": "feedback"},
                    output_mappings={"generation": "thanks"},
                )
        for tag in tags.values():
            journal(tag).events.clear()
        rows = rows_of(pipeline.run(output_dir=self._folder, logging_handlers=[]))
        self.asked = {
            name: [prompt_of(request.input) for request in journal(tag).events]
            for name, tag in tags.items()
        }
        return rows

    def counts(self) -> tuple[int, int, int]:
        """How often the writer, the judge and the last Task were asked in the latest run."""
        return len(self.asked["write"]), len(self.asked["judge"]), len(self.asked["last"])


@pytest.fixture
def pipelines(tmp_path: Path) -> Pipelines:
    made = Pipelines(tmp_path / "run")
    assert made.counts() == (ROWS, ROWS, 0)
    assert all(row["result"] in (1, 2, 3, 4, 5) for row in made.before)
    return made


def texts(rows: list[Row], *names: str) -> list[tuple[Any, ...]]:
    """Some columns of the rows, in an order of their own."""
    return sorted(tuple(row[name] for name in names) for row in rows)


def test_nothing_changed(pipelines: Pipelines) -> None:
    assert pipelines.run() == pipelines.before
    assert pipelines.counts() == (0, 0, 0)


def test_another_rubric_asks_the_judge_only(pipelines: Pipelines) -> None:
    before = pipelines.before
    after = pipelines.run(rubric="reasoning")
    assert pipelines.counts() == (0, ROWS, 0)
    assert texts(after, "instruction", "generation") == texts(before, "instruction", "generation")
    assert texts(after, "feedback") != texts(before, "feedback")
    assert pipelines.run() == before  # what the earlier judge said is still there
    assert pipelines.counts() == (0, 0, 0)


def test_a_changed_row_asks_about_that_row_only(pipelines: Pipelines) -> None:
    before = pipelines.before
    data = [*DATA[:7], {**DATA[7], "instruction": "another question"}, *DATA[8:]]
    after = pipelines.run(data)
    assert pipelines.counts() == (1, 1, 0)
    assert pipelines.asked["write"] == ["another question"]
    assert "another question" in pipelines.asked["judge"][0]
    assert after[:7] + after[8:] == before[:7] + before[8:]


def test_another_temperature_asks_everything_below(pipelines: Pipelines) -> None:
    before = pipelines.before
    after = pipelines.run(temperature=0.5)
    assert pipelines.counts() == (ROWS, ROWS, 0)
    assert not set(texts(after, "generation")) & set(texts(before, "generation"))


def test_a_row_at_the_top_asks_about_that_row_only(pipelines: Pipelines) -> None:
    before = pipelines.before
    after = pipelines.run([{"instruction": "a new one", "source": "new"}, *DATA])
    assert pipelines.counts() == (1, 1, 0)
    assert pipelines.asked["write"] == ["a new one"]
    assert after[1:] == before


def test_another_order_asks_nothing(pipelines: Pipelines) -> None:
    before = pipelines.before
    after = pipelines.run(DATA[::-1])
    assert pipelines.counts() == (0, 0, 0)
    assert after == before[::-1]


def test_rows_less_ask_nothing(pipelines: Pipelines) -> None:
    before = pipelines.before
    assert pipelines.run(DATA[10:20]) == before[10:20]
    assert pipelines.counts() == (0, 0, 0)


def test_a_column_that_no_prompt_has_asks_nothing(pipelines: Pipelines) -> None:
    before = pipelines.before
    after = pipelines.run([{**row, "number": n} for n, row in enumerate(DATA)])
    assert pipelines.counts() == (0, 0, 0)
    assert [row["number"] for row in after] == list(range(ROWS))
    assert texts(after, "instruction", "feedback") == texts(before, "instruction", "feedback")


def test_a_new_task_at_the_end_is_the_only_one_that_is_asked(pipelines: Pipelines) -> None:
    before = pipelines.before
    after = pipelines.run(last=True)
    assert pipelines.counts() == (0, 0, ROWS)
    assert pipelines.asked["last"] != []
    assert texts(after, "instruction", "feedback") == texts(before, "instruction", "feedback")
    assert all(row["thanks"].startswith(row["feedback"]) for row in after)


def test_routes_stay_where_rows_and_columns_are_added(tmp_path: Path) -> None:
    tag = new_name()

    def run(data: list[Row]) -> dict[str, list[tuple[Any, ...]]]:
        journal(tag).events.clear()
        with Pipeline(name="routed") as pipeline:
            load = LoadDataFromDicts(name="load", data=data)
            tasks = [TextGeneration(name=name, llm=SeededLLM(tag=tag)) for name in "ab"]
            load >> sample_n_steps(1) >> tasks
        distiset = pipeline.run(output_dir=tmp_path / "run", logging_handlers=[])
        return {
            name: columns(rows_of(distiset, name), "instruction", "generation") for name in "ab"
        }

    before = run(DATA)
    assert len(journal(tag).events) == ROWS and all(before.values())
    data = [{"instruction": "a new one", "source": "new"}, *DATA[::-1]]
    after = run([{**row, "number": n} for n, row in enumerate(data)])
    assert [prompt_of(request.input) for request in journal(tag).events] == ["a new one"]
    for name in "ab":
        known = [row for row in after[name] if row[0] != "a new one"]
        assert known == before[name][::-1]
