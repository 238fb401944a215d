"""The test Hub's tokens, discussions and slow or ill-timed replies, met by unmodified clients."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import huggingface_hub
import pytest
from datasets import Dataset, load_dataset
from huggingface_hub import (
    CommitOperationAdd,
    DiscussionComment,
    DiscussionCommit,
    HfApi,
    HfFileSystem,
    get_session,
)
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import _http

from tests.hub import Fault, HubServer, client_env

pytestmark = pytest.mark.usefixtures("hub_client")
BLOB = b"\0" + b"content of a shard" * 1000  # the zero byte makes it an LFS file
SHA256 = hashlib.sha256(BLOB).hexdigest()


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.url, token=hub.token)


@pytest.fixture
def repo_id(hub: HubServer) -> str:
    """A dataset with one file."""
    name = f"{hub.namespace}/set"
    hub.add_dataset(name, {"train.jsonl": b'{"a": 1}\n'})
    return name


@pytest.fixture
def impatient() -> Iterator[None]:
    """Clients wait 0.3 s for an answer; `huggingface_hub` itself waits for a commit for ever."""
    make = _http.default_client_factory

    def factory() -> httpx2.Client:
        client = make()
        client.timeout = httpx2.Timeout(0.3)
        return client

    huggingface_hub.set_client_factory(factory)
    yield
    huggingface_hub.set_client_factory(make)


def commit(api: HfApi, repo_id: str, path: str = "a.bin", **options: Any) -> str:
    addition = CommitOperationAdd(path_in_repo=path, path_or_fileobj=BLOB)
    info = api.create_commit(
        repo_id, [addition], commit_message="mine", repo_type="dataset", **options
    )
    return info.oid


def status_of(error: pytest.ExceptionInfo[HfHubHTTPError]) -> int:
    return error.value.response.status_code


# -- slow replies ------------------------------------------------------------------------------


def test_a_slow_reply_to_a_commit_that_was_made(
    hub: HubServer, api: HfApi, repo_id: str, impatient: None
) -> None:
    hub.faults.append(Fault("POST", r"/commit/", delay=60, when="after"))
    with pytest.raises(httpx2.ReadTimeout):
        commit(api, repo_id)
    assert hub.files(repo_id)["a.bin"] == BLOB
    assert [line.status for line in hub.requests if "/commit/" in line.path] == [200]


def test_a_commit_that_is_made_after_the_client_gave_up(
    hub: HubServer, api: HfApi, repo_id: str, impatient: None
) -> None:
    slow = Fault("POST", r"/commit/", delay=60)
    hub.faults.append(slow)
    with pytest.raises(httpx2.ReadTimeout):
        commit(api, repo_id)
    assert "a.bin" not in hub.files(repo_id) and not slow.worked.is_set()
    slow.release()
    assert slow.worked.wait(30)
    assert hub.files(repo_id)["a.bin"] == BLOB


def test_a_slow_download_is_asked_for_again(
    hub: HubServer, api: HfApi, repo_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    hub.add_files(repo_id, {"a.parquet": BLOB}, title="a shard")
    hub.faults.append(Fault("GET", "/objects/", delay=60))
    local = api.hf_hub_download(repo_id, "a.parquet", repo_type="dataset")
    assert Path(local).read_bytes() == BLOB
    hub.clear_faults()


# -- rates and conflicts -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"retry_after_seconds": 7}, 8.0),
        ({"reset_seconds": 3}, 4.0),
        ({"retry_after_seconds": 7, "reset_seconds": 3}, 4.0),
        ({}, 1.0),
    ],
)
def test_the_client_waits_as_long_as_a_429_says(
    hub: HubServer,
    api: HfApi,
    repo_id: str,
    monkeypatch: pytest.MonkeyPatch,
    told: dict[str, int],
    expected: float,
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    hub.faults.append(Fault.rate_limited("POST", "/preupload/", **told))
    commit(api, repo_id)
    assert waits == [expected]


def test_a_429_to_a_commit_carries_what_to_wait_for(
    hub: HubServer, api: HfApi, repo_id: str
) -> None:
    hub.faults.append(Fault.rate_limited("POST", "/commit/", reset_seconds=55))
    with pytest.raises(HfHubHTTPError) as raised:
        commit(api, repo_id)
    info = _http.parse_ratelimit_headers(raised.value.response.headers)
    assert info is not None
    assert (info.remaining, info.reset_in_seconds, info.limit) == (0, 55, 1000)


def test_409_leaves_the_head_and_412_comes_after_it_moved(
    hub: HubServer, api: HfApi, repo_id: str
) -> None:
    head = hub.commits(repo_id)[0].id
    hub.faults += [
        Fault.commit_in_progress(),
        Fault.head_moved(lambda: hub.add_files(repo_id, {"b.txt": b"theirs"}, title="theirs")),
        Fault.precondition_failed(),
    ]
    with pytest.raises(HfHubHTTPError, match="Another commit operation is in progress") as raised:
        commit(api, repo_id, parent_commit=head)
    assert status_of(raised) == 409 and hub.commits(repo_id)[0].id == head

    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as raised:
        commit(api, repo_id, parent_commit=head)
    assert status_of(raised) == 412
    assert [item.title for item in hub.commits(repo_id)][:2] == ["theirs", "add files"]

    moved = hub.commits(repo_id)[0].id
    with pytest.raises(HfHubHTTPError) as raised:
        commit(api, repo_id, parent_commit=moved)
    assert status_of(raised) == 412 and hub.commits(repo_id)[0].id == moved
    assert commit(api, repo_id, parent_commit=moved) == hub.commits(repo_id)[0].id


def test_of_many_commits_onto_one_parent_exactly_one_is_made(
    hub: HubServer, api: HfApi, repo_id: str
) -> None:
    parent = hub.commits(repo_id)[0].id
    together = threading.Barrier(6)
    # All six have been taken in before the first is looked at.
    hub.faults.append(Fault("POST", "/commit/", call=lambda: together.wait(30), times=6))

    def attempt(index: int) -> int:
        try:
            commit(api, repo_id, f"{index}.bin", parent_commit=parent)
        except HfHubHTTPError as error:
            return error.response.status_code
        return 200

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(attempt, range(6))) == [200, 412, 412, 412, 412, 412]
    assert [item.title for item in hub.commits(repo_id)][:2] == ["mine", "add files"]
    assert len(hub.files(repo_id)) == 3


# -- what goes over the wire -------------------------------------------------------------------


def test_bytes_are_counted_each_time_they_are_sent(
    hub: HubServer, api: HfApi, repo_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.faults.append(Fault("PUT", "/objects/", status=500, when="after"))
    commit(api, repo_id)
    assert hub.uploaded[SHA256] == 2 * len(BLOB)  # the first answer was lost
    commit(api, repo_id, "again.bin")
    assert hub.uploaded[SHA256] == 2 * len(BLOB)  # known by its hash
    small = b"text"
    api.upload_file(path_or_fileobj=small, path_in_repo="t", repo_id=repo_id, repo_type="dataset")
    assert hub.uploaded[hashlib.sha256(small).hexdigest()] == len(small)

    monkeypatch.setattr(hub.context, "lfs_part_size", 5000)
    other = b"\0" * 12_000
    api.upload_file(path_or_fileobj=other, path_in_repo="o", repo_id=repo_id, repo_type="dataset")
    assert hub.uploaded[hashlib.sha256(other).hexdigest()] == len(other)

    assert SHA256 not in hub.downloaded
    fs = HfFileSystem(endpoint=hub.url, token=hub.token)
    path = f"datasets/{repo_id}/a.bin"
    assert fs.info(path)["size"] == len(BLOB)
    assert SHA256 not in hub.downloaded
    url, asked = f"{hub.url}/datasets/{repo_id}/resolve/main/a.bin", {"Range": "bytes=10-109"}
    assert get_session().get(url, headers=asked).content == BLOB[10:110]
    assert hub.downloaded[SHA256] == 100
    api.hf_hub_download(repo_id, "a.bin", repo_type="dataset")
    assert hub.downloaded[SHA256] == 100 + len(BLOB)


def test_a_process_killed_during_its_upload_leaves_nothing_behind(
    hub: HubServer, repo_id: str, tmp_path: Path
) -> None:
    (tmp_path / "a.bin").write_bytes(BLOB)
    code = (
        "import sys, huggingface_hub as h; print('ready', flush=True); sys.stdin.readline();"
        f"h.upload_file(path_or_fileobj={str(tmp_path / 'a.bin')!r}, path_in_repo='a.bin',"
        f" repo_id={repo_id!r}, repo_type='dataset')"
    )

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env=client_env(hub, tmp_path / "home"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    with start() as process:
        hub.faults.append(
            Fault("PUT", "/objects/", call=lambda: os.kill(process.pid, signal.SIGKILL))
        )
        process.communicate("go\n", timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert len(hub.commits(repo_id)) == 2 and "a.bin" not in hub.files(repo_id)
    with start() as process:
        process.communicate("go\n", timeout=60)
    assert process.returncode == 0
    assert len(hub.commits(repo_id)) == 3 and hub.files(repo_id)["a.bin"] == BLOB


def test_a_body_that_breaks_off_is_not_kept(
    hub: HubServer, repo_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    batch = get_session().post(
        f"{hub.url}/datasets/{repo_id}.git/info/lfs/objects/batch",
        json={"operation": "upload", "objects": [{"oid": SHA256, "size": len(BLOB)}]},
        headers={"Authorization": f"Bearer {hub.token}"},
    )
    target = urlsplit(batch.json()["objects"][0]["actions"]["upload"]["href"])
    half = BLOB[: len(BLOB) // 2]
    head = f"PUT {target.path}?{target.query} HTTP/1.1\r\nHost: x\r\n"
    with socket.create_connection((target.hostname, target.port)) as connection:
        connection.sendall(f"{head}Content-Length: {len(BLOB)}\r\n\r\n".encode() + half)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(30)
        assert b" 200 " not in connection.recv(1000)
    assert 0 <= hub.uploaded[SHA256] <= len(half)
    assert not hub.repo(repo_id).has_blob(SHA256)
    assert "Traceback" not in caplog.text


# -- expired tokens ----------------------------------------------------------------------------


def create_repo(api: HfApi, repo_id: str) -> None:
    api.create_repo(f"{repo_id}-new", repo_type="dataset")


def create_known_repo(api: HfApi, repo_id: str) -> None:
    api.create_repo(repo_id, repo_type="dataset", exist_ok=True)


def list_tree(api: HfApi, repo_id: str) -> None:
    list(api.list_repo_tree(repo_id, repo_type="dataset"))


def list_commits(api: HfApi, repo_id: str) -> None:
    api.list_repo_commits(repo_id, repo_type="dataset")


def check_access(api: HfApi, repo_id: str) -> None:
    api.auth_check(repo_id, repo_type="dataset", write=True)


@pytest.mark.parametrize(
    ("path", "use", "kind"),
    [
        ("/whoami-v2", lambda api, _: api.whoami(), HfHubHTTPError),
        ("/repos/create", create_repo, HfHubHTTPError),
        ("/repos/create", create_known_repo, HfHubHTTPError),
        ("/auth-check", check_access, RepositoryNotFoundError),
        ("/preupload/", commit, RepositoryNotFoundError),
        ("/info/lfs/objects/batch", commit, HfHubHTTPError),
        ("/info/lfs/objects/verify", commit, RuntimeError),
        ("/commit/", commit, RepositoryNotFoundError),
        ("/tree/", list_tree, RepositoryNotFoundError),
        ("/commits/", list_commits, RepositoryNotFoundError),
    ],
)
def test_a_token_that_expires_is_401_from_that_request_on(
    hub: HubServer,
    api: HfApi,
    repo_id: str,
    path: str,
    use: Callable[[HfApi, str], object],
    kind: type[Exception],
) -> None:
    hub.faults.append(Fault("GET|POST", re.escape(path), call=lambda: hub.expire(hub.token)))
    with pytest.raises((HfHubHTTPError, RuntimeError)) as raised:
        use(api, repo_id)
    assert type(raised.value) is kind
    # The client wraps what goes wrong while it uploads.
    error = raised.value.__cause__ if kind is RuntimeError else raised.value
    assert isinstance(error, HfHubHTTPError) and error.response.status_code == 401
    first = next(line for line in hub.requests if path in line.path)
    assert first.status == 401 and len(hub.commits(repo_id)) == 2
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        api.whoami()
    # A fresh token of the same user goes on where the old one stopped.
    use(HfApi(endpoint=hub.url, token=hub.add_user(hub.namespace)), repo_id)


def test_the_client_sees_over_https_what_it_sees_here(hub: HubServer, repo_id: str) -> None:
    hub.expire(hub.token)
    headers = {"Authorization": f"Bearer {hub.token}"}
    answer = get_session().get(f"{hub.url}/api/datasets/{repo_id}", headers=headers)
    request = httpx2.Request("GET", f"https://huggingface.co/api/datasets/{repo_id}")
    with pytest.raises(RepositoryNotFoundError, match='"test" is expired'):
        _http.hf_raise_for_status(
            httpx2.Response(401, headers=answer.headers, content=answer.content, request=request)
        )
    with pytest.raises(KeyError):
        hub.expire("hf_unknown")


# -- tokens that may only open pull requests ---------------------------------------------------


def test_whoami_shows_what_a_fine_grained_token_may(hub: HubServer) -> None:
    who = HfApi(endpoint=hub.url, token=hub.add_pr_only_token()).whoami()
    token = who["auth"]["accessToken"]
    assert (who["name"], token["role"]) == (hub.namespace, "fineGrained")
    (scope,) = token["fineGrained"]["scoped"]
    assert scope["entity"]["type"] == "user" and scope["entity"]["name"] == hub.namespace
    assert scope["permissions"] == ["repo.content.read", "discussion.write"]
    assert token["fineGrained"]["global"] == ["discussion.write"]


def test_a_pr_only_token_reads_and_proposes_but_changes_nothing(
    hub: HubServer, repo_id: str
) -> None:
    api = HfApi(endpoint=hub.url, token=hub.add_pr_only_token())
    private = f"{hub.namespace}/private"
    hub.add_dataset(private, {"train.jsonl": b'{"a": 2}\n'}, private=True)
    for name, value in {repo_id: 1, private: 2}.items():
        loaded = load_dataset(name, split="train", token=api.token)
        assert loaded["a"] == [value]
    refused: list[Callable[[], object]] = [
        lambda: commit(api, repo_id),
        lambda: api.preupload_lfs_files(
            repo_id, [CommitOperationAdd("a.bin", BLOB)], repo_type="dataset"
        ),
        lambda: api.auth_check(repo_id, repo_type="dataset", write=True),
        lambda: api.create_repo(f"{repo_id}-new", repo_type="dataset"),
        lambda: api.create_branch(repo_id, branch="dev", repo_type="dataset"),
        lambda: api.create_tag(repo_id, tag="v1", repo_type="dataset"),
        lambda: api.delete_repo(repo_id, repo_type="dataset"),
        lambda: api.update_repo_settings(repo_id, private=True, repo_type="dataset"),
    ]
    for use in refused:
        with pytest.raises(HfHubHTTPError) as raised:
            use()
        assert status_of(raised) == 403
    batch = get_session().post(
        f"{hub.url}/datasets/{repo_id}.git/info/lfs/objects/batch",
        json={"objects": [{"oid": SHA256, "size": len(BLOB)}], "ref": {"name": "main"}},
        headers={"Authorization": f"Bearer {api.token}"},
    )
    assert batch.status_code == 403
    api.create_repo(repo_id, repo_type="dataset", exist_ok=True)  # it exists: not refused

    head = hub.commits(repo_id)
    commit(api, repo_id, create_pr=True)
    commit(api, repo_id, "b.bin", revision="refs/pr/1")  # its own pull request
    assert hub.commits(repo_id) == head and not hub.uploaded.keys() - {SHA256}
    assert {"a.bin", "b.bin"} <= set(hub.files(repo_id, "refs/pr/1"))
    Dataset.from_dict({"a": [3]}).push_to_hub(private, token=api.token, create_pr=True)
    assert load_dataset(private, split="train", revision="refs/pr/1")["a"] == [3]

    foreign = f"{hub.namespace}-else/set"
    hub.add_dataset(foreign, {"a.txt": b"1"})
    commit(api, foreign, create_pr=True)
    stranger = HfApi(endpoint=hub.url, token=hub.add_user(f"{hub.namespace}-third"))
    with pytest.raises(HfHubHTTPError) as raised:
        commit(stranger, foreign, revision="refs/pr/1")
    assert status_of(raised) == 403


def test_a_pr_only_token_that_meets_412_for_ever(hub: HubServer, repo_id: str) -> None:
    api = HfApi(endpoint=hub.url, token=hub.add_pr_only_token(endless_412=True))
    for _ in range(3):
        head = api.repo_info(repo_id, repo_type="dataset").sha
        with pytest.raises(HfHubHTTPError, match="A commit has happened since") as raised:
            commit(api, repo_id, parent_commit=head)
        assert status_of(raised) == 412
    assert hub.uploaded[SHA256] == len(BLOB) and len(hub.commits(repo_id)) == 2
    with pytest.raises(HfHubHTTPError) as raised:
        api.auth_check(repo_id, repo_type="dataset", write=True)
    assert status_of(raised) == 403
    commit(api, repo_id, create_pr=True)
    assert hub.files(repo_id, "refs/pr/1")["a.bin"] == BLOB


def test_fine_grained_tokens_may_what_their_permissions_say(hub: HubServer, repo_id: str) -> None:
    def token(*permissions: str) -> HfApi:
        made = hub.add_user(hub.namespace, role="fineGrained", permissions=permissions)
        return HfApi(endpoint=hub.url, token=made)

    commit(token("repo.write"), repo_id)
    with pytest.raises(HfHubHTTPError) as raised:
        commit(token("repo.content.read"), repo_id, create_pr=True)
    assert status_of(raised) == 403
    hub.repo(repo_id).private = True
    with pytest.raises(RepositoryNotFoundError):
        token("discussion.write").repo_info(repo_id, repo_type="dataset")


# -- discussions -------------------------------------------------------------------------------


def test_pull_requests_are_listed_read_and_closed(hub: HubServer, api: HfApi, repo_id: str) -> None:
    proposed = api.create_commit(
        repo_id,
        [CommitOperationAdd("a.bin", BLOB)],
        commit_message="Add a",
        commit_description="its reason",
        create_pr=True,
        repo_type="dataset",
    )
    drafted = api.create_pull_request(repo_id, title="Later", repo_type="dataset")
    talk = api.create_discussion(repo_id, title="Why?", description="I ask", repo_type="dataset")
    assert (proposed.pr_num, drafted.num, talk.num) == (1, 2, 3)
    assert (drafted.status, drafted.is_pull_request, talk.is_pull_request) == ("draft", True, False)

    def listed(**filters: Any) -> list[tuple[int, str]]:
        found = api.get_repo_discussions(repo_id, repo_type="dataset", **filters)
        return [(item.num, item.status) for item in found]

    assert listed() == [(3, "open"), (2, "draft"), (1, "open")]
    assert listed(discussion_type="pull_request") == [(2, "draft"), (1, "open")]
    assert listed(author="nobody") == []
    details = api.get_discussion_details(repo_id, 1, repo_type="dataset")
    assert (details.title, details.author, details.target_branch) == (
        "Add a",
        hub.namespace,
        "refs/heads/main",
    )
    assert details.git_reference == "refs/pr/1" and details.conflicting_files == []
    assert sorted(event.type for event in details.events) == ["comment", "commit"]
    assert [event.oid for event in details.events if isinstance(event, DiscussionCommit)] == [
        proposed.oid
    ]

    api.comment_discussion(repo_id, 1, "and more", repo_type="dataset")
    renamed = api.rename_discussion(repo_id, 1, "Add all", repo_type="dataset")
    assert (renamed.old_title, renamed.new_title) == ("Add a", "Add all")
    closed = api.change_discussion_status(
        repo_id, 1, "closed", comment="superseded", repo_type="dataset"
    )
    assert closed.new_status == "closed"
    assert listed(discussion_status="closed") == [(1, "closed")]
    details = api.get_discussion_details(repo_id, 1, repo_type="dataset")
    assert details.title == "Add all"
    texts = [event.content for event in details.events if isinstance(event, DiscussionComment)]
    assert texts == ["its reason", "and more", "superseded"]
    with pytest.raises(HfHubHTTPError, match="404"):
        api.get_discussion_details(repo_id, 9, repo_type="dataset")


def test_a_pull_request_is_merged_unless_files_conflict(
    hub: HubServer, api: HfApi, repo_id: str
) -> None:
    proposer = HfApi(endpoint=hub.url, token=hub.add_user(f"{hub.namespace}-guest"))
    commit(proposer, repo_id, "a.bin", create_pr=True)
    commit(proposer, repo_id, "b.bin", create_pr=True)
    hub.add_files(repo_id, {"b.bin": b"theirs", "c.txt": b"kept"}, title="theirs")
    for use in (
        lambda: proposer.merge_pull_request(repo_id, 1, repo_type="dataset"),
        lambda: HfApi(
            endpoint=hub.url, token=hub.add_user(f"{hub.namespace}-third")
        ).change_discussion_status(repo_id, 1, "closed", repo_type="dataset"),
    ):
        with pytest.raises(HfHubHTTPError) as raised:
            use()
        assert status_of(raised) == 403
    api.merge_pull_request(repo_id, 1, repo_type="dataset")
    details = api.get_discussion_details(repo_id, 1, repo_type="dataset")
    assert (details.status, details.merge_commit_oid) == ("merged", hub.commits(repo_id)[0].id)
    assert hub.files(repo_id)["a.bin"] == BLOB and hub.files(repo_id)["c.txt"] == b"kept"
    conflicting = api.get_discussion_details(repo_id, 2, repo_type="dataset")
    assert conflicting.conflicting_files == ["b.bin"]
    with pytest.raises(HfHubHTTPError, match="conflicts"):
        api.merge_pull_request(repo_id, 2, repo_type="dataset")


def test_discussions_are_paged(hub: HubServer, api: HfApi, repo_id: str) -> None:
    for index in range(12):
        api.create_discussion(repo_id, title=f"Number {index}", repo_type="dataset")
    found = list(api.get_repo_discussions(repo_id, repo_type="dataset"))
    assert [item.num for item in found] == list(range(12, 0, -1))
