"""LoadDataFromDisk: folders that `datasets` wrote."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.row import ROW_ID
from beam_distilabel.transforms.sources.load_data_from_disk import LoadDataFromDisk
from tests.sources.running import plain, processed, run_source

ROWS = [{"text": f"row {i}", "tags": ["a"] * (i % 3), "n": i} for i in range(2500)]


@pytest.fixture(autouse=True)
def no_progress_bars() -> None:
    datasets.disable_progress_bars()


def test_a_dataset_of_several_files(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path, num_shards=2)
    step = LoadDataFromDisk(dataset_path=str(tmp_path))
    assert step.outputs == ["text", "tags", "n"]
    assert step.count_rows() == 2500
    rows, failures = run_source(step)
    assert plain(rows) == ROWS and not failures
    assert [row[ROW_ID] for row in rows][1249:1251] == ["0-1249", "1-0"]
    assert (
        processed(LoadDataFromDisk(dataset_path=str(tmp_path), num_examples=1300), 1240)
        == (ROWS[1240:1300])
    )


def test_splits(tmp_path: Path) -> None:
    train, test = (datasets.Dataset.from_list(ROWS[:n]) for n in (3, 5))
    datasets.DatasetDict({"train": train, "test": test}).save_to_disk(tmp_path / "two")
    datasets.DatasetDict({"test": test}).save_to_disk(tmp_path / "one")
    assert processed(LoadDataFromDisk(dataset_path=str(tmp_path / "one"))) == ROWS[:5]
    step = LoadDataFromDisk(dataset_path=str(tmp_path / "two"), split="train")
    assert processed(step) == ROWS[:3]
    for split, message in ((None, "choose a `split`"), ("tests", "Did you mean 'test'")):
        with pytest.raises(DistilabelUserError, match=f"{message}.*It has: 'train', 'test'"):
            LoadDataFromDisk(dataset_path=str(tmp_path / "two"), split=split).outputs  # noqa: B018


def test_distisets(tmp_path: Path) -> None:
    for config, count in (("default", 2), ("judged", 4)):
        dataset = datasets.Dataset.from_list(ROWS[:count])
        datasets.DatasetDict({"train": dataset}).save_to_disk(tmp_path / config)
    (tmp_path / "distiset_configs").mkdir()
    step = LoadDataFromDisk(dataset_path=str(tmp_path), is_distiset=True)
    assert processed(step) == ROWS[:2]
    step = LoadDataFromDisk(dataset_path=str(tmp_path), is_distiset=True, config="judged")
    assert processed(step) == ROWS[:4]
    step = LoadDataFromDisk(dataset_path=str(tmp_path), is_distiset=True, config="judge")
    with pytest.raises(DistilabelUserError, match="no config 'judge'. Did you mean 'judged'"):
        step.outputs  # noqa: B018
    with pytest.raises(DistilabelUserError, match="set is_distiset=True"):
        LoadDataFromDisk(dataset_path=str(tmp_path)).outputs  # noqa: B018


def test_an_empty_dataset_and_no_folder(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"a": []}).save_to_disk(tmp_path / "empty")
    step = LoadDataFromDisk(dataset_path=str(tmp_path / "empty"))
    assert step.outputs == ["a"] and run_source(step) == ([], [])
    with pytest.raises(DistilabelUserError, match="Step 'load'.*none"):
        LoadDataFromDisk(name="load", dataset_path=str(tmp_path / "none")).outputs  # noqa: B018
