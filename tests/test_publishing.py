"""Results on the Hub: from pipelines, from plain Beam, and after something died."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import apache_beam as beam
import datasets
import pyarrow as pa
import pytest
import yaml
from apache_beam.testing.util import assert_that, equal_to

from beam_distilabel.distiset import Distiset, create_distiset
from beam_distilabel.errors import DistilabelUserError, RunFailedError
from beam_distilabel.layout import shard_name
from beam_distilabel.manifest import WrittenFile, WrittenSubset
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.step import Step
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts, LoadDataFromHub, PushToHub
from beam_distilabel.transforms.sinks import publishing
from beam_distilabel.transforms.sinks.merge import Bounds, plan
from beam_distilabel.transforms.sinks.publishing import check_size, most_files
from beam_distilabel.transforms.sinks.shards import ShardRecord
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset
from beam_distilabel.transforms.tasks.text_generation import TextGeneration
from beam_distilabel.typing import StepInput, StepOutput
from tests.hub import Fault, HubServer, client_env
from tests.pipeline.fakes import TaggedEcho
from tests.pipeline.running import rows_of
from tests.publishing import numbers, quick_retries, shards_of, titles  # noqa: F401

pytestmark = pytest.mark.usefixtures("hub_client", "quick_retries")

ROWS = [{"instruction": f"q{n}", "n": n} for n in range(12)]
OURS = "Upload dataset with beam-distilabel"


class SavesPlot(Step):
    """Saves an artifact from the worker."""

    def load(self) -> None:
        super().load()
        self.save_artifact("plot", lambda path: (path / "plot.txt").write_text("a plot"))

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield inputs


class Marks(Step):
    """Leaves a file where it ran."""

    path: str

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        Path(self.path).touch()
        yield inputs


class Leaks(Step):
    """Puts a secret into its error; takes the last of the rows alone."""

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        if any(not ROWS[-1].items() <= row.items() for row in inputs):
            raise ValueError(f"refused: {os.environ['SOME_API_KEY']}")
        yield inputs


def branches(rows: list[dict[str, Any]] = ROWS) -> Pipeline:
    """Two branches, one of which parts again: three leaves."""
    with Pipeline("branches", description="Answers and numbers.") as pipeline:
        load = LoadDataFromDicts(name="load", data=rows)
        answer = TextGeneration(name="answer", llm=TaggedEcho(tag="one"))
        plot = SavesPlot(name="plot")
        load >> answer >> [KeepColumns(name="texts", columns=["generation"]), plot]
        load >> KeepColumns(name="numbers", columns=["n"])
    return pipeline


def load(repo_id: str, name: str, split: str = "train", **options: Any) -> Any:
    return datasets.load_dataset(
        repo_id, name, split=split, download_mode="force_redownload", **options
    )


def check_branches(hub: HubServer, repo_id: str, distiset: Any) -> None:
    assert titles(hub, repo_id) == [OURS, "initial commit"]
    assert sorted(datasets.get_dataset_config_names(repo_id)) == ["numbers", "plot", "texts"]
    for name in ("texts", "plot", "numbers"):
        found = load(repo_id, name)
        local = distiset[name]["train"]
        assert found.features == local.features
        assert found.to_list() == local.to_list() and len(found) == len(ROWS)
    files = hub.files(repo_id)
    assert {
        "README.md",
        "pipeline.yaml",
        "report.json",
        "pipeline.log",
        "artifacts/plot/plot/plot.txt",
        "artifacts/plot/plot/metadata.json",
        "texts/train-00000-of-00001.parquet",
    } <= set(files)
    report = json.loads(files["report.json"])
    assert report["subsets"]["texts"] == {"rows": len(ROWS)}
    assert report["steps"]["answer"]["output_tokens"] == 2 * len(ROWS)
    assert yaml.safe_load(files["pipeline.yaml"])["pipeline"]["name"] == "branches"
    card = files["README.md"].decode()
    assert f'load_dataset("{repo_id}", "numbers")' in card and "artifacts/plot/plot" in card
    everything = b"".join(files.values())
    assert hub.token.encode() not in everything and b"very-secret-key" not in everything


def test_three_leaves_are_three_subsets_in_one_commit_of_a_worker(
    hub: HubServer, tmp_path: Path
) -> None:
    repo_id = f"{hub.namespace}/branches"
    distiset = branches().run(output_dir=tmp_path / "run", push_to_hub=repo_id)
    check_branches(hub, repo_id, distiset)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["published"]["commit"] == hub.refs(repo_id)["refs/heads/main"]


def test_three_leaves_are_three_subsets_in_one_commit_of_the_driver(
    hub: HubServer, tmp_path: Path
) -> None:
    repo_id = f"{hub.namespace}/branches"
    distiset = branches().run(output_dir=tmp_path / "run")
    assert distiset.push_to_hub(repo_id).commit == hub.refs(repo_id)["refs/heads/main"]
    check_branches(hub, repo_id, distiset)


def test_a_set_that_was_changed_is_pushed_as_it_is_now(hub: HubServer, tmp_path: Path) -> None:
    repo_id = f"{hub.namespace}/changed"
    distiset = branches().run(output_dir=tmp_path / "run")
    distiset.push_to_hub(repo_id)
    del distiset["plot"], distiset["texts"]
    distiset.train_test_split(0.75, shuffle=False)
    distiset.push_to_hub(repo_id, num_shards=2, commit_message="Split")
    assert titles(hub, repo_id) == ["Split", OURS, "initial commit"]
    assert load(repo_id, "numbers")["n"][:] == list(range(9))
    assert load(repo_id, "numbers", "test")["n"][:] == [9, 10, 11]
    assert len(load(repo_id, "texts")) == len(ROWS)  # the other configs stay
    assert [path for path in hub.files(repo_id) if path.startswith("numbers/")] == [
        f"numbers/{shard_name(split, index, 2)}" for split in ("test", "train") for index in (0, 1)
    ]


def test_from_the_hub_to_the_hub(hub: HubServer, tmp_path: Path) -> None:
    """`LoadDataFromHub` and `push_to_hub` in one run, with features that survive."""
    features = datasets.Features(
        {
            "instruction": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["no", "yes"]),
            "small": datasets.Value("int32"),
        }
    )
    source = datasets.Dataset.from_dict(
        {"instruction": ["a", "b", "c"], "label": [0, 1, 0], "small": [1, 2, 3]}, features
    )
    source.push_to_hub(f"{hub.namespace}/source", split="test")
    commit = hub.refs(f"{hub.namespace}/source")["refs/heads/main"]
    middle = f"{hub.namespace}/middle"
    with Pipeline("hub-to-hub") as pipeline:
        loader = LoadDataFromHub(name="load", repo_id=f"{hub.namespace}/source", split="test")
        loader >> PushToHub(repo_id=middle) >> TextGeneration(name="answer", llm=TaggedEcho())
    distiset = pipeline.run(output_dir=tmp_path / "run")
    distiset.push_to_hub(f"{hub.namespace}/made", private=True, token=hub.token)
    found = load(f"{hub.namespace}/made", "default")
    assert found.features["label"] == features["label"]
    assert found.features["small"] == features["small"]
    assert [row["label"] for row in found] == [0, 1, 0]
    assert load(middle, "default").features == features
    for text in ((tmp_path / "run" / "run.json").read_text(), card_of(hub, "made")):
        assert commit in text


def card_of(hub: HubServer, name: str) -> str:
    return hub.files(f"{hub.namespace}/{name}")["README.md"].decode()


def test_names_that_would_break_the_repository_are_refused(hub: HubServer, tmp_path: Path) -> None:
    rows = datasets.Dataset.from_list(ROWS)
    for name, split in (("a", "my-split"), ("a", "all"), ("../evil", "train"), ("a*b", "train")):
        distiset = Distiset({name: datasets.DatasetDict({split: rows})})
        with pytest.raises(DistilabelUserError, match="name"):
            distiset.push_to_hub(f"{hub.namespace}/names")
        with pytest.raises(DistilabelUserError, match="name"):
            with beam.Pipeline(runner="FnApiRunner") as p:
                one = p | beam.Create(ROWS)
                _ = {name: one} | WriteDistiset(str(tmp_path / "out"), split=split)
    for wrong in ([1], datasets.DatasetDict({}), None):
        with pytest.raises(DistilabelUserError, match="has to be a Dataset"):
            Distiset({"a": wrong}).push_to_hub(f"{hub.namespace}/names")
    with pytest.raises(DistilabelUserError, match="num_shards must be"):
        Distiset({"a": rows}).push_to_hub(f"{hub.namespace}/names", num_shards=0)


def test_without_a_card_every_subset_can_be_loaded(hub: HubServer, tmp_path: Path) -> None:
    repo_id = f"{hub.namespace}/bare"
    hub.add_dataset(repo_id, {"README.md": b"# Mine\n"})
    distiset = branches().run(output_dir=tmp_path / "run")
    distiset.push_to_hub(repo_id, generate_card=False)
    assert load(repo_id, "numbers")["n"][:] == list(range(12))
    text = card_of(hub, "bare")
    assert "# Mine" in text and "beam-distilabel: begin" not in text


def test_the_card_on_a_branch_says_how_to_load_the_branch(hub: HubServer, tmp_path: Path) -> None:
    repo_id = f"{hub.namespace}/branch"
    with beam.Pipeline(runner="FnApiRunner") as p:
        hub_of = {"repo_id": repo_id, "revision": "dev"}
        _ = {"default": p | beam.Create(ROWS)} | WriteDistiset(str(tmp_path / "out"), hub=hub_of)
    create_distiset(tmp_path / "out").push_to_hub(repo_id, revision="other")
    for branch in ("dev", "other"):
        card = hub.files(repo_id, branch)["README.md"].decode()
        assert f'load_dataset("{repo_id}", "default", revision="{branch}")' in card
        assert len(load(repo_id, "default", revision=branch)) == len(ROWS)


def test_a_subset_that_has_no_rows_any_more_breaks_no_other(hub: HubServer, tmp_path: Path) -> None:
    repo_id = f"{hub.namespace}/empty"
    for rows in (ROWS, []):
        with beam.Pipeline(runner="FnApiRunner") as p:
            subsets = {"a": p | "a" >> beam.Create(rows), "b": p | "b" >> beam.Create(ROWS)}
            _ = subsets | WriteDistiset(str(tmp_path / "out"), hub=repo_id, overwrite=True)
    assert datasets.get_dataset_config_names(repo_id) == ["b"]
    assert len(load(repo_id, "b")) == len(ROWS)
    assert len(datasets.load_dataset(repo_id, split="train")) == len(ROWS)


def test_a_split_without_rows_breaks_no_other(hub: HubServer, tmp_path: Path) -> None:
    repo_id = f"{hub.namespace}/empty-split"
    schema = {"default": pa.schema([("n", pa.int64())])}
    for split, rows in (("train", ROWS), ("test", ROWS), ("test", [])):
        with beam.Pipeline(runner="FnApiRunner") as p:
            _ = (
                p
                | beam.Create(rows)
                | WriteDistiset(
                    str(tmp_path / split),
                    hub=repo_id,
                    split=split,
                    schemas=schema,
                    keep_other_splits=True,
                    overwrite=True,
                )
            )
    assert list(datasets.load_dataset(repo_id)) == ["train"]
    empty = datasets.Dataset.from_dict({"n": []})
    full = datasets.Dataset.from_list(ROWS)
    splits = datasets.DatasetDict({"train": full, "test": empty})
    Distiset({"default": splits, "none": empty}).push_to_hub(repo_id)
    assert datasets.get_dataset_config_names(repo_id) == ["default"]
    assert list(datasets.load_dataset(repo_id)) == ["train"]


def test_names_of_people_and_their_text_stay_as_they_are(hub: HubServer, tmp_path: Path) -> None:
    name = "task-classification-of-long-documents"
    repo_id = f"{hub.namespace}/task-generation-of-instructions-v2"
    mine = f"# Mine\n\nSet sk-{'x1' * 12} in {Path.home()}/keys.\n"
    hub.add_dataset(repo_id, {"README.md": mine.encode()})
    with beam.Pipeline(runner="FnApiRunner") as p:
        _ = {name: p | beam.Create(ROWS)} | WriteDistiset(str(tmp_path / "out"), hub=repo_id)
    assert mine.strip() in card_of(hub, "task-generation-of-instructions-v2")
    assert len(load(repo_id, name)) == len(ROWS)


def test_a_secret_in_an_error_is_published_nowhere(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "quite-unlike-a-key")
    with Pipeline("leaky") as pipeline:
        LoadDataFromDicts(data=ROWS) >> Leaks()
    repo_id = f"{hub.namespace}/leaky"
    pipeline.run(output_dir=tmp_path / "run", push_to_hub=repo_id)
    message = load(repo_id, "default")[0]["distilabel_metadata"]["failure_leaks_0"]["message"]
    assert message == "ValueError: refused: ***"
    everywhere = [*(tmp_path / "run").rglob("*.*")]
    assert not any(b"quite-unlike" in file.read_bytes() for file in everywhere if file.is_file())


def test_a_run_whose_rows_all_failed_is_not_published(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "quite-unlike-a-key")
    with Pipeline("leaky") as pipeline:
        LoadDataFromDicts(data=ROWS[:-1]) >> Leaks(name="leaks")
    repo_id = f"{hub.namespace}/nothing"
    with pytest.raises(RunFailedError, match="All 11 rows of Step 'leaks' failed.*Nothing is publ"):
        pipeline.run(output_dir=tmp_path / "run", push_to_hub=repo_id)
    assert OURS not in titles(hub, repo_id)
    assert len(list((tmp_path / "run" / "failures").glob("*.parquet"))) == 1


# --- PushToHub ----------------------------------------------------------------------------------


def test_push_to_hub_in_the_middle_and_at_the_end(hub: HubServer, tmp_path: Path) -> None:
    repo_id = f"{hub.namespace}/steps"
    with Pipeline("pushes") as pipeline:
        (
            LoadDataFromDicts(data=ROWS)
            >> PushToHub(name="inputs", repo_id=repo_id, split="inputs", token=hub.token)
            >> TextGeneration(llm=TaggedEcho())
            >> KeepColumns(columns=["generation"])
            >> PushToHub(name="answers", repo_id=repo_id, config="answers", split="test")
        )
    distiset = pipeline.run(output_dir=tmp_path / "run")
    assert len(rows_of(distiset)) == len(ROWS)
    assert titles(hub, repo_id) == [OURS, OURS, "initial commit"]
    assert load(repo_id, "default", "inputs").to_list() == ROWS
    assert load(repo_id, "answers", "test").column_names[0] == "generation"
    assert hub.token not in (tmp_path / "run" / "pipeline.yaml").read_text()


def test_push_to_hub_replaces_its_split_alone(hub: HubServer, tmp_path: Path) -> None:
    repo_id = f"{hub.namespace}/splits"
    for split, rows in (("train", ROWS), ("test", ROWS[:2]), ("train", ROWS[:5])):
        with beam.Pipeline(runner="FnApiRunner") as p:
            passed = p | beam.Create(rows) | PushToHub(repo_id=repo_id, split=split)
            assert_that(passed, equal_to(rows))
    assert sorted(load(repo_id, "default")["n"]) == list(range(5))
    assert sorted(load(repo_id, "default", "test")["n"]) == [0, 1]


def test_a_dry_run_publishes_nothing(hub: HubServer) -> None:
    repo_id = f"{hub.namespace}/dry"
    with Pipeline("dry") as pipeline:
        LoadDataFromDicts(data=ROWS) >> PushToHub(repo_id=repo_id)
    assert len(rows_of(pipeline.dry_run(batch_size=2))) == 2
    assert not any(line.method == "POST" for line in hub.requests)


def test_push_to_hub_alone_pushes_and_yields(hub: HubServer) -> None:
    step = PushToHub(repo_id=f"{hub.namespace}/alone")
    step.load()
    assert next(step.process(ROWS)) == ROWS
    assert load(f"{hub.namespace}/alone", "default").to_list() == ROWS
    other = PushToHub(repo_id=f"{hub.namespace}/alone", split="test")
    assert next(other.process(ROWS[:1])) == ROWS[:1]
    assert load(f"{hub.namespace}/alone", "default").to_list() == ROWS
    assert load(f"{hub.namespace}/alone", "default", "test").to_list() == ROWS[:1]


@pytest.mark.parametrize("load_groups", [None, "sequential_step_execution"])
@pytest.mark.parametrize("where", ["run", "step"])
def test_a_token_that_cannot_write_ends_the_run_before_it_begins(
    hub: HubServer, tmp_path: Path, where: str, load_groups: str | None
) -> None:
    repo_id = f"{hub.namespace}/set"
    hub.add_dataset(repo_id, {"a.txt": b"x"})
    reader = hub.add_user("reader", role="read")
    with Pipeline("refused") as pipeline:
        counted = LoadDataFromDicts(data=ROWS) >> Marks(path=str(tmp_path / "ran"))
        counted >> (
            PushToHub(repo_id=repo_id, token=reader)
            if where == "step"
            else KeepColumns(columns=["n"])
        )
    target = {"repo_id": repo_id, "token": reader} if where == "run" else None
    with pytest.raises(DistilabelUserError, match="can't be written to with this token"):
        pipeline.run(load_groups=load_groups, output_dir=tmp_path / "run", push_to_hub=target)
    assert not (tmp_path / "ran").exists()


def test_a_step_that_cannot_push_is_named(hub: HubServer) -> None:
    hub.add_dataset(f"{hub.namespace}/set", {"a.txt": b"x"})
    reader = hub.add_user("reader", role="read")
    with pytest.raises(DistilabelUserError, match="Step 'mine' .PushToHub.: the dataset"):
        with beam.Pipeline(runner="FnApiRunner") as p:
            push = PushToHub(name="mine", repo_id=f"{hub.namespace}/set", token=reader)
            _ = p | beam.Create(ROWS) | push


def test_a_pull_request_of_a_step(hub: HubServer) -> None:
    repo_id = f"{hub.namespace}/prs"
    hub.add_dataset(repo_id, {"a.txt": b"x"})
    with beam.Pipeline(runner="FnApiRunner") as p:
        push = PushToHub(repo_id=repo_id, create_pr=True, token=hub.add_pr_only_token())
        _ = p | beam.Create(ROWS) | push
    assert len(shards_of(hub, repo_id, "refs/pr/1")) == 1 and not shards_of(hub, repo_id)


# --- what fails on the way ----------------------------------------------------------------------


def write(path: Path, repo_id: str, total: int = 40) -> None:
    with beam.Pipeline(runner="FnApiRunner") as p:
        rows = p | "rows" >> beam.Create(list(numbers(total)))
        few = p | "few" >> beam.Create(list(numbers(3)))
        _ = {"many": rows, "few": few} | WriteDistiset(str(path), hub=repo_id, overwrite=True)


def test_an_answer_lost_at_every_call_in_turn(hub: HubServer, tmp_path: Path) -> None:
    write(tmp_path / "clean", f"{hub.namespace}/clean")
    calls = len(hub.requests)
    for call in range(calls):
        repo_id = f"{hub.namespace}/lost-{call}"
        hub.faults.append(Fault(".*", "", drop=True, when="after", skip=call, times=1))
        try:
            write(tmp_path / f"{call}", repo_id)
        except Exception:  # whatever the runner makes of it: the rerun counts
            hub.clear_faults()
            write(tmp_path / f"{call}", repo_id)
        hub.clear_faults()
        assert titles(hub, repo_id) == [OURS, "initial commit"], f"call {call}"
        found = [row["n"] for row in shards_of(hub, repo_id)["many/train-00000-of-00001.parquet"]]
        assert sorted(found) == list(range(40)), f"call {call}"


def test_workers_send_the_shards_and_the_one_who_commits_sends_none(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = publishing.publish_manifest

    def without_shards(destination: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        for file in Path(path).rglob("*.parquet"):
            file.unlink()
        return commit(destination, path, *args, **kwargs)

    monkeypatch.setattr(publishing, "publish_manifest", without_shards)
    write(tmp_path / "out", f"{hub.namespace}/sent")
    shards = shards_of(hub, f"{hub.namespace}/sent")
    assert sorted(row["n"] for row in shards["many/train-00000-of-00001.parquet"]) == list(
        range(40)
    )


def test_a_pipeline_that_runs_twice_publishes_twice(hub: HubServer, tmp_path: Path) -> None:
    repo_id = f"{hub.namespace}/twice"
    source = tmp_path / "rows.jsonl"
    source.write_text('{"n": 1}\n')
    p = beam.Pipeline(runner="FnApiRunner")
    rows = p | beam.Create([str(source)]) | beam.FlatMap(_lines)
    _ = {"default": rows} | WriteDistiset(str(tmp_path / "out"), hub=repo_id, overwrite=True)
    for numbers_there in ([1], [2, 3]):
        source.write_text("".join(f'{{"n": {n}}}\n' for n in numbers_there))
        p.run().wait_until_finish()
        assert sorted(load(repo_id, "default")["n"]) == numbers_there
    assert titles(hub, repo_id) == [OURS, OURS, "initial commit"]


def _lines(path: str) -> list[Any]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


SCRIPT = textwrap.dedent(
    """
    import sys
    import apache_beam as beam
    from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset

    if __name__ == "__main__":
        path, repo_id = sys.argv[1:]
        with beam.Pipeline(runner="FnApiRunner") as p:
            rows = p | beam.Create([{"n": n} for n in range(100)])
            {"default": rows} | WriteDistiset(path, hub=repo_id, overwrite=True)
    """
)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_is_killed_at_the_commit_leaves_one_commit_after_the_rerun(
    hub: HubServer, tmp_path: Path, when: str
) -> None:
    repo_id = f"{hub.namespace}/killed"
    script = tmp_path / "job.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(tmp_path / "out"), repo_id]
    env = client_env(hub, tmp_path / "home")
    env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    started = threading.Event()
    process: subprocess.Popen[bytes] | None = None

    def kill() -> None:
        assert started.wait(60) and process is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
        if when == "before":
            raise ConnectionError("the one who asked is gone")

    hub.faults.append(Fault("POST", r"/commit/", call=kill, when=when))
    process = subprocess.Popen(command, env=env)
    started.set()
    assert process.wait() == -signal.SIGKILL
    hub.clear_faults()
    committed = titles(hub, repo_id)
    assert committed == ([OURS, "initial commit"] if when == "after" else ["initial commit"])
    # Others commit before the rerun: it has to look back to the launch of the one that died.
    hub.add_files(repo_id, {"notes.txt": b"x"}, title="Theirs")
    subprocess.run(command, env=env, check=True)
    assert titles(hub, repo_id).count(OURS) == 1
    assert sorted(load(repo_id, "default")["n"]) == list(range(100))


def test_a_run_whose_commit_fails_keeps_its_rows(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo_id = f"{hub.namespace}/later"
    hub.faults.append(Fault.commit_in_progress(times=None))
    with pytest.raises(RunFailedError, match="can be pushed again"):
        branches().run(output_dir=tmp_path / "run", push_to_hub=repo_id)
    hub.clear_faults()
    create_distiset(tmp_path / "run").push_to_hub(repo_id)
    assert titles(hub, repo_id) == [OURS, "initial commit"]
    assert len(load(repo_id, "texts")) == len(ROWS)


# --- how much fits ------------------------------------------------------------------------------


def record(number: int, size: int, rows: int) -> ShardRecord:
    return ShardRecord(
        subset="default",
        path=f"{number:06}",
        schema=b"",
        rows=rows,
        bytes=size,
        sha256="",
        groups=[],
        first_row=f"0-{number}",
    )


@pytest.mark.parametrize("most", [1, 2, 7, 90])
@pytest.mark.parametrize("size", [1, 1_000, 250_000_000])
def test_shards_grow_so_that_they_fit_one_commit(most: int, size: int) -> None:
    records = [record(n, size + n % 3, 10 + n % 5) for n in range(1_000)]
    parts, bounds = plan(records, Bounds(256_000_000, 1_000_000), ordered=False, most=most)
    assert len(parts) <= most
    assert [found["path"] for part in parts for found in part] == [r["path"] for r in records]
    for part in parts:
        assert sum(found["bytes"] for found in part) <= bounds.bytes
        assert sum(found["rows"] for found in part) <= bounds.rows


def test_a_result_of_many_shards_is_published_as_few(hub: HubServer, tmp_path: Path) -> None:
    repo_id = f"{hub.namespace}/many"
    with beam.Pipeline(runner="FnApiRunner") as p:
        rows = p | beam.Create(list(numbers(500)))
        write = WriteDistiset(str(tmp_path / "out"), hub=repo_id, max_shard_rows=1)
        _ = {"default": rows} | write
    shards = shards_of(hub, repo_id)
    assert len(shards) <= most_files(1)
    assert sorted(row["n"] for found in shards.values() for row in found) == list(range(500))


def test_what_cannot_be_one_commit_is_refused_before_it_starts() -> None:
    terabyte = 10**12
    check_size(terabyte, 1, "Pipeline 'p'")
    check_size(None, 1, "Pipeline 'p'")
    with pytest.raises(DistilabelUserError, match=r"Pipeline 'p': about 3,0.*several repositories"):
        check_size(3 * terabyte, 1, "Pipeline 'p'")
    with pytest.raises(DistilabelUserError, match="101 subsets"):
        most_files(101)


def test_a_run_that_cannot_be_one_commit_is_refused_before_it_starts(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"a": 1}\n' * 1000)
    monkeypatch.setattr(publishing, "MAX_FILE_BYTES", 10)
    from beam_distilabel.steps import LoadDataFromFileSystem

    with Pipeline("large") as pipeline:
        LoadDataFromFileSystem(data_files=str(source)) >> Marks(path=str(tmp_path / "ran"))
    with pytest.raises(DistilabelUserError, match=r"'large': about 9,000 bytes"):
        pipeline.run(output_dir=tmp_path / "run", push_to_hub=f"{hub.namespace}/large")
    assert not (tmp_path / "ran").exists()
    assert not any("large" in line.path for line in hub.requests)


def test_a_result_that_cannot_be_one_commit_is_kept_and_not_committed(
    hub: HubServer, tmp_path: Path
) -> None:
    from beam_distilabel.hub import HubTarget, open_destination
    from beam_distilabel.transforms.sinks.publishing import Companions, publish_manifest

    destination = open_destination(HubTarget(repo_id=f"{hub.namespace}/large"))
    file = WrittenFile(path="a/x.parquet", rows=1, bytes=30 * 10**9, data_bytes=1, sha256="0" * 64)
    subset = WrittenSubset(rows=1, files=[file], schema={}, arrow_schema="", sample=None)
    with pytest.raises(DistilabelUserError, match=r"30,000,000,000 bytes.*Nothing was published"):
        publish_manifest(destination, str(tmp_path), {"a": subset}, Companions())
    assert titles(hub, destination.repo_id) == ["initial commit"]
