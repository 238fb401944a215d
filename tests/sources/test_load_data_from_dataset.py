"""`dataset_loader` and `make_generator_step`: what scripts hold already."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from beam_distilabel.context import RunContext
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.row import ROW_ID
from beam_distilabel.step import StepResources
from beam_distilabel.transforms.sources.load_data_from_dataset import (
    LoadDataFromDataset,
    dataset_loader,
    make_generator_step,
)
from beam_distilabel.transforms.sources.load_data_from_dicts import LoadDataFromDicts
from tests.sources.running import graph_bytes, plain, processed, run_source

ROWS = [{"n": i, "text": f"text {i} " * 50, "tags": ["x"] * (i % 2)} for i in range(3500)]


def test_a_large_dataset_is_staged_as_parquet(tmp_path: Path) -> None:
    step = dataset_loader(datasets.Dataset.from_list(ROWS), batch_size=400, name="load")
    assert isinstance(step, LoadDataFromDataset)
    step._context = RunContext(run_dir=str(tmp_path))
    assert step.outputs == ["n", "text", "tags"]
    assert step.count_rows() == 3500
    assert processed(step, 777) == ROWS[777:]
    assert not (tmp_path / "staged").exists()
    assert graph_bytes(step) < 100_000
    assert len(pickle.dumps(step)) < 10_000
    (file,) = (tmp_path / "staged" / "load").iterdir()
    assert pq.ParquetFile(file).num_row_groups == 4
    rows, failures = run_source(step)
    assert plain(rows) == ROWS and not failures
    assert [row[ROW_ID] for row in rows] == [f"0-{i}" for i in range(3500)]


def test_selected_and_shuffled_rows(tmp_path: Path) -> None:
    dataset = datasets.Dataset.from_list(ROWS).select(range(3400, 100, -1))
    step = dataset_loader(dataset, name="load")
    step._context = RunContext(run_dir=str(tmp_path))
    assert plain(run_source(step)[0]) == processed(step) == ROWS[3400:100:-1]


def test_small_data_travels_in_the_graph() -> None:
    for dataset in (
        ROWS[:10],
        datasets.Dataset.from_list(ROWS[:10]),
        datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS[:10])}),
        pd.DataFrame(ROWS[:10]),
    ):
        step = dataset_loader(dataset)
        assert isinstance(step, LoadDataFromDicts)
        assert plain(run_source(step)[0]) == ROWS[:10]


def test_frames() -> None:
    frame = pd.DataFrame({"a": [1.5, None], "b": ["x", None]}, index=["p", "q"])
    assert processed(dataset_loader(frame)) == [{"a": 1.5, "b": "x"}, {"a": None, "b": None}]
    mixed = pd.DataFrame({"a": [1, "x", None], "b": [[1], ["y"], {"z": 1}]})
    assert processed(dataset_loader(mixed)) == [
        {"a": 1, "b": [1]},
        {"a": "x", "b": ["y"]},
        {"a": None, "b": {"z": 1}},
    ]


def test_images_come_along(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), "red").save(tmp_path / "red.png")
    features = datasets.Features({"image": datasets.Image()})
    dataset = datasets.Dataset.from_dict({"image": [str(tmp_path / "red.png")]}, features=features)
    (row,) = processed(dataset_loader(dataset))
    assert Image.open(io.BytesIO(row["image"]["bytes"])).getpixel((0, 0)) == (255, 0, 0)


def test_paths(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ROWS).to_parquet(str(tmp_path / "train-00000-of-00001.parquet"))
    for path in (tmp_path, str(tmp_path)):
        assert processed(dataset_loader(path, batch_size=1000)) == ROWS


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (5, "type int can't be loaded; give a list of dicts"),
        (datasets.Dataset.from_list(ROWS[:2]).to_iterable_dataset(), "IterableDataset"),
        (datasets.DatasetDict(), "has no split"),
        (
            datasets.DatasetDict({s: datasets.Dataset.from_list([]) for s in ("train", "test")}),
            r"several splits \('train', 'test'\).*dataset\['train'\]",
        ),
    ],
)
def test_other_data_is_refused(dataset: Any, message: str) -> None:
    with pytest.raises(DistilabelUserError, match=message):
        dataset_loader(dataset)


def test_make_generator_step() -> None:
    step = make_generator_step(
        datasets.Dataset.from_list(ROWS),
        batch_size=7,
        output_mappings={"text": "instruction"},
        resources=StepResources(cpus=2),
        repo_id="my_data",
    )
    assert isinstance(step, LoadDataFromDataset)
    assert (step.repo_id, step.batch_size, step.resources.cpus) == ("my_data", 7, 2)
    assert step.get_outputs() == {"n": True, "instruction": True, "tags": True}
    small = make_generator_step([{"a": 1}])
    assert processed(small) == [{"a": 1}]


def test_a_step_without_its_data_says_so() -> None:
    step = pickle.loads(pickle.dumps(dataset_loader(datasets.Dataset.from_list(ROWS))))
    assert step.outputs == []
    with pytest.raises(DistilabelUserError, match="dataset="):
        run_source(step)
