"""LoadDataFromHub against a Hub server over real HTTP."""

from __future__ import annotations

import datetime
import io
import itertools
import json
import pickle
import random
from pathlib import Path
from typing import Any

import apache_beam as beam
import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from huggingface_hub import constants
from PIL import Image
from pydantic import SecretStr

from beam_distilabel.context import RunContext
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.application import apply_graph
from beam_distilabel.pipeline.columns import described_sources, prune_columns, subset_schemas
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.run import row_totals
from beam_distilabel.pipeline.validation import validate
from beam_distilabel.row import ROW_ID, Row
from beam_distilabel.schema.features import features_of
from beam_distilabel.transforms.columns.keep_columns import KeepColumns
from beam_distilabel.transforms.sources.hub_streams import Part, read_stream
from beam_distilabel.transforms.sources.load_data_from_hub import LoadDataFromHub
from tests.hub import storage
from tests.hub.client import patch_client
from tests.hub.faults import Fault
from tests.hub.server import HubServer
from tests.sources.running import graph_bytes, plain, processed, run_graph, run_source

ROWS: list[Row] = [{"prompt": f"Say {i}.", "completion": str(i)} for i in range(250)]


def _parquet(rows: list[Row], **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer, **options)
    return buffer.getvalue()


def png(color: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (2, 2), color).save(buffer, "PNG")
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
    assert [w.units[0].num_rows for w in work] == [200, 50]  # small row groups together
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


def test_images_that_are_files_are_read_in(hub: HubServer, hub_client: Path) -> None:
    del hub_client
    name = f"{hub.namespace}/images"
    files = {f"train/{label}/{i}.png": png(i) for label in ("no", "yes") for i in range(20)}
    hub.add_dataset(name, files, private=True)
    step = LoadDataFromHub(repo_id=name)
    schema = step.output_schema()
    assert schema is not None and step.outputs == ["image", "label"]
    features = features_of(schema)
    assert features["image"]["_type"] == "Image" and features["label"]["names"] == ["no", "yes"]
    rows, failures = run_source(step)
    assert not failures and len(rows) == 40
    assert {(row["label"], row["image"]["path"], row["image"]["bytes"]) for row in rows} == {
        (["no", "yes"].index(path.split("/")[1]), path.split("/")[2], content)
        for path, content in files.items()
    }


def test_paths_of_this_machine_in_a_dataset_are_not_followed(
    hub: HubServer, hub_client: Path, tmp_path: Path
) -> None:
    del hub_client
    name = f"{hub.namespace}/paths"
    secret = tmp_path / "secret"
    secret.write_bytes(b"of this machine")
    card = (
        "---\nconfigs:\n- config_name: default\n  data_files: rows.jsonl\n"
        "dataset_info:\n  features:\n  - name: image\n    dtype: image\n---\n"
    )
    rows = _lines([{"image": {"path": str(secret), "bytes": None}}])
    hub.add_dataset(name, {"README.md": card.encode(), "rows.jsonl": rows})
    step = LoadDataFromHub(repo_id=name)
    stream = step._stream(step._resolve())
    (block,) = read_stream(stream, Part(0, 1, 1))
    assert block.rows == [
        {"image": {"path": str(secret), "bytes": None}, ROW_ID: "0-0"},
    ]


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
    assert "has no revision 'mian'. Did you mean 'main'?" in message(repo_id=repo, revision="mian")
    assert "none' on http://" in message(repo_id=repo + "none")
    assert "use `num_examples`" in message(repo_id=repo, split="test[:10%]")
    assert "alphanumeric" in message(repo_id="not a repo!")


def test_the_repository_is_a_required_runtime_parameter() -> None:
    step = LoadDataFromHub()
    assert step.runtime_parameters_names["repo_id"] is False
    assert step.runtime_parameters_names["token"] is True
    assert step.outputs == []


# --- at launch ------------------------------------------------------------------------------------


def _run_graph(pipeline: Pipeline) -> Graph:
    """The graph of a run: copies of the Steps."""
    steps = {name: step.copied() for name, step in pipeline.graph.steps.items()}
    return pipeline.graph.with_steps(steps)


def test_a_launch_resolves_the_repository_once(repo: str, hub: HubServer) -> None:
    with Pipeline("once") as pipeline:
        LoadDataFromHub(name="load", repo_id=repo, split="test") >> KeepColumns(columns=["prompt"])
    graph = _run_graph(pipeline)
    load = graph.steps["load"]
    validate(graph, has_input=False)
    prune_columns(graph)
    assert subset_schemas(graph)["default"].names == ["prompt"]
    assert described_sources(graph)["load"]["commit"] == hub.commits(repo)[0].id
    assert row_totals(graph) == {"load": 250, "keep_columns_0": 250}
    hub.requests.clear()
    with beam.Pipeline(runner=FnApiRunner()) as job:
        apply_graph(graph, job, RunContext())
        # All is known by now: the graph is built without a further request.
        assert hub.requests == []
    # The next run looks again.
    again = _run_graph(pipeline)
    hub.add_files(repo, {"data/test-00000-of-00002.parquet": _parquet(ROWS[:1])}, title="less")
    assert again.steps["load"].count_rows() == 51 and load.count_rows() == 250
    assert again.steps["load"].resolved_revision != load.resolved_revision


def test_other_parameters_are_resolved_anew(repo: str, hub: HubServer) -> None:
    step = LoadDataFromHub(repo_id=repo, split="test")
    assert step.count_rows() == 250
    step.split = "train"
    assert step.count_rows() == 3 and step.described_source()["split"] == "train"  # type: ignore[index]
    other = hub.add_user("somebody")
    name = f"{hub.namespace}/private"
    hub.add_dataset(name, {"train.parquet": _parquet(ROWS[:1])}, private=True)
    step = LoadDataFromHub(repo_id=name)
    assert step.count_rows() == 1
    step.token = SecretStr(other)
    with pytest.raises(DistilabelUserError, match="private or gated"):
        step.count_rows()


@pytest.mark.parametrize("content", ["parquet", "jsonl", "conversion", "txt"])
def test_what_passes_on_the_hub_is_waited_for(
    content: str, hub: HubServer, hub_client: Path, clock: None
) -> None:
    name = f"{hub.namespace}/busy"
    rows = [{"prompt": "a"}, {"prompt": "b"}]
    if content == "parquet":
        hub.add_dataset(name, {"train.parquet": _parquet(rows)})
    elif content == "txt":
        hub.add_dataset(name, {"train.txt": b"a\nb\n"})
    else:
        hub.add_dataset(name, {"train.jsonl": _lines(rows)})
        if content == "conversion":
            hub.add_conversion(name, {"default/train/0000.parquet": _converted(["a", "b"])})
    hub.faults += [
        Fault("GET", r"/api/datasets/[^/]*/busy$", status=503),
        Fault("GET", r"/refs$", drop=True),
        Fault("HEAD", r"/resolve/", drop=True),
        Fault("POST", r"/paths-info/", status=429),
        Fault("GET", r"/(objects|resolve)/.*(parquet|jsonl)|/objects/", status=503),
    ]
    step = LoadDataFromHub(repo_id=name)
    assert len(step.outputs) >= 1 and step.described_source() is not None
    hub.faults.append(Fault("POST", r"/paths-info/", status=503))
    hub.faults.append(Fault("HEAD", r"/resolve/", status=503))
    assert [[*row.values()][0] for row in run_source(step)[0]] == ["a", "b"]
    assert [fault.path for fault in hub.faults[:4] if not fault.fired] == (
        ["/refs$"] if content == "parquet" else []
    )


def test_what_a_run_records_of_the_source(repo: str, hub: HubServer) -> None:
    step = LoadDataFromHub(repo_id=repo, split="test", token=SecretStr(hub.token))
    sizes = [len(v) for k, v in hub.files(repo).items() if k.startswith("data/test")]
    described = step.described_source()
    assert described == {
        "repo_id": repo,
        "config": "default",
        "split": "test",
        "revision": None,
        "commit": hub.commits(repo)[0].id,
        "files": 2,
        "bytes": sum(sizes),
    }
    assert step.source_bytes() == sum(sizes)
    step.num_examples = 1
    assert step.source_bytes() is None
    assert hub.token not in json.dumps(described)
    assert LoadDataFromHub().described_source() is None and LoadDataFromHub().source_bytes() is None


def test_columns_that_are_left_out_are_not_downloaded(hub: HubServer, hub_client: Path) -> None:
    del hub_client
    name = f"{hub.namespace}/wide"
    noise = random.Random(0)
    rows = [{"a": i, "wide": noise.randbytes(5000).hex(), "z": -i} for i in range(400)]
    content = _parquet(rows, row_group_size=100, compression="none", use_dictionary=False)
    hub.add_dataset(name, {"train.parquet": content})
    file = hub.repo(name).resolve("main").files["train.parquet"]

    def run(*columns: str) -> list[Row]:
        with Pipeline("pruned") as pipeline:
            LoadDataFromHub(name="load", repo_id=name) >> KeepColumns(columns=list(columns))
        graph = _run_graph(pipeline)
        prune_columns(graph)
        hub.downloaded.clear()
        return run_graph(graph)["default"]

    pruned = run("a", "z")
    assert plain(pruned) == [{"a": row["a"], "z": row["z"]} for row in rows]
    assert [row[ROW_ID] for row in pruned] == [f"0-{i}" for i in range(400)]
    # Two columns, and footers of at most 64 KiB, once for listing and once per row group.
    assert 0 < hub.downloaded[file.sha256] < 6 * 70_000 < len(content) / 9
    whole = run("a", "wide", "z")
    assert plain(whole) == rows and hub.downloaded[file.sha256] > len(content)


@pytest.mark.parametrize(("group_rows", "units"), [(10_000, 1), (100, 1), (2_500, 2)])
def test_every_byte_is_downloaded_about_once(
    group_rows: int,
    units: int,
    hub: HubServer,
    hub_client: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del hub_client
    name = f"{hub.namespace}/groups"
    noise = random.Random(0)
    rows = [
        {"a": noise.randbytes(8).hex(), "wide": noise.randbytes(250).hex(), "z": i}
        for i in range(8000)
    ]
    if units > 1:  # as if the file were larger
        monkeypatch.setattr("beam_distilabel.transforms.sources.units._REMOTE_BYTES", 3 << 20)
    content = _parquet(rows, row_group_size=group_rows, compression="none", use_dictionary=False)
    hub.add_dataset(name, {"train.parquet": content})
    sha256 = hub.repo(name).resolve("main").files["train.parquet"].sha256
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    footer = 65_536 + metadata.serialized_size + 8

    step = LoadDataFromHub(repo_id=name)
    assert step.outputs == ["a", "wide", "z"] and step.count_rows() == 8000
    assert 0 < hub.downloaded[sha256] <= footer
    assert len(step._plan()[1]) == units
    hub.downloaded.clear()
    whole = run_source(step)[0]
    assert plain(whole) == rows
    assert [row[ROW_ID] for row in whole] == [f"0-{i}" for i in range(8000)]
    assert len(content) * 0.9 < hub.downloaded[sha256] <= len(content) * 1.2 + units * footer

    needed = sum(
        metadata.row_group(group).column(column).total_compressed_size
        for group in range(metadata.num_row_groups)
        for column in (0, 2)
    )
    step.read_only(frozenset({"a", "z"}))
    hub.downloaded.clear()
    pruned = run_source(step)[0]
    assert plain(pruned) == [{"a": row["a"], "z": row["z"]} for row in rows]
    assert [row[ROW_ID] for row in pruned] == [row[ROW_ID] for row in whole]
    assert needed <= hub.downloaded[sha256] <= needed * 1.2 + units * footer < len(content) / 2

    for limit in (0, 1, 150, 2_500, 7_999):
        limited = LoadDataFromHub(repo_id=name, num_examples=limit)
        assert run_source(limited)[0] == whole[:limit]


def test_a_column_of_a_later_file_is_known(hub: HubServer, hub_client: Path) -> None:
    del hub_client
    name = f"{hub.namespace}/drift"
    shards: list[list[Row]] = [
        [{"a": None, "b": 1, "s": {"x": 1}}],
        [{"b": 1.5, "a": "t", "s": {"y": "q"}}],
        [{"c": [1], "b": 2}],
    ]
    files = {f"train-{i:05d}-of-00003.parquet": _parquet(rows) for i, rows in enumerate(shards)}
    hub.add_dataset(name, files)
    step = LoadDataFromHub(repo_id=name)
    assert step.outputs == ["a", "b", "s", "c"]
    schema = step.output_schema()
    assert schema is not None
    # What files disagree on isn't known.
    assert [(f.name, f.type) for f in schema] == [
        ("a", pa.string()),
        ("b", pa.null()),
        ("s", pa.null()),
        ("c", pa.list_(pa.int64())),
    ]
    with Pipeline("later") as pipeline:
        LoadDataFromHub(name="load", repo_id=name) >> KeepColumns(columns=["c"])
    graph = _run_graph(pipeline)
    validate(graph, has_input=False)
    prune_columns(graph)
    assert [row.get("c") for row in run_graph(graph)["default"]] == [None, None, [1]]


# --- what the card declares -----------------------------------------------------------------------

_DECLARED = """---
dataset_info:
  features:
  - name: n
    dtype: float32
  - name: when
    dtype: timestamp[s]
  - name: label
    dtype:
      class_label:
        names:
          '0': 'no'
          '1': 'yes'
---
"""
_UNTYPED: list[Row] = [
    {"n": 1, "when": "2026-01-02T03:04:05", "label": "yes"},
    {"n": 2, "when": "2026-01-02T03:04:06", "label": "no"},
]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "typed"])
def test_declared_features_are_those_that_datasets_gives(
    kind: str, hub: HubServer, hub_client: Path
) -> None:
    del hub_client
    name = f"{hub.namespace}/declared"
    table = "n,when,label\n" + "".join(",".join(map(str, r.values())) + "\n" for r in _UNTYPED)
    types = [("n", pa.float32()), ("when", pa.timestamp("us")), ("label", pa.int64())]
    typed = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist([{"n": 0.1, "when": None, "label": 1}], pa.schema(types)), typed
    )
    content = {
        "csv": table.encode(),
        "jsonl": _lines(_UNTYPED),
        "parquet": _parquet(_UNTYPED),
        "typed": typed.getvalue(),
    }[kind]
    extension = "parquet" if kind == "typed" else kind
    unit = "us" if kind == "typed" else "s"  # Parquet has no seconds
    card = _DECLARED.replace("timestamp[s]", f"timestamp[{unit}]").encode()
    hub.add_dataset(name, {"README.md": card, f"train.{extension}": content})
    expected = datasets.load_dataset(name, split="train")
    step = LoadDataFromHub(repo_id=name)
    rows, failures = run_source(step)
    assert not failures and plain(rows) == list(expected)
    # What is of the declared types already is read by row group.
    assert (step._files() is not None) is (kind == "typed")
    assert [row[ROW_ID] for row in rows] == [f"0-{i}" for i in range(len(rows))]
    assert [type(v) for v in plain(rows)[0].values()] == [type(v) for v in expected[0].values()]
    assert step.outputs == expected.column_names
    schema = step.output_schema()
    assert schema is not None and schema.types == expected.features.arrow_schema.types
    assert datasets.Features.from_dict(features_of(schema)) == expected.features
    with Pipeline("declared") as pipeline:
        LoadDataFromHub(name="load", repo_id=name) >> KeepColumns(columns=["label"])
    assert plain(run_graph(_run_graph(pipeline))["default"]) == [
        {"label": row["label"]} for row in expected
    ]


@pytest.mark.parametrize("same", [True, False])
def test_a_conversion_is_read_where_it_has_the_declared_features(
    same: bool, hub: HubServer, hub_client: Path, clock: None
) -> None:
    del hub_client, clock
    name = f"{hub.namespace}/declared"
    card = (
        "---\ndataset_info:\n  features:\n  - name: prompt\n    dtype: string\n  - name: label\n"
        "    dtype: " + ("int64" if same else "string") + "\n---\n"
    )
    stored = _lines([{"prompt": "stored", "label": 3}])
    hub.add_dataset(name, {"README.md": card.encode(), "train.jsonl": stored})
    hub.add_conversion(name, {"default/train/0000.parquet": _converted(["converted"])})
    step = LoadDataFromHub(repo_id=name)
    described = step.described_source()
    assert described is not None and ("conversion_commit" in described) is same
    assert plain(run_source(step)[0]) == (
        [{"prompt": "converted", "label": 1}] if same else [{"prompt": "stored", "label": "3"}]
    )


# --- streams of `datasets` ------------------------------------------------------------------------


def test_ids_of_streamed_rows_do_not_depend_on_how_many_are_read(
    hub: HubServer, hub_client: Path
) -> None:
    del hub_client
    name = f"{hub.namespace}/texts"
    texts = {f"train-{k}.txt": "".join(f"{k}-{i}\n" for i in range(3)) for k in range(3)}
    hub.add_dataset(name, {path: text.encode() for path, text in texts.items()})
    whole = run_source(LoadDataFromHub(repo_id=name))[0]
    assert [row[ROW_ID] for row in whole] == [row["text"] for row in whole]
    for limit in (0, 2, 3, 5, 9, 20):
        assert run_source(LoadDataFromHub(repo_id=name, num_examples=limit))[0] == whole[:limit]


def test_a_stream_is_pinned_too(hub: HubServer, hub_client: Path) -> None:
    del hub_client
    name = f"{hub.namespace}/texts"
    hub.add_dataset(name, {"train.txt": b"before\n"})
    step = LoadDataFromHub(repo_id=name)
    read, work = step._plan()
    hub.add_files(name, {"train.txt": b"after\nafter\n"}, title="new rows")
    hub.add_files(name, {"train-2.txt": b"after\n"}, title="more rows")
    rows = [row["text"] for element in work for block in read(element) for row in block.rows]
    assert rows == ["before"]
    assert [row["text"] for row in run_source(step)[0]] == ["before"]
    assert len(run_source(LoadDataFromHub(repo_id=name))[0]) == 3


# --- the Hub's own conversion ---------------------------------------------------------------------

LABELS = datasets.Features(
    {"prompt": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
)


def _converted(prompts: list[str]) -> bytes:
    table = pa.table({"prompt": prompts, "label": [1] * len(prompts)}, schema=LABELS.arrow_schema)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _prompts(step: LoadDataFromHub) -> list[str]:
    return [row["prompt"] for row in run_source(step)[0]]


@pytest.fixture
def lines(hub: HubServer, hub_client: Path, clock: None) -> str:
    """A dataset of JSON lines."""
    del hub_client, clock
    name = f"{hub.namespace}/lines"
    files = {"train.jsonl": _lines([{"prompt": "stored"}]), "README.md": b"# Hello"}
    hub.add_dataset(name, files)
    return name


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every commit a second after the one before: the Hub's clock counts milliseconds."""
    ticks = itertools.count()
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)

    def now() -> str:
        time = start + datetime.timedelta(seconds=next(ticks))
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z")

    monkeypatch.setattr(storage, "now", now)


def test_a_conversion_is_read_in_place_of_other_formats(
    lines: str, hub: HubServer, caplog: pytest.LogCaptureFixture
) -> None:
    made = hub.add_conversion(
        lines,
        {
            "default/train/0000.parquet": _converted(["a", "b"]),
            "default/train/0001.parquet": _converted(["c"]),
            "other/train/0000.parquet": _converted(["d"]),
        },
    )
    step = LoadDataFromHub(name="load", repo_id=lines)
    with caplog.at_level("INFO", logger="distilabel"):
        assert step.count_rows() == 3
    assert f"read is the Hub's conversion, commit {made.id}" in caplog.text
    assert step.outputs == ["prompt", "label"]
    assert step.resolved_revision == hub.commits(lines)[0].id
    described = step.described_source()
    assert described is not None and described["conversion_commit"] == made.id
    assert described["files"] == 2 and described["bytes"] == sum(
        len(content)
        for path, content in hub.files(lines, made.id).items()
        if path.startswith("default/")
    )
    schema = step.output_schema()
    assert schema is not None and features_of(schema)["label"]["names"] == ["no", "yes"]
    # Pinned too: a later conversion isn't seen.
    hub.add_conversion(lines, {"default/train/0000.parquet": _converted(["later"])})
    assert _prompts(step) == ["a", "b", "c"]
    assert _prompts(LoadDataFromHub(repo_id=lines)) == ["later"]
    # What a revision holds is always the same, whether it has been converted or not.
    head = hub.commits(lines)[0].id
    for revision in (head, "main"):
        assert _prompts(LoadDataFromHub(repo_id=lines, revision=revision)) == ["stored"]
    assert _prompts(LoadDataFromHub(repo_id=lines, revision="")) == ["later"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"default/partial-train/0000.parquet"}, "it holds a part of the split 'train' only"),
        ({"default/test/0000.parquet"}, "it has no split 'train'"),
        ({"default/train/0000.parquet", "default/train/0002.parquet"}, "are missing"),
        (set(), "the Hub has none"),
    ],
)
def test_a_conversion_that_is_not_whole_is_not_read(
    files: set[str], reason: str, lines: str, hub: HubServer, caplog: pytest.LogCaptureFixture
) -> None:
    if files:
        hub.add_conversion(lines, {path: _converted(["converted"]) for path in files})
    with caplog.at_level("INFO", logger="distilabel"):
        assert _prompts(LoadDataFromHub(repo_id=lines)) == ["stored"]
    assert reason in caplog.text and "is read as stored" in caplog.text


def _remove(hub: HubServer, name: str, path: str) -> None:
    hub.repo(name).commit(
        storage.MAIN,
        lambda files: {p: f for p, f in files.items() if p != path},
        author="somebody",
        title="remove",
    )


@pytest.mark.parametrize("change", ["data", "removed", "configs", "readme", "revision", "none"])
def test_a_conversion_of_another_version_is_not_read(
    change: str, lines: str, hub: HubServer, caplog: pytest.LogCaptureFixture
) -> None:
    before = hub.add_files(lines, {"more/train.jsonl": _lines([{"prompt": "more"}])}, title="x")
    hub.add_conversion(lines, {"default/train/0000.parquet": _converted(["converted"])})
    fields: dict[str, Any] = {}
    card = "---\nconfigs:\n- config_name: default\n  data_files: train.jsonl\n---\n"
    if change == "data":
        hub.add_files(lines, {"train.jsonl": _lines([{"prompt": "new"}])}, title="new")
    elif change == "removed":
        _remove(hub, lines, "more/train.jsonl")
    elif change == "configs":
        hub.add_files(lines, {"README.md": card.encode()}, title="card")
    elif change == "readme":
        hub.add_files(lines, {"README.md": b"# Hello you"}, title="card")
    elif change == "revision":
        fields["revision"] = before.parents[0]
    with caplog.at_level("INFO", logger="distilabel"):
        found = _prompts(LoadDataFromHub(repo_id=lines, **fields))
    if change in ("readme", "none"):
        assert found == ["converted"]
    else:
        assert "converted" not in found
        assert change == "revision" or "have changed since" in caplog.text


def test_a_dataset_of_a_script_is_read_from_its_conversion(
    hub: HubServer, hub_client: Path, clock: None
) -> None:
    name = f"{hub.namespace}/scripted"
    hub.add_dataset(name, {"scripted.py": b"raise SystemExit('never run')"})
    with pytest.raises(DistilabelUserError, match="by a script .* isn't run.*: there is none"):
        LoadDataFromHub(repo_id=name).outputs  # noqa: B018
    hub.add_conversion(
        name,
        {
            "first/train/0000.parquet": _converted(["a"]),
            "second/train/0000.parquet": _converted(["b", "c"]),
        },
    )
    with pytest.raises(DistilabelUserError, match="needs a `config`. It has: 'first', 'second'"):
        LoadDataFromHub(repo_id=name).outputs  # noqa: B018
    with pytest.raises(DistilabelUserError, match="no split 'trian': Did you mean 'train'"):
        LoadDataFromHub(repo_id=name, config="first", split="trian").outputs  # noqa: B018
    step = LoadDataFromHub(repo_id=name, config="second")
    assert _prompts(step) == ["b", "c"] and step.outputs == ["prompt", "label"]
    with pytest.raises(DistilabelUserError, match="Leave `revision` out"):
        LoadDataFromHub(repo_id=name, config="second", revision="main").outputs  # noqa: B018


def test_the_history_is_read_as_far_back_as_the_conversion(lines: str, hub: HubServer) -> None:
    hub.context.commits_page_size = 2
    for number in range(9):
        hub.add_files(lines, {f"notes-{number}.txt": b"x"}, title="more")
    hub.add_conversion(lines, {"default/train/0000.parquet": _converted(["converted"])})
    asked = Fault("GET", r"/commits/", call=lambda: None, times=None)
    hub.faults.append(asked)
    assert _prompts(LoadDataFromHub(repo_id=lines)) == ["converted"]
    assert asked.fired == 1
    for number in range(4):
        hub.add_files(lines, {"README.md": b"%d" % number}, title="card")
    assert _prompts(LoadDataFromHub(repo_id=lines)) == ["converted"]
    assert asked.fired == 1 + 3


def test_files_are_asked_for_in_parts(
    lines: str, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beam_distilabel.transforms.sources.hub_repository._PATHS_AT_ONCE", 2)
    prompts = [str(number) for number in range(5)]
    files = {
        f"default/train/{index:04d}.parquet": _converted([prompt])
        for index, prompt in enumerate(prompts)
    }
    hub.add_conversion(lines, files)
    asked = Fault("POST", r"/paths-info/", call=lambda: None, times=None)
    hub.faults.append(asked)
    step = LoadDataFromHub(repo_id=lines)
    assert step.outputs == ["prompt", "label"] and asked.fired == 3
    described = step.described_source()
    assert described is not None and described["bytes"] == sum(map(len, files.values()))
    assert _prompts(step) == prompts


# --- what may not be read -------------------------------------------------------------------------


def _refusal(**fields: Any) -> str:
    """What a pipeline says before anything runs."""
    with Pipeline("refused") as pipeline:
        LoadDataFromHub(name="load", **fields) >> KeepColumns(columns=["prompt"])
    with pytest.raises(DistilabelUserError) as caught:
        validate(_run_graph(pipeline), has_input=False)
    return str(caught.value)


@pytest.mark.parametrize("file", ["train.jsonl", "train.parquet", "train.txt"])
@pytest.mark.parametrize("kind", ["private", "gated"])
def test_whoever_may_not_read_is_told_how_to_log_in(
    kind: str, file: str, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch_client(monkeypatch, hub, tmp_path, token=False)
    name = f"{hub.namespace}/closed"
    content = _parquet(ROWS[:1]) if file.endswith("parquet") else _lines(ROWS[:1])
    hub.add_dataset(name, {file: content}, **{kind: True})
    other, expired = hub.add_user("somebody"), hub.add_user(hub.namespace)
    hub.expire(expired)
    said = {
        "none": _refusal(repo_id=name),
        "other": _refusal(repo_id=name, token=SecretStr(other)),
        "expired": _refusal(repo_id=name, token=SecretStr(expired)),
        "wrong": _refusal(repo_id=name, token=SecretStr("hf_wrong")),
    }
    for message in said.values():
        assert message.startswith("Step 'load' (LoadDataFromHub): ") and repr(name) in message
        assert "log in with `hf auth login`, set HF_TOKEN, or give the Step a `token`" in message
        assert not any(token in message for token in (other, expired, "hf_wrong"))
    assert "no token was given" in said["none"]
    assert "the account of the token" in said["other"]
    assert "is expired" in said["expired"]
    assert "the token isn't valid" in said["wrong"]
    if kind == "gated":
        assert "is gated" in said["none"] and "Ask for access" in said["other"]
    hub.access.grant("somebody", hub.repo(name))
    assert LoadDataFromHub(repo_id=name, token=SecretStr(other)).outputs


def test_offline_is_said_at_once(repo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in _refusal(repo_id=repo)


def test_a_token_that_ends_while_it_runs_is_named(hub: HubServer, hub_client: Path) -> None:
    name = f"{hub.namespace}/private"
    hub.add_dataset(name, {"train.parquet": _parquet(ROWS)}, private=True)
    token = hub.add_user(hub.namespace)
    step = LoadDataFromHub(name="load", repo_id=name, token=SecretStr(token))
    assert step.count_rows() == 250
    hub.expire(token)
    with pytest.raises(
        Exception, match="(?s)train.parquet' can't be read.*`hf auth login`"
    ) as error:
        run_source(step)
    assert token not in str(error.value)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (
            {"train.parquet": _parquet(ROWS[:1]), "test.jsonl": _lines(ROWS[:1])},
            "Couldn't infer the same data file format for all splits",
        ),
        (
            {"data/tr ain-00000-of-00001.parquet": _parquet(ROWS[:1])},
            "Split name should match",
        ),
        ({"train.zip": b"no archive"}, "can't be read by `datasets`"),
        ({"train.txt": b"\xff\xfa"}, "UnicodeDecodeError"),
    ],
    ids=["formats", "split", "archive", "encoding"],
)
def test_what_datasets_cannot_read_is_explained(
    files: dict[str, bytes], reason: str, hub: HubServer, hub_client: Path
) -> None:
    del hub_client
    name = f"{hub.namespace}/odd"
    hub.add_dataset(name, files)
    with pytest.raises(DistilabelUserError) as caught:
        processed(LoadDataFromHub(name="load", repo_id=name))
    message = str(caught.value)
    assert message.startswith("Step 'load' (LoadDataFromHub): ") and repr(name) in message
    assert reason in message and "LoadDataFromFileSystem" in message


def test_names_that_look_like_globs_and_queries(hub: HubServer, hub_client: Path) -> None:
    del hub_client
    name = f"{hub.namespace}/names"
    hub.add_dataset(name, {"data/[x]*? (\u00fc)#1%20.parquet": _parquet(ROWS[:3])})
    step = LoadDataFromHub(repo_id=name)
    assert plain(run_source(step)[0]) == ROWS[:3] and step.count_rows() == 3


def test_a_local_folder_is_read_without_the_hub(
    hub: HubServer, hub_client: Path, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "test.parquet")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "train.jsonl").write_text('{"b": 3}\n')
    hub.requests.clear()
    loader = LoadDataFromHub(repo_id=str(tmp_path / "more"))
    assert loader.outputs == ["b"] and loader.count_rows() is None
    assert next(loader.process()) == ([{"b": 3}], True)
    named = LoadDataFromHub(repo_id=str(tmp_path), config="more")
    assert next(named.process()) == ([{"b": 3}], True)
    described = loader.described_source()
    assert described is not None and described["files"] == 1 and not hub.requests
