"""Publishing from Flink: workers send their shards, one of them commits, and one may be killed."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import apache_beam as beam
import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_distilabel.hub import HubTarget
from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer
from beam_distilabel.secrets.references import SecretReference
from beam_distilabel.steps import KeepColumns, LoadDataFromFileSystem
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset
from tests.flink.usage import worker_pids
from tests.hub import Fault, HubServer
from tests.publishing import titles

pytestmark = pytest.mark.usefixtures("hub_client")

ROWS = 20_000
SECONDS = 120.0
TITLE = "From Flink"


def publish(flink: FlinkJobServer, hub: HubServer, folder: Path) -> str:
    """Run a job that publishes rows as two subsets; the repository."""
    source = folder / "rows.parquet"
    if not source.exists():
        table = pa.table({"n": range(ROWS), "text": [f"row {n}" for n in range(ROWS)]})
        pq.write_table(table, source, row_group_size=2_000)
    # The session's workers are older than this test's user: nothing but a file tells them of it.
    token = folder / "token"
    token.write_text(hub.token)
    target = HubTarget(
        repo_id=f"{hub.namespace}/flink",
        commit_message=TITLE,
        token=SecretReference(f"file:{token}"),
    )
    pipeline = flink.pipeline()
    rows = pipeline | LoadDataFromFileSystem(data_files=str(source))
    few = rows | "Few" >> beam.Filter(lambda row: row["n"] < 100)
    subsets = {"all": rows | KeepColumns(columns=["n", "text"]), "few": few}
    _ = subsets | WriteDistiset(
        str(folder / "result"), hub=target, overwrite=True, max_shard_rows=3_000
    )
    flink.run(pipeline, SECONDS)
    return target.repo_id


def check(hub: HubServer, repo_id: str) -> None:
    assert titles(hub, repo_id) == [TITLE, "initial commit"]
    for name, total in (("all", ROWS), ("few", 100)):
        found = datasets.load_dataset(repo_id, name, split="train")
        assert sorted(found["n"]) == list(range(total))


def test_two_subsets_are_published_in_one_commit(
    flink: FlinkJobServer, hub: HubServer, tmp_path: Path
) -> None:
    repo_id = publish(flink, hub, tmp_path)
    check(hub, repo_id)
    shards = [data for path, data in hub.files(repo_id).items() if path.endswith(".parquet")]
    assert len(shards) > 5
    # Every shard went over the wire once: the one who commits sends none.
    sent = hub.uploaded
    assert [sent[hashlib.sha256(shard).hexdigest()] for shard in shards] == list(map(len, shards))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_is_killed_at_the_commit_leaves_one_commit_after_the_rerun(
    flink: FlinkJobServer, hub: HubServer, tmp_path: Path, when: str
) -> None:
    def kill() -> None:
        for pid in worker_pids(flink):
            os.kill(pid, signal.SIGKILL)
        if when == "before":
            raise ConnectionError("the one who asked is gone")

    hub.faults.append(Fault("POST", r"/commit/", call=kill, when=when))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="the job"):
        publish(flink, hub, tmp_path)
    hub.clear_faults()
    repo_id = f"{hub.namespace}/flink"
    assert titles(hub, repo_id) == [TITLE, "initial commit"][when == "before" :]
    publish(flink, hub, tmp_path)
    check(hub, repo_id)
