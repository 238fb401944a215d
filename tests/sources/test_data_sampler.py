"""DataSampler: what is drawn depends on the run's seed, the Step's name and the row's number."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from beam_distilabel.context import RunContext
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.row import ROW_ID
from beam_distilabel.steps import CombineOutputs, DataSampler, LoadDataFromDicts
from beam_distilabel.steps.tasks.apigen.utils import PrepareExamples
from tests.pipeline.running import failures_of, rows_of
from tests.sources.running import plain, processed, run_source

DATA: list[dict[str, Any]] = [{"q": f"q{i}", "a": i} for i in range(10)]


def sampler(seed: int = 0, **fields: Any) -> DataSampler:
    step = DataSampler(**{"name": "draw", "data": DATA, "samples": 20, **fields})
    step._context = RunContext(seed=seed)
    return step


def test_rows_of_lists_that_belong_together() -> None:
    rows, failures = run_source(sampler(size=3))
    assert not failures and [row[ROW_ID] for row in rows] == [f"0-{i}" for i in range(20)]
    for row in plain(rows):
        assert [f"q{a}" for a in row["a"]] == row["q"] and len(row["q"]) == 3


def test_draws_are_repeatable_and_no_other_seed_or_name_has_them() -> None:
    first = plain(run_source(sampler())[0])
    assert processed(sampler(batch_size=3)) == first
    assert processed(sampler(batch_size=7), offset=5) == first[5:]
    assert processed(sampler(samples=5)) == first[:5]
    assert processed(sampler(seed=1)) != first
    assert processed(sampler(name="other")) != first


def test_every_item_is_drawn_about_as_often() -> None:
    counts = Counter(a for row in processed(sampler(samples=1000)) for a in row["a"])
    assert set(counts) == set(range(10))
    assert all(130 < count < 270 for count in counts.values())  # 200 each, five sigma


def test_much_data_is_staged_and_the_step_takes_none_along(tmp_path: Path) -> None:
    import pickle

    step = sampler(data=[{"text": f"{i} " * 5000} for i in range(40)], samples=60)
    step._context = RunContext(run_dir=str(tmp_path))
    rows, _ = run_source(step)
    assert plain(rows) == processed(step)
    assert any(path.suffix == ".parquet" for path in tmp_path.rglob("*"))
    assert len(pickle.dumps(step)) < 10_000


def test_keys_that_some_lack_and_names() -> None:
    step = sampler(data=[{"a": 1}, {"b": b"2"}], size=50, samples=1, output_mappings={"a": "x"})
    [row] = plain(run_source(step)[0])
    assert set(row) == {"x", "b"}
    assert sorted(zip(row["x"], row["b"], strict=True), key=str) == sorted(
        [(1, None)] * row["x"].count(1) + [(None, b"2")] * row["b"].count(b"2"), key=str
    )


def test_examples_for_every_row_of_another_loader(tmp_path: Path) -> None:
    def build() -> Pipeline:
        with Pipeline(name="p") as pipeline:
            load = LoadDataFromDicts(data=[{"x": x, "query": "kept"} for x in range(9)])
            draw = DataSampler(
                name="draw", data=DATA, samples=9, output_mappings={"q": "query", "a": "answers"}
            )
            prepare = PrepareExamples(template="{query}={answers}")
            draw >> prepare
            [load, prepare] >> CombineOutputs()
        return pipeline

    rows = rows_of(build().run(output_dir=tmp_path / "first"))
    assert [(row["x"], row["query"]) for row in rows] == [(x, "kept") for x in range(9)]
    assert all(e.count("=") == 2 for e in (row["examples"] for row in rows))
    assert len({row["examples"] for row in rows}) > 1
    assert failures_of(tmp_path / "first") == []
    assert rows_of(build().run(output_dir=tmp_path / "second")) == rows


def test_without_data() -> None:
    with pytest.raises(ValidationError, match="something to draw from"):
        DataSampler(data=[])
    for action in (lambda s: next(s.process()), run_source):
        with pytest.raises(DistilabelUserError, match="'draw'.*has no data to draw from"):
            action(DataSampler(name="draw"))


def test_arguments_that_can_not_be_meant() -> None:
    for name in ("size", "samples"):
        with pytest.raises(ValidationError, match=name):
            DataSampler(data=DATA, **{name: -1})
    assert DataSampler(data=DATA, samples=0).count_rows() == 0
    assert processed(DataSampler(data=DATA, samples=0)) == []
