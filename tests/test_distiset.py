"""Distiset: opened late, really a dict of DatasetDicts, saved and loaded in distilabel's layout."""

from __future__ import annotations

import base64
import copy
import io
import json
import os
import pickle
import uuid
from pathlib import Path
from typing import Any

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import Dataset, DatasetDict
from pydantic import SecretStr

from beam_distilabel.card import build_card, cut, size_category, write_card
from beam_distilabel.distiset import Distiset, citations_of, create_distiset, subset
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.layout import shard_name
from beam_distilabel.summary import SubsetSummary, summarize


def make_result(run: Path, subsets: dict[str, list[dict[str, Any]]], shards: int = 2) -> Path:
    """A run directory with a result, as WriteDistiset leaves it."""
    for name, rows in subsets.items():
        folder = run / "distiset" / name
        folder.mkdir(parents=True)
        table = pa.Table.from_pylist(rows)
        size = -(-len(rows) // shards)
        for index in range(shards):
            part = table.slice(index * size, size)
            pq.write_table(part, folder / shard_name("train", index, shards))
    (run / "pipeline.yaml").write_text("pipeline: {name: p}\n")
    (run / "pipeline.log").write_text("started\n")
    artifact = run / "artifacts" / "judge" / "plot"
    artifact.mkdir(parents=True)
    (artifact / "metadata.json").write_text('{"library": "none"}')
    (artifact / "plot.txt").write_text("art")
    return run


ROWS = [{"a": i, "text": f"t{i}", "distilabel_metadata": {"n": i}} for i in range(10)]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_result(tmp_path / "run", {"first": ROWS, "second": ROWS[:4]})


def unopened(distiset: Distiset) -> list[str]:
    return [name for name, value in distiset.raw().items() if isinstance(value, subset.Subset)]


# --- opening --------------------------------------------------------------------------------------


def test_a_run_opens_late_and_without_the_cache(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    distiset = create_distiset(run)
    assert list(distiset) == ["first", "second"] and len(distiset) == 2
    assert unopened(distiset) == ["first", "second"]
    train = distiset["first"]["train"]
    assert unopened(distiset) == ["second"]
    assert type(distiset["first"]) is DatasetDict and type(train) is Dataset
    assert distiset["first"] is distiset["first"]
    assert len(train) == 10 and train[2:4]["a"] == [2, 3] and train.split == "train"
    assert train.to_list() == [{"a": i, "text": f"t{i}"} for i in range(10)]
    assert [row["a"] for row in train] == list(range(10))
    assert train.map(lambda row: {"b": row["a"] * 2})[3]["b"] == 6
    assert not (tmp_path / "cache").exists()


def test_what_lies_around_a_run_is_found(run: Path) -> None:
    distiset = create_distiset(run / "distiset")
    assert distiset.pipeline_path == run / "pipeline.yaml"
    assert distiset.log_filename_path == run / "pipeline.log"
    assert distiset.artifacts_path == run / "artifacts"
    given = create_distiset(run, run / "other.yaml", run / "other.log")
    assert given.pipeline_path == run / "other.yaml"
    assert given.log_filename_path == run / "other.log"


def test_the_metadata_column_is_kept_when_asked_for(run: Path) -> None:
    train = create_distiset(run, enable_metadata=True)["second"]["train"]
    assert train[1]["distilabel_metadata"] == {"n": 1}


@pytest.mark.parametrize("writable", [True, False])
def test_large_splits_are_mapped_from_one_arrow_file(
    run: Path, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    monkeypatch.setattr(subset, "IN_MEMORY_BYTES", 1)
    if not writable:
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    train = create_distiset(run)["first"]["train"]
    [file] = train.cache_files
    inside = Path(file["filename"]).is_relative_to(run / "distiset" / ".arrow" / "first")
    assert inside == writable
    assert train.to_list() == [{"a": i, "text": f"t{i}"} for i in range(10)]
    if writable:
        written = os.stat(file["filename"]).st_mtime_ns
        again = create_distiset(run)["first"]["train"]
        assert os.stat(again.cache_files[0]["filename"]).st_mtime_ns == written
        pq.write_table(
            pa.Table.from_pylist([{**ROWS[0], "a": 7}]),
            run / "distiset" / "first" / shard_name("train", 0, 2),
        )
        changed = create_distiset(run)["first"]["train"]
        assert changed[0]["a"] == 7
        assert len(os.listdir(Path(changed.cache_files[0]["filename"]).parent)) == 1


def test_a_result_on_another_filesystem_opens(run: Path) -> None:
    url = f"memory://{uuid.uuid4().hex}"
    fsspec.filesystem("memory").put(str(run / "distiset"), url, recursive=True)
    distiset = create_distiset(url)
    assert distiset["second"]["train"]["a"][:] == [0, 1, 2, 3]
    assert distiset.pipeline_path is None


def test_unequal_parts_and_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(DistilabelUserError, match="there is no folder"):
        create_distiset(tmp_path / "nowhere")
    assert create_distiset(tmp_path) == {}


def test_a_missing_subset_is_named_with_those_there_are(run: Path) -> None:
    with pytest.raises(KeyError, match="no subset 'third'; there are: 'first', 'second'"):
        create_distiset(run)["third"]


# --- being a dict ---------------------------------------------------------------------------------


def test_every_way_to_get_values_opens_them(run: Path) -> None:
    def opened() -> Distiset:
        return create_distiset(run)

    assert all(type(value) is DatasetDict for value in opened().values())
    assert all(type(value) is DatasetDict for _, value in opened().items())
    assert type(opened().get("first")) is DatasetDict and opened().get("x", 1) == 1
    assert all(type(value) is DatasetDict for value in dict(opened()).values())
    assert all(type(value) is DatasetDict for value in {**opened()}.values())
    assert all(type(value) is DatasetDict for value in (opened() | {}).values())
    assert all(type(value) is DatasetDict for value in ({} | opened()).values())
    assert type(opened().pop("first")) is DatasetDict
    assert opened().pop("x", 3) == 3
    name, value = opened().popitem()
    assert (name, type(value)) == ("second", DatasetDict)
    assert type(opened().setdefault("first", None)) is DatasetDict
    plain: dict[str, Any] = {}
    plain.update(opened())
    assert type(plain["first"]) is DatasetDict
    assert len(opened().items()) == 2 and "first" in opened()


def test_copies_and_pickles_stay_closed_and_equal(run: Path) -> None:
    distiset = create_distiset(run)
    distiset.citations = ["@a{b}"]
    pickled = pickle.dumps(distiset)
    assert len(pickled) < 2_000
    copies = [
        copy.copy(distiset),
        copy.deepcopy(distiset),
        distiset.copy(),
        pickle.loads(pickled),
        Distiset(distiset),
    ]
    for twin in copies:
        assert type(twin) is Distiset and twin == distiset and not twin != distiset
        assert unopened(twin) == ["first", "second"]
    assert unopened(distiset) == ["first", "second"]
    assert copies[0].citations == ["@a{b}"] and copies[3].pipeline_path == distiset.pipeline_path
    opened = pickle.loads(pickled)
    opened["first"], opened["second"]
    assert opened == distiset == pickle.loads(pickle.dumps(opened))
    assert distiset != {"first": 1} and distiset != Distiset() and distiset != 3


def test_equality_looks_at_rows(run: Path) -> None:
    left, right = create_distiset(run), create_distiset(run)
    right["first"] = DatasetDict({"train": right["first"]["train"].select(range(9))})
    assert left != right
    right["first"] = DatasetDict({"train": left["first"]["train"].select(range(10))})
    assert left == right


def test_repr_opens_nothing(run: Path) -> None:
    distiset = create_distiset(run)
    text = repr(distiset)
    assert "first: DatasetDict({" in text and "num_rows: 10" in text and "['a', 'text']" in text
    assert unopened(distiset) == ["first", "second"]
    distiset["first"]
    assert repr(distiset).split() == text.split()
    assert repr(Distiset()) == "Distiset({})"


# --- splitting, images ----------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [True, False])
def test_train_test_split_works_on_every_subset(run: Path, shuffle: bool) -> None:
    distiset = create_distiset(run)
    distiset["plain"] = Dataset.from_list(ROWS)
    assert distiset.train_test_split(0.5, shuffle=shuffle, seed=1) is distiset
    for name, rows in (("first", 10), ("second", 4), ("plain", 10)):
        parts = distiset[name]
        assert type(parts) is DatasetDict and sorted(parts) == ["test", "train"]
        assert len(parts["train"]) == len(parts["test"]) == rows // 2
        found = parts["train"]["a"][:] + parts["test"]["a"][:]
        assert sorted(found) == list(range(rows)) and (found == list(range(rows))) != shuffle


def test_train_test_split_changes_nothing_when_it_cannot_be_done(run: Path) -> None:
    distiset = create_distiset(run)
    with pytest.raises(DistilabelUserError, match="between 0 and 1, got 2"):
        distiset.train_test_split(2)
    distiset["tiny"] = DatasetDict({"train": Dataset.from_list(ROWS[:1])})
    with pytest.raises(DistilabelUserError, match="subset 'tiny' with 1 rows"):
        distiset.train_test_split(0.5)
    assert sorted(distiset["first"]) == ["train"]
    del distiset["tiny"]
    distiset.train_test_split(0.5)
    with pytest.raises(DistilabelUserError, match="no 'test' split, it has: train, test"):
        distiset.train_test_split(0.5)


def test_base64_becomes_images() -> None:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (2, 3), (255, 0, 0)).save(file, "PNG")
    text = base64.b64encode(file.getvalue()).decode()
    rows = [{"picture": text}, {"picture": f"data:image/png;base64,{text}"}, {"picture": None}]
    distiset = Distiset({"default": DatasetDict({"train": Dataset.from_list(rows)})})
    assert distiset.transform_columns_to_image("picture") is distiset
    train = distiset["default"]["train"]
    assert isinstance(train.features["picture"], datasets.Image)
    assert [image and image.size for image in train["picture"]] == [(2, 3), (2, 3), None]
    with pytest.raises(DistilabelUserError, match=r"no subset has the columns \['other'\]"):
        distiset.transform_columns_to_image(["picture", "other"])
    bad = Distiset({"default": DatasetDict({"train": Dataset.from_list([{"p": "not base64!"}])})})
    with pytest.raises(DistilabelUserError, match="'p' of subset 'default' holds 'not base64!'"):
        bad.transform_columns_to_image("p")


# --- saving and loading ---------------------------------------------------------------------------


def test_saved_sets_have_the_layout_of_distilabel_and_load(run: Path, tmp_path: Path) -> None:
    distiset = create_distiset(run)
    distiset.save_to_disk(tmp_path / "saved", num_shards=2)
    found = {
        file.relative_to(tmp_path / "saved").as_posix()
        for file in (tmp_path / "saved").rglob("*")
        if file.is_file()
    }
    assert {
        "first/dataset_dict.json",
        "first/train/data-00001-of-00002.arrow",
        "second/dataset_dict.json",
        "distiset_configs/README.md",
        "distiset_configs/pipeline.yaml",
        "distiset_configs/pipeline.log",
        "artifacts/judge/plot/metadata.json",
        "artifacts/judge/plot/plot.txt",
    } <= found
    loaded = Distiset.load_from_disk(tmp_path / "saved")
    assert loaded == distiset
    assert loaded.pipeline_path == tmp_path / "saved" / "distiset_configs" / "pipeline.yaml"
    assert loaded.log_filename_path == tmp_path / "saved" / "distiset_configs" / "pipeline.log"
    assert loaded.artifacts_path == tmp_path / "saved" / "artifacts"


def test_parts_can_be_left_out(run: Path, tmp_path: Path) -> None:
    create_distiset(run).save_to_disk(
        str(tmp_path / "saved"),
        save_card=False,
        save_pipeline_config=False,
        save_pipeline_log=False,
    )
    assert os.listdir(tmp_path / "saved" / "distiset_configs") == []
    loaded = Distiset.load_from_disk(str(tmp_path / "saved"), keep_in_memory=True)
    assert loaded.pipeline_path is None and loaded["first"]["train"].cache_files == []


def test_remote_sets_are_saved_and_loaded(run: Path, tmp_path: Path) -> None:
    url = f"memory://{uuid.uuid4().hex}/set"
    distiset = create_distiset(run)
    distiset.save_to_disk(url)
    loaded = Distiset.load_from_disk(url, download_dir=tmp_path / "down")
    assert loaded == distiset
    assert loaded.pipeline_path == tmp_path / "down" / "distiset_configs" / "pipeline.yaml"
    assert loaded.artifacts_path is not None
    assert (loaded.artifacts_path / "judge" / "plot" / "plot.txt").read_text() == "art"


def test_sets_of_plain_datasets_load(tmp_path: Path) -> None:
    """distilabel also saves a config that is a Dataset, without splits."""
    Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved" / "default"))
    loaded = Distiset.load_from_disk(tmp_path / "saved")
    assert type(loaded["default"]) is Dataset and len(loaded["default"]) == 10


def test_folders_that_hold_no_set_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DistilabelUserError, match="there is no folder"):
        Distiset.load_from_disk(tmp_path / "nowhere")
    with pytest.raises(DistilabelUserError, match="holds no saved subset"):
        Distiset.load_from_disk(tmp_path)


# --- the card -------------------------------------------------------------------------------------


def front_matter(card: str) -> Any:
    return yaml.safe_load(card.split("---")[1])


def test_a_result_with_its_card_loads_as_it_is(run: Path, tmp_path: Path) -> None:
    path = run / "distiset"
    write_card(str(path))
    for name, count in (("first", 10), ("second", 4)):
        loaded = datasets.load_dataset(str(path), name, cache_dir=str(tmp_path / "cache"))
        assert sorted(loaded) == ["train"] and len(loaded["train"]) == count
    first = datasets.load_dataset(str(path), cache_dir=str(tmp_path / "cache"))
    assert len(first["train"]) == 10
    assert create_distiset(run).keys() == {"first", "second"}


def test_the_card_says_what_is_there(run: Path) -> None:
    card = Path(
        write_card(
            str(run / "distiset"),
            location="org/name",
            definition={"pipeline": {"name": "p", "steps": [], "connections": []}},
            report={
                "steps": {"judge": {"rows": 14, "failures": {"parse": 2}, "input_tokens": 12345}}
            },
            artifacts={"judge": ["plot"]},
            citations=["@a{b}", "@a{b}"],
        )
    ).read_text()
    metadata = front_matter(card)
    assert metadata["size_categories"] == ["n<1K"]
    assert {"synthetic", "distilabel", "rlaif", "beam-distilabel"} <= set(metadata["tags"])
    assert [c["config_name"] for c in metadata["configs"]] == ["first", "second"]
    assert metadata["configs"][0]["default"] is True and "default" not in metadata["configs"][1]
    assert 'load_dataset("org/name", "second")' in card
    assert "datasets/org/name/raw/main/pipeline.yaml" in card
    assert "| judge | 14 | parse: 2 | 12,345 |  |" in card
    assert "`artifacts/judge/plot`" in card and card.count("@a{b}") == 1
    assert '"text": "t0"' in card


def test_a_card_is_updated_without_touching_what_people_wrote() -> None:
    subset = SubsetSummary("default", {"train": 5_000}, {"a": "int64"}, {"a": 1})
    theirs = "---\nlicense: mit\ntags: [mine]\n---\n# My set\n\nHand-made.\n"
    once = build_card([subset], existing=theirs)
    twice = build_card([subset], existing=once + "\nA last word.\n")
    assert build_card([subset], existing=twice) == twice
    for card in (once, twice):
        metadata = front_matter(card)
        assert metadata["license"] == "mit" and metadata["tags"][0] == "mine"
        assert metadata["size_categories"] == ["1K<n<10K"]
        assert card.count("Hand-made.") == 1 and card.count("## Subset") == 1
    assert twice.rstrip().endswith("A last word.")


def test_samples_are_cut_and_cannot_leave_their_block() -> None:
    row = {"t": "x" * 5_000, "l": list(range(50)), "b": b"12", "fence": "```\n# not a heading"}
    card = build_card([SubsetSummary("default", {"train": 1}, sample=row)])
    assert len(card) < 4_000 and "<2 bytes>" in card and "(40 more items)" in card
    assert cut(row)["t"].endswith("(4400 more characters)")
    block = card.split("````json\n")[1].split("\n````")[0]
    assert json.loads(block)["fence"] == row["fence"]


@pytest.mark.parametrize(
    ("rows", "category"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1_000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (10**9, "1B<n<10B"),
        (10**12, "n>1T"),
    ],
)
def test_size_categories_are_those_of_the_hub(rows: int, category: str) -> None:
    assert size_category(rows) == category


def test_summaries_count_all_files(run: Path) -> None:
    assert {s.name: s.splits for s in summarize(str(run / "distiset"))} == {
        "first": {"train": 10},
        "second": {"train": 4},
    }


def test_citations_come_from_docstrings() -> None:
    class Judge:
        """Judges.

        References:
            - Someone.

        Citations:
            ```
            @misc{one,
                title={{A {nested} title}},
            }
            ```

            @article{two, year=2024}
        """

    class Bare:
        __doc__ = None

    assert citations_of(Judge()) == [
        "@misc{one,\n    title={{A {nested} title}},\n}",
        "@article{two, year=2024}",
    ]
    assert citations_of(Bare) == []


# --- the Hub --------------------------------------------------------------------------------------


def test_what_cannot_be_pushed_is_refused_at_once(run: Path) -> None:
    with pytest.raises(DistilabelUserError, match="has no subset"):
        Distiset().push_to_hub("org/name")
    with pytest.raises(DistilabelUserError, match="no argument 'num_shard'.*'num_shards'"):
        create_distiset(run).push_to_hub("org/name", num_shard=3)
    with pytest.raises(DistilabelUserError, match="target can't be used"):
        create_distiset(run).push_to_hub("not a name")


def test_a_set_is_pushed_with_what_made_it(
    run: Path, hub: Any, hub_client: Path, tmp_path: Path
) -> None:
    from huggingface_hub import HfApi

    repo = f"{hub.namespace}/set"
    distiset = create_distiset(run)
    distiset.citations = ["@a{b}"]
    distiset.push_to_hub(repo, True, SecretStr(hub.token), commit_message="First")
    api = HfApi(token=hub.token)
    assert api.dataset_info(repo).private
    files = set(api.list_repo_files(repo, repo_type="dataset"))
    assert {
        "README.md",
        "pipeline.yaml",
        "pipeline.log",
        "artifacts/judge/plot/plot.txt",
    } <= files
    for name, count in (("first", 10), ("second", 4)):
        found = datasets.load_dataset(
            repo, name, split="train", token=hub.token, cache_dir=str(tmp_path / "cache")
        )
        assert found["a"][:] == list(range(count))
    card = Path(api.hf_hub_download(repo, "README.md", repo_type="dataset")).read_text()
    metadata = front_matter(card)
    assert sorted(config["config_name"] for config in metadata["configs"]) == ["first", "second"]
    assert "@a{b}" in card and f'load_dataset("{repo}", "first")' in card
    history = [commit.title for commit in api.list_repo_commits(repo, repo_type="dataset")]
    assert history == ["First", "initial commit"]
    distiset.push_to_hub(repo, token=hub.token)
    assert len(api.list_repo_commits(repo, repo_type="dataset")) == 2  # nothing has changed
    again = Path(api.hf_hub_download(repo, "README.md", repo_type="dataset")).read_text()
    assert again.count("## Subset `first`") == 1
