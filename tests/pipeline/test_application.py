"""A Pipeline as a PTransform in someone's own Beam pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from beam_distilabel.errors import DistilabelUserError, PipelineValidationError
from beam_distilabel.pipeline import Pipeline, sample_n_steps
from beam_distilabel.row import RESERVED, Row
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from tests.pipeline.fakes import Add, Lose, Merge, TaggedEcho, Times


def plain(rows: Any) -> list[Row]:
    return [{k: v for k, v in row.items() if k not in RESERVED} for row in rows]


def adding(**fields: Any) -> Pipeline:
    with Pipeline(name="adding") as pipeline:
        Add(name="add", **fields) >> KeepColumns(name="keep", columns=["a"])
    return pipeline


def test_rows_in_a_dict_of_subsets_out() -> None:
    result = [{"x": 1}, {"x": 2}] | adding()
    assert list(result) == ["default"]
    assert plain(result["default"]) == [{"a": "1"}, {"a": "2"}]


def test_several_leaves() -> None:
    with Pipeline(name="leaves") as pipeline:
        Add(name="add") >> [Times(name="two", times=2), KeepColumns(name="keep", columns=["a"])]
    result = [{"x": 1}] | pipeline
    assert {name: len(rows) for name, rows in result.items()} == {"two": 2, "keep": 1}


def test_twice_in_one_beam_pipeline() -> None:
    pipeline = adding()
    with beam.Pipeline(runner=FnApiRunner()) as p:
        one = p | "One" >> beam.Create([{"x": 1}]) | "First" >> pipeline
        two = p | "Two" >> beam.Create([{"x": 2}]) | "Second" >> pipeline
        chained = (
            one["default"] | beam.Map(lambda row: {**row, "x": row["a"]}) | "Third" >> pipeline
        )
        for name, rows, value in (("1", one, "1"), ("2", two, "2"), ("3", chained, "1")):
            found = rows["default"] | f"Plain{name}" >> beam.Map(lambda row: row["a"])
            assert_that(found, equal_to([value]), label=f"Check{name}")


def test_in_two_beam_pipelines_and_in_a_run_between(tmp_path: Path) -> None:
    pipeline = adding()
    for value in (1, 2):
        with beam.Pipeline(runner=FnApiRunner()) as p:
            rows = p | beam.Create([{"x": value}]) | pipeline
            assert_that(rows["default"] | beam.Map(lambda row: row["a"]), equal_to([str(value)]))
        pipeline.run(dataset=[{"x": value}], output_dir=tmp_path / "run")


def test_with_a_loader_it_is_applied_to_the_pipeline() -> None:
    with Pipeline(name="loads") as pipeline:
        LoadDataFromDicts(name="load", data=[{"x": 1}, {"x": 2}]) >> Add(name="add")
    with beam.Pipeline(runner=FnApiRunner()) as p:
        result = p | pipeline
        assert_that(result["default"] | beam.Map(lambda row: row["a"]), equal_to(["1", "2"]))
    with pytest.raises(PipelineValidationError, match="by Step 'load'; leave out"):
        [{"x": 1}] | pipeline
    with pytest.raises(PipelineValidationError, match="'add'.*cannot be a root step"):
        beam.Pipeline(runner=FnApiRunner()) | adding()


def test_what_it_makes_can_be_used_further(tmp_path: Path) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as p:
        result = p | beam.Create([{"x": 1}]) | adding()
        _ = (
            result["default"]
            | beam.Map(lambda row: json.dumps({"a": row["a"]}))
            | beam.io.WriteToText(str(tmp_path / "out"), shard_name_template="")
        )
    assert json.loads((tmp_path / "out").read_text()) == {"a": "1"}


def test_rows_without_ids_that_meet_again() -> None:
    """Each root would name the rows by itself; they have to be named before they part."""
    data = [{"x": x % 3, "instruction": f"do {x}"} for x in range(30)]
    with Pipeline(name="roots") as pipeline:
        ask, two, merge = (
            TextGeneration(name="ask", llm=TaggedEcho()),
            Times(name="two", times=2),
            Merge(name="merge"),
        )
        [ask, two] >> merge
    rows = plain(([*data, *data] | pipeline)["default"])
    assert sorted((row["instruction"], row["generation"], row["k"]) for row in rows) == sorted(
        (row["instruction"], f"echo: {row['instruction']}", k)
        for row in [*data, *data]
        for k in range(2)
    )


def test_failures_are_a_collection_of_their_own() -> None:
    with Pipeline(name="fork") as pipeline:
        add, a = Add(name="add"), Add(name="a", column="b")
        lose, merge = Lose(name="lose", which=[{"x": 2}]), Merge(name="merge", on_failure="drop")
        add >> [a, lose] >> merge
    with beam.Pipeline(runner=FnApiRunner()) as p:
        outputs = pipeline.outputs(p | beam.Create([{"x": 1}, {"x": 2}]))
        kept = outputs.subsets["default"] | "X" >> beam.Map(lambda row: row["x"])
        failed = outputs.failures | "F" >> beam.Map(lambda f: (f.step, f.kind, f.row["x"]))
        assert_that(kept, equal_to([1]), label="kept")
        assert_that(failed, equal_to([("merge", "join", 2)]), label="failed")


def test_joined_branches_in_the_global_window_of_a_stream_are_refused() -> None:
    from apache_beam.testing.test_stream import TestStream

    with Pipeline(name="fork") as pipeline:
        add = Add(name="add")
        add >> [Add(name="a", column="b"), Times(name="two")] >> Merge(name="merge")
    p = beam.Pipeline(runner=FnApiRunner())
    rows = p | TestStream().add_elements([{"x": 1}]).advance_watermark_to_infinity()
    with pytest.raises(DistilabelUserError, match="'merge'.*global window.*WindowInto"):
        rows | pipeline


def test_windows_a_router_and_two_leaves_twice_in_one_beam_pipeline() -> None:
    with Pipeline(name="routed") as pipeline:
        a, b = Add(name="a", column="b"), Add(name="b", column="b", value="z")
        merge = Merge(name="merge")
        Add(name="add") >> sample_n_steps(1) >> [a, b] >> merge
        merge >> [KeepColumns(name="xs", columns=["x"]), KeepColumns(name="bs", columns=["b"])]

    def in_window(row: Row, window: Any = beam.DoFn.WindowParam) -> tuple[int, Row]:
        return int(window.start), {k: v for k, v in row.items() if k not in RESERVED}

    with beam.Pipeline(runner=FnApiRunner()) as p:
        rows = (
            p
            | beam.Create([TimestampedValue({"x": x}, 10 * x) for x in range(6)])
            | beam.Map(lambda value: value)
            | beam.WindowInto(FixedWindows(30))
        )
        for result in (rows | pipeline, rows | pipeline):
            assert {subset.windowing for subset in result.values()} == {rows.windowing}
            xs = result["xs"] | f"x {id(result)}" >> beam.Map(in_window)
            assert_that(xs, equal_to([(x // 3 * 30, {"x": x}) for x in range(6)]), f"xs {id(xs)}")
            bs = result["bs"] | f"b {id(result)}" >> beam.Map(lambda row: int(row["b"].strip("z")))
            assert_that(bs, equal_to(list(range(6))), f"bs {id(bs)}")


def test_it_is_validated() -> None:
    with pytest.raises(PipelineValidationError, match="'add'.*input_mappings names 'y'"):
        [{"x": 1}] | adding(input_mappings={"y": "x"})


def test_a_pipeline_twice_in_one_beam_pipeline_gets_a_number() -> None:
    with Pipeline(name="twice") as pipeline:
        KeepColumns(name="keep", columns=["a"])
    with beam.Pipeline(runner=FnApiRunner()) as p:
        rows = p | beam.Create([{"a": 1, "b": 2}])
        for result in (rows | pipeline, rows | pipeline):
            kept = result["default"] | f"Kept {id(result)}" >> beam.Map(lambda row: row["a"])
            assert_that(kept, equal_to([1]), label=f"Check {id(result)}")
