"""The run directory: whose it is, what is in it, and what a second run does to the first."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import datasets
import fsspec
import pyarrow.parquet as pq
import pytest
import yaml

from beam_distilabel.distiset import create_distiset
from beam_distilabel.errors import DistilabelUserError, RunFailedError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.run_directory import RunDirectory, default_cache_dir
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from tests.pipeline.fakes import Add, Fails, Lose, Merge, Refuses, TaggedEcho, Times
from tests.pipeline.running import failures_of, rows_of


def adding(name: str = "adding", values: tuple[int, ...] = (1, 2), **fields: Any) -> Pipeline:
    with Pipeline(name=name, **fields) as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": x} for x in values])
        load >> Add(name="add")
    return pipeline


def failing(values: tuple[int, ...]) -> Pipeline:
    """A run of `adding` that fails after rows were written."""
    with Pipeline(name="adding") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": x} for x in values])
        load >> Fails(name="add", values=[values[-1]], on_failure="raise", input_batch_size=1)
    return pipeline


# -- where -----------------------------------------------------------------------------------------


def test_the_default_is_in_the_cache_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILABEL_CACHE_DIR", str(tmp_path / "cache"))
    assert default_cache_dir() == tmp_path / "cache"
    handle = adding().submit()
    handle.distiset()
    assert handle.run_dir == str(tmp_path / "cache" / "adding")
    handle = adding(cache_dir=tmp_path / "own").submit()
    handle.distiset()
    assert handle.run_dir == str(tmp_path / "own" / "adding")
    monkeypatch.delenv("DISTILABEL_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache_dir() == tmp_path / "home" / ".cache" / "beam_distilabel"


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunDirectory("run/").path == str(tmp_path / "run")
    assert RunDirectory("memory://bucket/run/").path == "memory://bucket/run"


def test_what_is_in_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    adding().run(output_dir=run)
    assert {path.name for path in run.iterdir()} == {
        ".run.lock",
        "run.json",
        "pipeline.yaml",
        "distiset",
        "progress",
        "report.json",
        "pipeline.log",
    }
    record = json.loads((run / "run.json").read_text())
    assert (record["pipeline"], record["state"]) == ("adding", "done")
    assert Pipeline.from_yaml(run / "pipeline.yaml").step_names == ["load", "add"]
    names = sorted(
        p.relative_to(run / "distiset").as_posix() for p in (run / "distiset").rglob("*")
    )
    assert names == ["README.md", "default", "default/train-00000-of-00001.parquet"]
    assert yaml.safe_load((run / "distiset" / "README.md").read_text().split("---")[1])


def test_a_directory_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(DistilabelUserError, match="holds files but no run.*another output_dir"):
        adding().run(output_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    (tmp_path / "empty").mkdir()
    assert len(adding().run(output_dir=tmp_path / "empty")["default"]["train"]) == 2
    file = tmp_path / "thesis.txt"
    with pytest.raises(DistilabelUserError, match="is a file"):
        adding().run(output_dir=file)
    assert file.read_text() == "precious"


def test_the_directory_of_another_pipeline_is_refused(tmp_path: Path) -> None:
    adding().run(output_dir=tmp_path / "run")
    before = (tmp_path / "run" / "run.json").read_text()
    with pytest.raises(DistilabelUserError, match="pipeline 'adding', this one is 'other'"):
        adding("other").run(output_dir=tmp_path / "run")
    assert (tmp_path / "run" / "run.json").read_text() == before


def test_a_run_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for text in ("{", "[1]"):
        run.mkdir(exist_ok=True)
        (run / "run.json").write_text(text)
        with pytest.raises(DistilabelUserError, match="run.json"):
            adding().run(output_dir=run)


def test_a_directory_on_another_filesystem() -> None:
    filesystem = fsspec.filesystem("memory")
    try:
        distiset = adding().run(output_dir="memory://bucket/run")
        assert rows_of(distiset) == [{"x": 1, "a": "1"}, {"x": 2, "a": "2"}]
        names = {path.rpartition("/")[2] for path in filesystem.ls("/bucket/run", detail=False)}
        assert {"run.json", "report.json", "pipeline.log", "pipeline.yaml", "distiset"} <= names
        assert "Running the pipeline" in filesystem.cat("/bucket/run/pipeline.log").decode()
        adding(values=(3,)).run(output_dir="memory://bucket/run")
        fresh = create_distiset("memory://bucket/run")
        assert rows_of(fresh) == [{"x": 3, "a": "3"}]
    finally:
        filesystem.rm("/bucket", recursive=True)


# -- again -----------------------------------------------------------------------------------------


def test_a_second_run_replaces_the_result(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with Pipeline(name="adding") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": 1}, {"x": 2}])
        load >> [Add(name="left"), Fails(name="right", values=[2])]
    pipeline.run(output_dir=run)
    assert len(failures_of(run)) == 1
    adding(values=(7,)).run(output_dir=run)
    assert [path.name for path in (run / "distiset").iterdir() if path.is_dir()] == ["default"]
    assert rows_of(create_distiset(run)) == [{"x": 7, "a": "7"}]
    assert failures_of(run) == []
    assert json.loads((run / "report.json").read_text())["subsets"] == {"default": {"rows": 1}}


def test_a_failing_second_run_leaves_the_first_result(tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = adding().run(output_dir=run)
    with pytest.raises(RunFailedError):
        failing((8, 9)).run(output_dir=run)
    expected = [{"x": 1, "a": "1"}, {"x": 2, "a": "2"}]
    assert rows_of(first) == expected
    assert rows_of(create_distiset(run)) == expected
    loaded = datasets.load_dataset(
        str(run / "distiset"), "default", cache_dir=str(tmp_path / "cache")
    )
    assert loaded["train"]["x"][:] == [1, 2]
    assert json.loads((run / "run.json").read_text())["state"] == "failed"
    adding(values=(3,)).run(output_dir=run)
    assert sorted(path.name for path in (run / "distiset").iterdir()) == ["README.md", "default"]


def test_a_distiset_keeps_its_rows_when_the_directory_is_used_again(tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = adding(values=(1, 2)).run(output_dir=run)
    copied = copy.deepcopy(first)
    second = adding(values=(3, 4, 5)).run(output_dir=run)
    assert first != second
    assert "num_rows: 2" in repr(first)
    assert rows_of(first) == [{"x": 1, "a": "1"}, {"x": 2, "a": "2"}]
    assert rows_of(copied) == rows_of(first)
    assert [row["x"] for row in rows_of(second)] == [3, 4, 5]


def test_a_large_distiset_keeps_its_rows_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beam_distilabel.distiset.subset.IN_MEMORY_BYTES", 0)
    run = tmp_path / "run"
    first = adding(values=(1, 2)).run(output_dir=run)
    second = adding(values=(3, 4, 5)).run(output_dir=run)
    assert [row["x"] for row in rows_of(second)] == [3, 4, 5]
    assert [row["x"] for row in rows_of(first)] == [1, 2]
    assert [row["x"] for row in second["default"]["train"]] == [3, 4, 5]


def test_where_files_cannot_be_held_a_replaced_result_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    pickled = pickle.dumps(adding(values=(1, 2)).run(output_dir=run))
    assert [row["x"] for row in rows_of(pickle.loads(pickled))] == [1, 2]
    monkeypatch.setattr("beam_distilabel.layout.HELD_FILES", 0)
    held = create_distiset(run)
    adding(values=(3, 4)).run(output_dir=run)
    for stale in (pickle.loads(pickled), held):
        with pytest.raises(DistilabelUserError, match="replaced or removed.*output_dir"):
            stale["default"]
    assert [row["x"] for row in rows_of(create_distiset(run))] == [3, 4]


# -- report and failures ---------------------------------------------------------------------------


def test_the_reports_counts_are_those_of_the_files(tmp_path: Path) -> None:
    run = tmp_path / "run"
    data = [{"x": x, "instruction": "bad" if x == 3 else f"good {x}"} for x in range(8)]
    with Pipeline(name="counts") as pipeline:
        load = LoadDataFromDicts(name="load", data=data)
        ask = TextGeneration(name="ask", llm=TaggedEcho(), num_generations=2)
        judge = TextGeneration(
            name="judge", llm=Refuses(), on_failure="drop", output_mappings={"generation": "note"}
        )
        lose, merge = Lose(name="lose", which=[{"x": 5}]), Merge(name="merge", on_failure="drop")
        load >> [ask, judge]
        judge >> Times(name="two", times=2)
        ask >> lose
        [judge, lose] >> merge
    handle = pipeline.submit(output_dir=run)
    handle.distiset()
    report = json.loads((run / "report.json").read_text())
    assert report == handle.report

    def rows_in(folder: Path) -> int:
        return sum(pq.read_metadata(file).num_rows for file in folder.glob("*.parquet"))

    written = {name: rows_in(run / "distiset" / name) for name in ("merge", "two")}
    assert written == {"merge": 12, "two": 14}
    assert {name: subset["rows"] for name, subset in report["subsets"].items()} == written
    failures = failures_of(run)
    assert report["failures"] == len(failures) == rows_in(run / "failures")
    assert report["steps"]["judge"]["failed"] == {"engine": 1}
    assert sum(report["steps"]["merge"]["failed"].values()) == report["steps"]["merge"]["failures"]
    assert [f["kind"] for f in failures if f["step"] == "merge"] == ["join"] * len(failures[1:])
    assert report["steps"]["load"]["rows_out"] == 8
    assert report["steps"]["ask"]["rows_in"] == 8
    assert report["steps"]["ask"]["rows_out"] == 16
    assert report["output_tokens"] == report["steps"]["ask"]["output_tokens"] == 8 * 4
    assert report["input_tokens"] == 8 * 3
    assert report["engines"] == ["Refuses", "TaggedEcho"]


def test_failures_can_be_loaded_and_fed_back(tmp_path: Path) -> None:
    run = tmp_path / "run"
    data = [{"x": x, "nested": {"list": [x, None], "text": f"t{x}"}} for x in range(4)]
    with Pipeline(name="fails") as pipeline:
        load = LoadDataFromDicts(name="load", data=data)
        load >> Fails(name="check", values=[1, 3], on_failure="drop")
    assert len(pipeline.run(output_dir=run)["default"]["train"]) == 2
    loaded = datasets.load_dataset(
        str(run / "failures"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded["step"][:] == ["check", "check"]
    assert loaded["kind"][:] == ["user_code", "user_code"]
    assert loaded["attempts"][:] == [1, 1]
    rows = [{name: row[name] for name in ("x", "nested")} for row in loaded["row"]]
    assert rows == [data[1], data[3]]
    with Pipeline(name="again") as again:
        Fails(name="check")
    assert rows_of(again.run(dataset=rows, output_dir=tmp_path / "again")) == [
        {**data[1], "checked": True},
        {**data[3], "checked": True},
    ]


def test_rows_of_other_shapes_fail_side_by_side(tmp_path: Path) -> None:
    """Failures of several Steps have rows of their own columns and types."""
    with Pipeline(name="shapes") as pipeline:
        one = LoadDataFromDicts(name="one", data=[{"x": 1, "v": "text"}, {"x": 0}])
        other = [{"x": 2, "v": [1, 2]}, {"x": 2, "v": {"k": 1}}, {"x": 0}]
        two = LoadDataFromDicts(name="two", data=other)
        one >> Fails(name="a", values=[1])
        two >> Fails(name="b", values=[2])
    pipeline.run(output_dir=tmp_path / "run")
    failures = failures_of(tmp_path / "run")
    assert sorted((f["step"], f["row"]["x"]) for f in failures) == [("a", 1), ("b", 2), ("b", 2)]


def test_a_leaf_that_gets_no_row_is_reported(tmp_path: Path) -> None:
    with Pipeline(name="empty") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": 1}])
        load >> [Add(name="some"), Lose(name="none", which=[{"x": 1}])]
    handle = pipeline.submit(output_dir=tmp_path / "run")
    distiset = handle.distiset()
    assert handle.report["subsets"] == {"some": {"rows": 1}, "none": {"rows": 0}}
    assert len(distiset["some"]["train"]) == 1
    assert distiset["none"]["train"].num_rows == 0
    assert "x" in distiset["none"]["train"].column_names
