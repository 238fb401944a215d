"""LoadDataFromHub against a Hub server over real HTTP."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.row import ROW_ID, Row
from beam_distilabel.transforms.sources.load_data_from_hub import LoadDataFromHub
from tests.hub.client import patch_client
from tests.hub.server import HubServer
from tests.sources.running import graph_bytes, plain, processed, run_source

ROWS: list[Row] = [{"prompt": f"Say {i}.", "completion": str(i)} for i in range(250)]


def _parquet(rows: list[Row], **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer, **options)
    return buffer.getvalue()


def _lines(rows: list[Row]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture
def repo(hub: HubServer, hub_client: Path) -> str:
    """A dataset of two Parquet splits."""
    del hub_client
    name = f"{hub.namespace}/instructions"
    hub.add_dataset(
        name,
        {
            "data/train-00000-of-00001.parquet": _parquet(ROWS[:3]),
            "data/test-00000-of-00002.parquet": _parquet(ROWS[:200], row_group_size=60),
            "data/test-00001-of-00002.parquet": _parquet(ROWS[200:]),
        },
    )
    return name


def test_parquet_by_row_group_at_a_pinned_commit(repo: str, hub: HubServer) -> None:
    step = LoadDataFromHub(
        repo_id=repo,
        split="test",
        output_mappings={"prompt": "instruction", "completion": "generation"},
    )
    assert step.outputs == ["prompt", "completion"]
    assert step.count_rows() == 250
    read, work = step._plan()
    assert [w.units[0].num_rows for w in work] == [60, 60, 60, 20, 50]
    head = hub.commits(repo)[0].id
    assert step.resolved_revision == head
    # What comes after the launch isn't seen.
    hub.add_files(repo, {"data/test-00000-of-00002.parquet": _parquet(ROWS[:1])}, title="less")
    assert sum(len(block.rows) for element in work for block in read(element)) == 250
    assert step.resolved_revision == head

    pinned = step.model_copy(update={"revision": head})
    rows, failures = run_source(pinned)
    assert not failures
    assert plain(rows) == [
        {"instruction": row["prompt"], "generation": row["completion"]} for row in ROWS
    ]
    assert [row[ROW_ID] for row in rows] == [
        *(f"0-{i}" for i in range(200)),
        *(f"1-{i}" for i in range(50)),
    ]


def test_num_examples_and_offset(repo: str) -> None:
    step = LoadDataFromHub(repo_id=repo, split="test", num_examples=220)
    assert plain(run_source(step)[0]) == ROWS[:220]
    assert processed(step, 190) == ROWS[190:220]


def test_configs_of_other_formats(hub: HubServer, hub_client: Path) -> None:
    name = f"{hub.namespace}/several"
    card = (
        "---\nconfigs:\n- config_name: lines\n  data_files: rows.jsonl\n"
        "- config_name: more\n  data_files: more.jsonl\n---\n"
    )
    files = {"rows.jsonl": _lines(ROWS[:5]) + b"{broken\n", "more.jsonl": _lines(ROWS[:1])}
    hub.add_dataset(name, {"README.md": card.encode(), **files})
    rows, failures = run_source(LoadDataFromHub(repo_id=name, config="lines"))
    assert plain(rows) == ROWS[:5]
    assert [f.message.partition("rows.jsonl")[2].partition(":")[0] for f in failures] == [
        ", line 6"
    ]
    with pytest.raises(DistilabelUserError, match="needs a `config`. It has: 'lines', 'more'"):
        LoadDataFromHub(repo_id=name).outputs  # noqa: B018
    with pytest.raises(DistilabelUserError, match=r"no config 'line'. Did you mean 'lines'\?"):
        LoadDataFromHub(repo_id=name, config="line").outputs  # noqa: B018


def test_csv_with_a_separator_of_its_own(hub: HubServer, hub_client: Path) -> None:
    name = f"{hub.namespace}/table"
    card = "---\nconfigs:\n- config_name: default\n  data_files: rows.csv\n  sep: ';'\n---\n"
    hub.add_dataset(name, {"README.md": card.encode(), "rows.csv": b"a;b\n1;x,y\n"})
    step = LoadDataFromHub(repo_id=name)
    assert plain(run_source(step)[0]) == [{"a": 1, "b": "x,y"}]


def test_declared_types_of_csv_columns(hub: HubServer, hub_client: Path) -> None:
    name = f"{hub.namespace}/table"
    card = (
        "---\ndataset_info:\n  features:\n  - name: a\n    dtype: string\n  - name: b\n"
        "    dtype: float64\n---\n"
    )
    hub.add_dataset(name, {"README.md": card.encode(), "rows.csv": b"a,b\n1,2\n"})
    (row,) = processed(LoadDataFromHub(repo_id=name))
    assert row == {"a": "1", "b": 2.0} and isinstance(row["b"], float)


def test_formats_that_only_datasets_reads(hub: HubServer, hub_client: Path) -> None:
    name = f"{hub.namespace}/texts"
    hub.add_dataset(name, {"a.txt": b"one\ntwo\none\n", "b.txt": b"three\n"})
    step = LoadDataFromHub(repo_id=name)
    assert step.outputs == ["text"]
    rows, failures = run_source(step)
    assert [row["text"] for row in rows] == ["one", "two", "one", "three"] and not failures
    assert processed(LoadDataFromHub(repo_id=name, num_examples=2)) == [
        {"text": "one"},
        {"text": "two"},
    ]
    assert step.count_rows() is None


def test_class_labels_are_numbers(hub: HubServer, hub_client: Path) -> None:
    name = f"{hub.namespace}/labels"
    features = datasets.Features({"label": datasets.ClassLabel(names=["no", "yes"])})
    datasets.Dataset.from_dict({"label": [1, 0]}, features=features).push_to_hub(name)
    step = LoadDataFromHub(repo_id=name)
    assert step.outputs == ["label"]
    assert plain(run_source(step)[0]) == [{"label": 1}, {"label": 0}]


def test_private_repositories_need_a_token_that_reaches_the_workers_and_no_file(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch_client(monkeypatch, hub, tmp_path, token=False)
    name = f"{hub.namespace}/private"
    hub.add_dataset(name, {"train.jsonl": _lines(ROWS[:4])}, private=True)
    with pytest.raises(DistilabelUserError, match="Step 'load'.*private or gated.*hf auth login.*"):
        LoadDataFromHub(name="load", repo_id=name).outputs  # noqa: B018
    step = LoadDataFromHub(repo_id=name, token=SecretStr(hub.token))
    assert plain(run_source(step)[0]) == ROWS[:4]
    assert "token" not in step.model_dump()
    assert hub.token not in repr(step) + str(step) + repr(step._plan())
    assert graph_bytes(step) < 100_000
    assert processed(pickle.loads(pickle.dumps(step))) == ROWS[:4]


def test_the_token_of_the_environment_is_used(hub: HubServer, hub_client: Path) -> None:
    name = f"{hub.namespace}/private"
    hub.add_dataset(name, {"train.jsonl": _lines(ROWS[:4])}, private=True)
    assert processed(LoadDataFromHub(repo_id=name)) == ROWS[:4]


def test_what_does_not_exist_is_named(repo: str) -> None:
    def message(**fields: Any) -> str:
        with pytest.raises(DistilabelUserError) as caught:
            LoadDataFromHub(name="load", **fields).outputs  # noqa: B018
        return str(caught.value)

    assert "has no split 'tests': Did you mean 'test'? It has: 'train', 'test'" in message(
        repo_id=repo, split="tests"
    )
    assert "has no revision 'old'. It has: 'main'" in message(repo_id=repo, revision="old")
    assert "none' on http://" in message(repo_id=repo + "none")
    assert "use `num_examples`" in message(repo_id=repo, split="test[:10%]")
    assert "alphanumeric" in message(repo_id="not a repo!")


def test_the_repository_is_a_required_runtime_parameter() -> None:
    step = LoadDataFromHub()
    assert step.runtime_parameters_names["repo_id"] is False
    assert step.runtime_parameters_names["token"] is True
    assert step.outputs == []
