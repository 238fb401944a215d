"""The pipeline that this project exists for, on a real engine."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import apache_beam as beam
import datasets
import pytest
from apache_beam.ml.inference.base import RunInference
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that
from scipy.stats import spearmanr

from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps.tasks import PrometheusEval
from beam_distilabel.transforms.tasks.prometheus_eval import PrometheusEval as Judge
from tests.e2e.conftest import DEMO
from tests.hub.server import HubServer
from tools.demo_data import held_out

COLUMNS = ["instruction", "generation", "feedback", "result", "model_name"]
GENERATION = {"max_new_tokens": 1024, "temperature": 0.7}


def test_the_example_over_the_hub(
    script: ModuleType, judge: Any, hub: HubServer, hub_client: Path, tmp_path: Path
) -> None:
    del judge, hub_client
    source = (DEMO / "instructions" / "test.parquet").read_bytes()
    hub.add_user("HuggingFaceH4")
    hub.add_dataset(
        "HuggingFaceH4/instruction-dataset", {"data/test-00000-of-00001.parquet": source}
    )
    target = f"{hub.namespace}/my-dataset"
    code = script.main(
        [
            *("--model", str(DEMO / "judge")),
            *("--output-dir", str(tmp_path / "run")),
            *("--num-examples", "60"),
            *("--push-to", target),
        ]
    )
    assert code == 0
    pushed = datasets.load_dataset(target, split="train", cache_dir=str(tmp_path / "datasets"))
    assert len(pushed) == 60
    assert pushed.column_names[:5] == COLUMNS
    first = datasets.Dataset.from_parquet(
        str(DEMO / "instructions" / "test.parquet"), cache_dir=str(tmp_path / "datasets")
    )
    assert pushed["instruction"] == first["prompt"][:60]
    assert pushed["generation"] == first["completion"][:60]
    assert sum(result in range(1, 6) for result in pushed["result"]) >= 57
    asked = [path for method, path, _ in hub.requests if "instruction-dataset" in path]
    assert asked, "the rows were not read from the Hub"


def check_judge(planted: list[int], results: list[int | None]) -> None:
    """Whether the results of 200 rows agree with the quality that was planted in them."""
    graded = [(p, r) for p, r in zip(planted, results, strict=True) if r is not None]
    assert len(graded) >= 190
    assert {result for _, result in graded} == {1, 2, 3, 4, 5}
    assert spearmanr(graded).statistic >= 0.6


def test_the_judge_tells_good_answers_from_bad(judge: Any, tmp_path: Path) -> None:
    rows = held_out(200, seed=7)
    with Pipeline(name="quality") as pipeline:
        PrometheusEval(
            name="task",
            llm=judge.copied(),
            mode="absolute",
            rubric="factual-validity",
            input_mappings={"instruction": "prompt", "generation": "completion"},
        )
    distiset = pipeline.run(
        parameters={"task": {"llm": {"generation_kwargs": GENERATION}}},
        dataset=rows,
        output_dir=tmp_path / "run",
    )
    train = distiset["default"]["train"]
    check_judge(train["quality"], train["result"])
    with pytest.raises(AssertionError):
        check_judge(train["quality"], [3] * 200)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["engines"][0].startswith("vllm ")
    assert report["output_tokens"] > 0


FORM = r"Feedback: [a-z]{1,6}\. \[RESULT\] [1-5]"
NO_FORM = r"[a-z]{1,6}"


class GuidedJudge(Judge):
    """A judge whose answers' form each row decides, so that exactly one can't be parsed."""

    def format_input(self, input: dict[str, Any]) -> Any:
        form = NO_FORM if input["instruction"] == "unparsable" else FORM
        return super().format_input(input), {"format": "regex", "schema": form}


def test_two_bad_rows_among_a_thousand_cost_two_rows(judge: Any, tmp_path: Path) -> None:
    rows = [{"instruction": f"Count to {i}.", "generation": "One."} for i in range(1000)]
    rows[123]["generation"] = "too long " * 5000
    rows[456]["instruction"] = "unparsable"
    with Pipeline(name="bad-rows") as pipeline:
        GuidedJudge(name="task", llm=judge.copied(), mode="absolute", rubric="reasoning")
    distiset = pipeline.run(
        parameters={"task": {"llm": {"generation_kwargs": {"max_new_tokens": 64}}}},
        dataset=rows,
        output_dir=tmp_path / "run",
    )
    train = distiset["default"]["train"]
    assert train["instruction"] == [row["instruction"] for row in rows]
    failed = {
        i: row["distilabel_metadata"]["failure_task"]
        for i, row in enumerate(train)
        if row["result"] is None
    }
    assert set(failed) == {123, 456}
    assert failed[123]["kind"] == "too_long"
    assert "2048" in failed[123]["message"]
    assert failed[456]["kind"] == "parse"
    assert "[RESULT]" in failed[456]["message"]
    failures = datasets.Dataset.from_parquet(
        str(tmp_path / "run" / "failures" / "*.parquet"), cache_dir=str(tmp_path / "datasets")
    )
    assert sorted(failures["kind"]) == ["parse", "too_long"]
    assert {row["instruction"] for row in failures["row"]} == {"Count to 123.", "unparsable"}


def test_the_task_in_a_plain_beam_pipeline(judge: Any) -> None:
    def graded(rows: list[dict[str, Any]]) -> None:
        (row,) = rows
        assert row["result"] in range(1, 6), row
        assert row["model_name"].endswith("judge")

    task = PrometheusEval(llm=judge.copied(), mode="absolute", rubric="factual-validity")
    task.llm.generation_kwargs = {"max_new_tokens": 256, "temperature": 0}
    (example,) = held_out(1, seed=3)
    row = {"instruction": example["prompt"], "generation": example["completion"]}
    with beam.Pipeline(runner=FnApiRunner()) as p:
        assert_that(p | beam.Create([row]) | task, graded)


def test_stock_run_inference_answers_prompts(judge: Any) -> None:
    def answered(results: list[Any]) -> None:
        assert sorted(result.example for result in results) == ["Once", "Twice"]
        for result in results:
            assert isinstance(result.inference["generations"][0], str)
            assert result.inference["statistics"]["output_tokens"][0] >= 1

    llm = judge.copied()
    llm.generation_kwargs = {"max_new_tokens": 8}
    with beam.Pipeline(runner=FnApiRunner()) as p:
        assert_that(p | beam.Create(["Once", "Twice"]) | RunInference(llm), answered)


@pytest.mark.parametrize("flag", [[], ["--num-examples", "3"]])
def test_the_example_takes_its_arguments(script: ModuleType, flag: list[str]) -> None:
    arguments = script.parse(["--repo-id", "me/data", "--model", "me/judge", *flag])
    pipeline = script.build(arguments)
    assert pipeline.step_names == ["load_dataset", "task", "keep_columns"]
    assert pipeline.graph.get("load_dataset").num_examples == (3 if flag else None)
    assert pipeline.graph.get("task").llm.model == "me/judge"
