"""One commit, whatever fails on the way: the protocol, call by call."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from pydantic import SecretStr

from beam_distilabel.card.readme import BEGIN
from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.hub import (
    CommitRecord,
    Destination,
    HubTarget,
    Publication,
    as_target,
    commit_once,
    open_destination,
    retrying,
    upload,
)
from tests.hub import Fault, HubServer
from tests.publishing import publication, quick_retries, shard, shards_of, titles  # noqa: F401

pytestmark = pytest.mark.usefixtures("hub_client", "quick_retries")

ROWS = [{"a": 1}, {"a": 2}]
MESSAGE = "Rows of a test"


@pytest.fixture
def small(tmp_path: Path) -> Publication:
    """Three shards in two configs."""
    return publication(
        [
            shard(tmp_path, "one/train-00000-of-00002.parquet", ROWS[:1]),
            shard(tmp_path, "one/train-00001-of-00002.parquet", ROWS[1:]),
            shard(tmp_path, "two/train-00000-of-00001.parquet", [{"b": "x"}]),
        ]
    )


def target(hub: HubServer, name: str = "set", **options: Any) -> HubTarget:
    return HubTarget(repo_id=f"{hub.namespace}/{name}", commit_message=MESSAGE, **options)


def publish(destination: Destination, what: Publication) -> CommitRecord:
    upload(destination, what.files)
    return commit_once(destination, what)


def expected(what: Publication) -> set[str]:
    return {file.path for file in what.files}


KINDS: dict[str, Callable[[int], Fault]] = {
    "500": lambda skip: Fault(".*", "", status=500, skip=skip),
    "503": lambda skip: Fault(".*", "", status=503, skip=skip, times=3),
    "429": lambda skip: Fault(".*", "", status=429, headers={"Retry-After": "0"}, skip=skip),
    "dropped": lambda skip: Fault(".*", "", drop=True, skip=skip),
    "answer lost": lambda skip: Fault(".*", "", drop=True, when="after", skip=skip),
    "409": lambda skip: Fault(".*", "", status=409, skip=skip),
    "412": lambda skip: Fault(".*", "", status=412, skip=skip),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_every_call_in_turn_leaves_one_commit(
    hub: HubServer, small: Publication, kind: str
) -> None:
    publish(open_destination(target(hub, "clean")), small)
    calls = len(hub.requests)
    assert calls > 10
    reruns = 0
    for call in range(calls):
        name = f"faulty-{call}"
        # Contents that the repository has aren't sent again, so every one is new.
        hub.faults.append(KINDS[kind](call))
        destination = None
        try:
            destination = open_destination(target(hub, name))
            publish(destination, small)
        except (DistilabelError, OSError, RuntimeError, ValueError):
            reruns += 1
            hub.clear_faults()
            again = open_destination(target(hub, name))
            if destination is not None:
                again = again.since(destination.base, destination.base_pull_requests)
            publish(again, small)
        assert hub.faults == [] or hub.faults[0].fired, f"call {call} was never made"
        hub.clear_faults()
        repo_id = f"{hub.namespace}/{name}"
        assert titles(hub, repo_id) == [MESSAGE, "initial commit"], f"call {call}"
        assert set(shards_of(hub, repo_id)) == expected(small), f"call {call}"
    # Nearly all are got over without a rerun.
    assert reruns <= {"409": 6, "412": 6}.get(kind, 2), reruns


def test_others_that_commit_in_between_are_waited_for(hub: HubServer, small: Publication) -> None:
    destination = open_destination(target(hub))
    repo_id = destination.repo_id
    hub.faults.append(
        Fault.head_moved(
            lambda: hub.add_files(repo_id, {"theirs.txt": b"x"}, title="Theirs"), times=2
        )
    )
    publish(destination, small)
    assert titles(hub, repo_id) == [MESSAGE, "Theirs", "Theirs", "initial commit"]
    assert "theirs.txt" in hub.files(repo_id)
    assert set(shards_of(hub, repo_id)) == expected(small)


def test_attempts_are_bounded(hub: HubServer, small: Publication) -> None:
    destination = open_destination(target(hub))
    fault = Fault.precondition_failed(times=None)
    hub.faults.append(fault)
    with pytest.raises(DistilabelError, match=r"8 times in vain.*create_pr=True.*run directory"):
        publish(destination, small)
    assert fault.fired == retrying.ATTEMPTS
    assert titles(hub, destination.repo_id) == ["initial commit"]


def test_a_reply_that_never_comes_is_given_up_and_its_commit_found(
    hub: HubServer, small: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = open_destination(target(hub))
    upload(destination, small.files)
    slow = Fault("POST", r"/commit/", delay=60, when="after")
    hub.faults.append(slow)
    monkeypatch.setattr(retrying, "DEADLINE", 1.0)
    commit_once(destination, small)
    slow.release()
    assert titles(hub, destination.repo_id) == [MESSAGE, "initial commit"]


def test_twins_at_once_make_one_commit(hub: HubServer, small: Publication) -> None:
    destination = open_destination(target(hub))
    records: list[CommitRecord] = []
    twins = [
        threading.Thread(target=lambda: records.append(publish(destination, small)))
        for _ in range(4)
    ]
    for twin in twins:
        twin.start()
    for twin in twins:
        twin.join()
    assert len(records) == 4 and len({record.commit for record in records}) == 1
    assert titles(hub, destination.repo_id) == [MESSAGE, "initial commit"]


def test_a_job_that_starts_again_finds_the_commit_though_its_files_differ(
    hub: HubServer, small: Publication, tmp_path: Path
) -> None:
    destination = open_destination(target(hub))
    first = publish(destination, small)
    cut_otherwise = publication([shard(tmp_path, "one/train-00000-of-00001.parquet", ROWS)])
    assert publish(destination, cut_otherwise) == first
    # A new launch with other content is another publication.
    second = publish(open_destination(target(hub)), cut_otherwise)
    assert second.commit != first.commit
    shards = shards_of(hub, destination.repo_id)
    assert shards["one/train-00000-of-00001.parquet"] == ROWS
    assert set(shards) == {"one/train-00000-of-00001.parquet", "two/train-00000-of-00001.parquet"}


def test_windows_are_publications_of_their_own(hub: HubServer, tmp_path: Path) -> None:
    destination = open_destination(target(hub))
    for window in ("2026-01-01T00", "2026-01-01T01"):
        files = [shard(tmp_path, f"one/{window[-2:]}-00000-of-00001.parquet", ROWS)]
        what = publication(files, splits=frozenset((window[-2:],)), window=window)
        assert publish(destination, what) == publish(destination, what)
    assert titles(hub, destination.repo_id) == [MESSAGE, MESSAGE, "initial commit"]
    assert len(shards_of(hub, destination.repo_id)) == 2


def test_the_committer_reads_no_shard(hub: HubServer, small: Publication) -> None:
    destination = open_destination(target(hub))
    upload(destination, small.files)
    for file in small.files:
        Path(file.source).unlink()
    sent = dict(hub.uploaded)
    assert sent == {file.sha256: file.size for file in small.files}
    commit_once(destination, small)
    assert {sha256: hub.uploaded[sha256] for sha256 in sent} == sent
    assert set(shards_of(hub, destination.repo_id)) == expected(small)


def test_a_shard_that_the_hub_has_lost_is_sent_again(hub: HubServer, small: Publication) -> None:
    destination = open_destination(target(hub))
    upload(destination, small.files)
    lost = small.files[0]
    hub.repo(destination.repo_id).blob_path(lost.sha256).unlink()
    commit_once(destination, small)
    assert hub.uploaded[lost.sha256] == 2 * lost.size
    assert set(shards_of(hub, destination.repo_id)) == expected(small)


def test_older_shards_go_and_what_isnt_ours_stays(
    hub: HubServer, small: Publication, tmp_path: Path
) -> None:
    repo_id = f"{hub.namespace}/set"
    card = (
        b"---\nlicense: mit\nconfigs:\n"
        b"- config_name: one\n  data_files:\n  - split: train\n    path: data/train-*\n"
        b"- config_name: theirs\n  data_files: data/other-*.parquet\n---\n# Mine\n"
    )
    hub.add_dataset(
        repo_id,
        {
            "README.md": card,
            "data/train-00000-of-00001.parquet": b"old",
            "data/other-00000-of-00001.parquet": b"theirs",
            "one/train-00007-of-00008.parquet": b"old",
            "one/test-00000-of-00001.parquet": b"old",
            "one/notes.txt": b"mine",
            "other/train-00000-of-00001.parquet": b"theirs",
        },
    )
    publish(open_destination(target(hub)), small)
    left = set(hub.files(repo_id)) - expected(small)
    assert left == {
        ".gitattributes",
        "README.md",
        "pipeline.yaml",
        "data/other-00000-of-00001.parquet",
        "one/notes.txt",
        "other/train-00000-of-00001.parquet",
    }


def test_a_config_of_someone_that_shows_all_files_keeps_none_of_the_older_ones(
    hub: HubServer, small: Publication
) -> None:
    repo_id = f"{hub.namespace}/set"
    card = b"---\nconfigs:\n- config_name: all\n  data_files: '**/*.parquet'\n---\n"
    old = {"one/train-00002-of-00003.parquet": b"old", "more/x-00000-of-00001.parquet": b"theirs"}
    hub.add_dataset(repo_id, {"README.md": card, **old})
    publish(open_destination(target(hub)), small)
    left = {path for path in hub.files(repo_id) if path.endswith(".parquet")} - expected(small)
    assert left == {"more/x-00000-of-00001.parquet"}


def test_content_that_was_removed_since_is_committed_again(
    hub: HubServer, small: Publication
) -> None:
    destination = open_destination(target(hub))
    publish(destination, small)
    hub.add_files(destination.repo_id, dict.fromkeys(expected(small), b"other"), title="Theirs")
    again = destination.again()
    publish(again, small)
    assert titles(hub, destination.repo_id) == [MESSAGE, "Theirs", MESSAGE, "initial commit"]
    publish(again, small)
    assert titles(hub, destination.repo_id).count(MESSAGE) == 2


def test_what_an_earlier_publication_had_beside_its_rows_goes(
    hub: HubServer, small: Publication
) -> None:
    repo_id = f"{hub.namespace}/set"
    files = {"artifacts/a/b/c.txt": b"old", "report.json": b"{}", "pipeline.log": b"", "n.txt": b""}
    hub.add_dataset(repo_id, {**files, "README.md": f"{BEGIN}\nOurs.\n".encode()})
    publish(open_destination(target(hub)), small)
    left = set(hub.files(repo_id)) - expected(small)
    assert left == {".gitattributes", "README.md", "pipeline.yaml", "n.txt"}
    # Where nothing of ours was, such files are someone's.
    hub.add_dataset(f"{repo_id}-2", files)
    publish(open_destination(target(hub, "set-2")), small)
    assert set(files) <= set(hub.files(f"{repo_id}-2"))


def test_many_artifacts_are_archives(hub: HubServer, small: Publication, tmp_path: Path) -> None:
    artifacts = {}
    for number in range(150):
        source = tmp_path / "made" / f"{number}.txt"
        source.parent.mkdir(exist_ok=True)
        source.write_text(f"{number}")
        artifacts[f"artifacts/plot/{number % 2}/{number}.txt"] = str(source)
    destination = open_destination(target(hub))
    publish(destination, replace(small, artifacts=artifacts))
    files = hub.files(destination.repo_id)
    assert len(files) < 15
    packed = zipfile.ZipFile(io.BytesIO(files["artifacts/plot/1.zip"]))
    assert len(packed.namelist()) == 75 and packed.read("149.txt") == b"149"


def test_one_split_is_replaced_alone(hub: HubServer, tmp_path: Path) -> None:
    repo_id = f"{hub.namespace}/set"
    names = [f"default/{split}-00000-of-00001.parquet" for split in ("train", "test")]
    hub.add_dataset(repo_id, {names[0]: b"old", names[1]: b"kept"})
    new = publication([shard(tmp_path, names[0], ROWS)], splits=frozenset(("train",)))
    publish(open_destination(target(hub)), new)
    assert hub.files(repo_id)[names[1]] == b"kept"
    assert hub.files(repo_id)[names[0]] != b"old"


# --- where to -----------------------------------------------------------------------------------


def test_a_branch_is_made_and_main_left_alone(hub: HubServer, small: Publication) -> None:
    destination = open_destination(target(hub, revision="v2"))
    publish(destination, small)
    assert set(shards_of(hub, destination.repo_id, "v2")) == expected(small)
    assert shards_of(hub, destination.repo_id) == {}


def test_a_pull_request_is_opened_once(hub: HubServer, small: Publication) -> None:
    owner = hub.namespace
    hub.add_dataset(f"{owner}/set", {"a.txt": b"x"})
    token = SecretStr(hub.add_pr_only_token())
    destination = open_destination(target(hub, create_pr=True, token=token))
    hub.faults.append(Fault("POST", r"/commit/", drop=True, when="after"))
    record = publish(destination, small)
    assert record.pull_request == "refs/pr/1"
    again = publish(destination, small)
    assert again == record
    pull_requests = [ref for ref in hub.refs(destination.repo_id) if ref.startswith("refs/pr/")]
    assert pull_requests == ["refs/pr/1"]
    assert set(shards_of(hub, destination.repo_id, "refs/pr/1")) == expected(small)
    assert shards_of(hub, destination.repo_id) == {}


def test_of_twins_pull_requests_the_first_stays_open(hub: HubServer, small: Publication) -> None:
    destination = open_destination(target(hub, create_pr=True))
    twins = [destination, replace(destination, run="another", base_pull_requests=frozenset())]
    upload(destination, small.files)
    # Both looked before either had committed.
    hub.faults.append(
        Fault("POST", r"/commit/", call=lambda: commit_once(twins[1], small), when="before")
    )
    record = commit_once(twins[0], small)
    assert record.pull_request == "refs/pr/1"
    found = list(HfApi().get_repo_discussions(destination.repo_id, repo_type="dataset"))
    assert sorted((pr.num, pr.status) for pr in found) == [(1, "open"), (2, "closed")]


# --- refused before anything runs ---------------------------------------------------------------


def test_a_token_that_cannot_write_is_refused_at_once(hub: HubServer) -> None:
    hub.add_dataset(f"{hub.namespace}/set", {"a.txt": b"x"})
    reader = SecretStr(hub.add_user("reader", role="read"))
    with pytest.raises(DistilabelUserError, match=r"can't be written to with this token"):
        open_destination(target(hub, token=reader))
    only_prs = SecretStr(hub.add_pr_only_token())
    with pytest.raises(DistilabelUserError, match=r"create_pr=True"):
        open_destination(target(hub, token=only_prs))
    with pytest.raises(DistilabelUserError, match=r"no right to create it"):
        open_destination(HubTarget(repo_id="someone-else/new"))
    expired = hub.add_user("expired")
    hub.expire(expired)
    for name in ("set", "unknown"):
        with pytest.raises(DistilabelUserError, match=r"invalid or has expired.*hf auth login"):
            open_destination(target(hub, name, token=SecretStr(expired)))


def test_without_a_token_it_is_said_how_to_get_one(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(DistilabelUserError, match=r"hf auth login.*HF_TOKEN"):
        open_destination(target(hub))


def test_a_token_that_expires_while_the_job_runs_is_an_error_that_says_so(
    hub: HubServer, small: Publication
) -> None:
    token = hub.add_user(hub.namespace)
    destination = open_destination(target(hub, token=SecretStr(token)))
    upload(destination, small.files)
    hub.expire(token)
    for step in (upload, commit_once):
        what: Any = small.files if step is upload else small
        with pytest.raises(DistilabelUserError, match=r"was refused.*still valid"):
            step(destination, what)


def test_a_tag_or_commit_is_no_branch(hub: HubServer) -> None:
    hub.add_dataset(f"{hub.namespace}/set", {"a.txt": b"x"})
    HfApi().create_tag(f"{hub.namespace}/set", tag="v1", repo_type="dataset")
    head = hub.refs(f"{hub.namespace}/set")["refs/heads/main"]
    for revision in ("v1", head):
        with pytest.raises(DistilabelUserError, match="is a tag or a commit; name a branch"):
            open_destination(target(hub, revision=revision))


def test_a_token_with_the_end_of_a_line_is_a_token(hub: HubServer, small: Publication) -> None:
    destination = open_destination(target(hub, token=SecretStr(f"{hub.token}\n")))
    publish(destination, small)
    assert titles(hub, destination.repo_id) == [MESSAGE, "initial commit"]


def test_what_cannot_be_sent_at_all_is_no_reason_to_wait(
    hub: HubServer, caplog: pytest.LogCaptureFixture
) -> None:
    odd = SecretStr("hf_" + "a" * 30 + "\nb")
    with pytest.raises(DistilabelUserError) as error:
        open_destination(target(hub, token=odd))
    assert "hf_" not in str(error.value) and "hf_" not in caplog.text
    assert not hub.requests


@pytest.mark.parametrize(
    "value", [{"repo_id": "a/b/c"}, "-x-/..", {"repo_id": "a/b", "privat": True}, 5, ""]
)
def test_a_target_that_is_none_is_an_error(value: Any) -> None:
    with pytest.raises(DistilabelUserError, match="WriteDistiset: the Hub's target"):
        as_target(value, "WriteDistiset")


def test_the_token_is_in_no_text(hub: HubServer) -> None:
    secret = SecretStr(hub.token)
    destination = open_destination(target(hub, token=secret))
    shown = f"{destination!r} {destination.target!r} {destination.target.model_dump()}"
    assert hub.token not in shown
