"""The test Hub, driven by the unmodified clients over HTTP."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import (
    Dataset,
    DatasetDict,
    get_dataset_config_names,
    load_dataset,
    load_dataset_builder,
)
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    get_session,
)
from huggingface_hub.errors import (
    BadRequestError,
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from tests.hub import Fault, HubServer, Request, client_env

pytestmark = pytest.mark.usefixtures("hub_client")


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.url, token=hub.token)


@pytest.fixture
def repo_id(hub: HubServer, api: HfApi) -> str:
    """An empty dataset repository."""
    name = f"{hub.namespace}/set"
    api.create_repo(name, repo_type="dataset")
    return name


def parquet(rows: int, row_group_size: int = 1000) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"x": list(range(rows))}), buffer, row_group_size=row_group_size)
    return buffer.getvalue()


def add(path: str, content: bytes) -> CommitOperationAdd:
    return CommitOperationAdd(path_in_repo=path, path_or_fileobj=content)


def asked(hub: HubServer, method: str, part: str) -> list[Request]:
    return [line for line in hub.requests if line.method == method and part in line.path]


# -- datasets ----------------------------------------------------------------------------------


def test_a_dataset_dict_of_two_configs_comes_back(hub: HubServer, hub_client: Path) -> None:
    name = f"{hub.namespace}/two-configs"
    train, test = Dataset.from_dict({"x": [1, 2, 3]}), Dataset.from_dict({"x": [4]})
    DatasetDict(train=train, test=test).push_to_hub(name, config_name="one")
    DatasetDict(train=test).push_to_hub(name, config_name="two", commit_message="Add two")

    assert get_dataset_config_names(name) == ["one", "two"]
    one = load_dataset(name, "one")
    assert one["train"]["x"] == [1, 2, 3] and one["test"]["x"] == [4]
    streamed = load_dataset(name, "two", split="train", streaming=True)
    assert list(streamed) == [{"x": 4}]
    assert load_dataset_builder(name, "one").info.splits["train"].num_examples == 3

    commits = hub.commits(name)
    assert [commit.message for commit in commits] == ["Add two", "Upload dataset", "initial commit"]
    assert [commit.parents for commit in commits] == [(commits[1].id,), (commits[2].id,), ()]
    assert "one/train-00000-of-00001.parquet" in hub.files(name)
    # The caches are the test's own.
    assert any((hub_client / "hub").iterdir()) and any((hub_client / "datasets").iterdir())


def test_push_of_a_single_split_private_and_as_a_pull_request(hub: HubServer, api: HfApi) -> None:
    name = f"{hub.namespace}/single"
    rows = Dataset.from_dict({"x": [1]})
    rows.push_to_hub(name, private=True)
    assert api.dataset_info(name).private is True
    main = hub.commits(name)

    Dataset.from_dict({"x": [1, 2]}).push_to_hub(name, create_pr=True)

    assert hub.commits(name) == main
    assert load_dataset(name, split="train", revision="refs/pr/1")["x"] == [1, 2]


def test_json_lines_load_without_a_card(hub: HubServer) -> None:
    name = f"{hub.namespace}/plain"
    hub.add_dataset(name, {"train.jsonl": b'{"a": 1}\n{"a": 2}\n', "test.jsonl": b'{"a": 3}\n'})
    loaded = load_dataset(name)
    assert {split: rows["a"] for split, rows in loaded.items()} == {"train": [1, 2], "test": [3]}


def test_a_subprocess_is_pointed_to_the_server_by_its_environment(
    hub: HubServer, tmp_path: Path
) -> None:
    code = (
        "import huggingface_hub as h; from huggingface_hub import hf_api;"
        "print(h.whoami()['name']); h.create_repo('made', repo_type='dataset');"
        "print(h.repo_exists(h.whoami()['name'] + '/made', repo_type='dataset'))"
    )
    env = client_env(hub, tmp_path)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout.split() == [hub.namespace, "True"], done.stderr
    assert hub.repo(f"{hub.namespace}/made").private is False


# -- reading -----------------------------------------------------------------------------------


def test_a_parquet_footer_is_read_by_ranges(hub: HubServer, api: HfApi) -> None:
    name = f"{hub.namespace}/big"
    content = parquet(200_000)
    hub.add_dataset(name, {"data/train.parquet": content})
    fs = HfFileSystem(endpoint=hub.url, token=hub.token)
    path = f"datasets/{name}/data/train.parquet"

    with fs.open(path, block_size=16 * 1024) as file:
        metadata = pq.ParquetFile(file).metadata

    assert metadata.num_rows == 200_000 and metadata.num_row_groups == 200
    ranges = asked(hub, "GET", "/objects/")
    assert ranges and all(line.status == 206 for line in ranges)
    with fs.open(path) as file:
        file.seek(-8, 2)
        assert file.read() == content[-8:]
    assert fs.glob(f"datasets/{name}/**/*.parquet") == [path]
    assert fs.info(path)["size"] == len(content)
    assert fs.ls(f"datasets/{name}", detail=False) == [
        f"datasets/{name}/.gitattributes",
        f"datasets/{name}/data",
    ]


def test_a_range_past_the_end_is_416_and_a_suffix_range_is_the_tail(hub: HubServer) -> None:
    name = f"{hub.namespace}/ranges"
    hub.add_dataset(name, {"a.txt": b"0123456789"})
    url = f"{hub.url}/datasets/{name}/resolve/main/a.txt"

    def get(asked_range: str) -> tuple[int, bytes, str | None]:
        answer = get_session().get(url, headers={"Range": asked_range})
        return answer.status_code, answer.content, answer.headers.get("Content-Range")

    assert get("bytes=2-4") == (206, b"234", "bytes 2-4/10")
    assert get("bytes=8-99") == (206, b"89", "bytes 8-9/10")
    assert get("bytes=-3") == (206, b"789", "bytes 7-9/10")
    assert get("bytes=10-")[0::2] == (416, "bytes */10")


def test_downloads_of_lfs_and_regular_files(hub: HubServer, api: HfApi, repo_id: str) -> None:
    content = parquet(10)
    api.create_commit(
        repo_id,
        [add("data/a b.parquet", content), add("ü.txt", "grün".encode())],
        commit_message="two files",
        repo_type="dataset",
    )
    for path, expected in {"data/a b.parquet": content, "ü.txt": "grün".encode()}.items():
        local = api.hf_hub_download(repo_id, path, repo_type="dataset")
        assert Path(local).read_bytes() == expected
    url = f"{hub.url}/datasets/{repo_id}/resolve/main/data/a%20b.parquet"
    metadata = api.get_hf_file_metadata(url=url)
    assert metadata.etag == hashlib.sha256(content).hexdigest()
    assert (metadata.size, metadata.commit_hash) == (len(content), hub.commits(repo_id)[0].id)
    assert metadata.location != url


def test_trees_are_paged_and_know_the_last_commit(
    hub: HubServer, api: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{hub.namespace}/tree"
    hub.add_dataset(name, {f"d/{index}.txt": b"x" for index in range(5)})
    latest = hub.add_files(name, {"d/3.txt": b"y"}, title="change 3")
    monkeypatch.setattr(hub.context, "tree_page_size", 2)

    entries = list(api.list_repo_tree(name, recursive=True, expand=True, repo_type="dataset"))

    assert [entry.path for entry in entries] == [
        ".gitattributes",
        "d",
        *(f"d/{index}.txt" for index in range(5)),
    ]
    assert len(asked(hub, "GET", "/tree/")) == 4
    last = {entry.path: entry.last_commit.title for entry in entries if entry.last_commit}
    assert last["d"] == last["d/3.txt"] == latest.title
    assert last["d/0.txt"] == "add files" and last[".gitattributes"] == "initial commit"
    infos = api.get_paths_info(name, ["d", "d/3.txt", "none"], repo_type="dataset")
    assert [info.path for info in infos] == ["d", "d/3.txt"]
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree(name, "none", repo_type="dataset"))


def test_dataset_info_has_siblings_and_card_data(hub: HubServer, api: HfApi) -> None:
    name = f"{hub.namespace}/info"
    content = parquet(3)
    readme = b"---\nlicense: mit\ntags: [a, b]\n---\n# Title\n"
    commit = hub.add_dataset(name, {"README.md": readme, "t.parquet": content})
    info = api.dataset_info(name, files_metadata=True)
    assert (info.id, info.sha, info.tags) == (name, commit.id, ["a", "b"])
    assert info.card_data is not None and info.card_data.license == "mit"
    siblings = {sibling.rfilename: sibling for sibling in info.siblings or []}
    lfs = siblings["t.parquet"].lfs
    assert lfs is not None and lfs.sha256 == hashlib.sha256(content).hexdigest()
    assert siblings["README.md"].lfs is None and siblings["README.md"].size == len(readme)
    assert api.dataset_info(name, revision=commit.parents[0]).sha == commit.parents[0]
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(name, revision="none")


def test_the_parquet_listing_names_subsets_and_splits(hub: HubServer) -> None:
    name = f"{hub.namespace}/listing"
    DatasetDict(train=Dataset.from_dict({"x": [1]})).push_to_hub(name, config_name="one")
    url = f"{hub.url}/api/datasets/{name}/parquet"
    listing = get_session().get(url).json()
    assert listing == {"one": {"train": [f"{url}/one/train/0.parquet"]}}
    shard = get_session().get(listing["one"]["train"][0], follow_redirects=True)
    assert pq.read_table(io.BytesIO(shard.content)).to_pydict() == {"x": [1]}
    assert get_session().get(f"{url}/two").status_code == 404


def test_a_parquet_conversion_is_a_revision_and_is_listed(hub: HubServer, api: HfApi) -> None:
    name = f"{hub.namespace}/converted"
    hub.add_dataset(name, {"train.jsonl": b'{"x": 0}\n'})
    hub.add_conversion(name, {"old/train/0000.parquet": parquet(1)})
    files = {
        "default/train/0000.parquet": parquet(2),
        "default/train/0001.parquet": parquet(3),
        "other one/partial-test/0000.parquet": parquet(4),
    }
    hub.add_conversion(name, files)

    assert hub.files(name, "refs/convert/parquet") == files  # the old conversion is gone
    assert set(hub.files(name)) == {".gitattributes", "train.jsonl"}
    url = f"{hub.url}/api/datasets/{name}/parquet"
    listing = get_session().get(url).json()
    assert listing == {
        "default": {"train": [f"{url}/default/train/{index}.parquet" for index in (0, 1)]},
        "other one": {"partial-test": [f"{url}/other one/partial-test/0.parquet"]},
    }
    assert get_session().get(f"{url}/default/train").json() == listing["default"]["train"]
    for link, content in {
        listing["default"]["train"][1]: parquet(3),
        listing["other one"]["partial-test"][0]: parquet(4),
    }.items():
        assert get_session().get(link).content == content

    refs = api.list_repo_refs(name, repo_type="dataset")
    assert [(ref.name, ref.ref) for ref in refs.converts] == [("parquet", "refs/convert/parquet")]
    revision = "refs/convert/parquet"
    tree = api.list_repo_tree(
        name, "default", recursive=True, revision=revision, repo_type="dataset"
    )
    assert [entry.path for entry in tree][1:] == list(files)[:2]
    (info,) = api.get_paths_info(name, [list(files)[0]], revision=revision, repo_type="dataset")
    assert isinstance(info, RepoFile) and info.size == len(parquet(2))
    fs = HfFileSystem(endpoint=hub.url, token=hub.token)
    for escaped in ("refs%2Fconvert%2Fparquet", revision):
        below = f"datasets/{name}@{escaped}/default/train"
        assert len(fs.ls(below, detail=False)) == 2
        assert pq.read_table(fs.open(f"{below}/0000.parquet")).num_rows == 2
    loaded = load_dataset(name, revision=revision, data_files="default/train/*.parquet")
    assert loaded["train"].num_rows == 5
    with pytest.raises(ValueError, match="expected '<config>/<split>/0000.parquet'"):
        hub.add_conversion(name, {"train.parquet": parquet(1)})


# -- writing -----------------------------------------------------------------------------------


def test_a_commit_onto_an_old_parent_is_412(hub: HubServer, api: HfApi, repo_id: str) -> None:
    parent = api.dataset_info(repo_id).sha
    api.create_commit(
        repo_id,
        [add("a.txt", b"1")],
        commit_message="first",
        commit_description="its text",
        parent_commit=parent,
        repo_type="dataset",
    )
    with pytest.raises(HfHubHTTPError) as raised:
        api.create_commit(
            repo_id,
            [add("a.txt", b"2")],
            commit_message="second",
            parent_commit=parent,
            repo_type="dataset",
        )
    assert raised.value.response.status_code == 412
    assert hub.files(repo_id)["a.txt"] == b"1"
    listed = api.list_repo_commits(repo_id, repo_type="dataset")
    assert [(item.title, item.message) for item in listed] == [
        ("first", "its text"),
        ("initial commit", ""),
    ]


def test_commits_add_copy_and_delete(
    hub: HubServer, api: HfApi, repo_id: str, tmp_path: Path
) -> None:
    for path in ("keep/a.txt", "gone/b.txt", "gone/c/d.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "data.parquet").write_bytes(parquet(5))
    api.upload_folder(repo_id=repo_id, folder_path=tmp_path, repo_type="dataset")
    assert len(hub.files(repo_id)) == 5

    api.create_commit(
        repo_id,
        [
            CommitOperationCopy("data.parquet", "copy/data.parquet"),
            CommitOperationCopy("keep/a.txt", "copy/a.txt"),
            CommitOperationDelete("gone/", is_folder=True),
            CommitOperationDelete("keep/a.txt"),
        ],
        commit_message="rearrange",
        repo_type="dataset",
    )

    files = hub.files(repo_id)
    assert sorted(files) == [".gitattributes", "copy/a.txt", "copy/data.parquet", "data.parquet"]
    assert files["copy/data.parquet"] == files["data.parquet"] == parquet(5)
    assert api.list_repo_files(repo_id, repo_type="dataset") == sorted(files)
    with pytest.raises(RemoteEntryNotFoundError):
        api.delete_file("none.txt", repo_id, repo_type="dataset")


def test_an_unchanged_file_makes_no_commit(hub: HubServer, api: HfApi, repo_id: str) -> None:
    for content in (b"same", parquet(4)):
        for _ in range(2):
            api.upload_file(
                path_or_fileobj=content, path_in_repo="f", repo_id=repo_id, repo_type="dataset"
            )
    assert len(hub.commits(repo_id)) == 3  # the initial one and one for each content


def test_large_files_go_up_in_parts(
    hub: HubServer, api: HfApi, repo_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.context, "lfs_part_size", 100_000)
    content = bytes(range(256)) * 1000
    api.upload_file(
        path_or_fileobj=content, path_in_repo="big.bin", repo_id=repo_id, repo_type="dataset"
    )
    assert len(asked(hub, "PUT", "/parts/")) == 3
    assert hub.files(repo_id)["big.bin"] == content


def test_what_was_uploaded_before_is_only_committed(
    hub: HubServer, api: HfApi, repo_id: str
) -> None:
    content = parquet(7)
    api.preupload_lfs_files(repo_id, [add("a.parquet", content)], repo_type="dataset")
    assert len(asked(hub, "PUT", "/objects/")) == 1 and len(hub.commits(repo_id)) == 1
    # Another process knows the content only, not that it is there.
    api.create_commit(
        repo_id, [add("a.parquet", content)], commit_message="commit", repo_type="dataset"
    )
    assert len(asked(hub, "PUT", "/objects/")) == 1
    assert hub.files(repo_id)["a.parquet"] == content


def test_an_upload_that_is_not_what_it_claims_is_refused(hub: HubServer, repo_id: str) -> None:
    oid = hashlib.sha256(b"claimed").hexdigest()
    session, headers = get_session(), {"Authorization": f"Bearer {hub.token}"}
    batch = session.post(
        f"{hub.url}/datasets/{repo_id}.git/info/lfs/objects/batch",
        json={"operation": "upload", "objects": [{"oid": oid, "size": 7}]},
        headers=headers,
    ).json()
    target = batch["objects"][0]["actions"]["upload"]["href"]
    assert session.put(target, content=b"another").status_code == 400
    assert session.put(target.split("?")[0], content=b"claimed").status_code == 403
    assert (
        session.put(target, content=b"claimed", headers=headers).status_code == 400
    )  # a token leaks
    lines = [
        {"key": "header", "value": {"summary": "s", "description": ""}},
        {"key": "lfsFile", "value": {"path": "f", "algo": "sha256", "oid": oid, "size": 7}},
    ]
    commit = session.post(
        f"{hub.url}/api/datasets/{repo_id}/commit/main",
        content="\n".join(map(json.dumps, lines)),
        headers=headers,
    )
    assert commit.status_code == 400 and len(hub.commits(repo_id)) == 1


def test_pull_requests_branches_and_tags(hub: HubServer, api: HfApi, repo_id: str) -> None:
    base = hub.commits(repo_id)[0].id
    proposed = api.create_commit(
        repo_id, [add("a.txt", b"1")], commit_message="propose", create_pr=True, repo_type="dataset"
    )
    assert (proposed.pr_num, proposed.pr_revision) == (1, "refs/pr/1")
    api.create_commit(
        repo_id,
        [add("b.txt", b"2")],
        commit_message="more",
        revision="refs/pr/1",
        repo_type="dataset",
    )
    assert set(hub.files(repo_id, "refs/pr/1")) == {".gitattributes", "a.txt", "b.txt"}
    assert set(hub.files(repo_id)) == {".gitattributes"}

    api.create_branch(repo_id, branch="dev/1", revision=proposed.oid, repo_type="dataset")
    api.create_branch(repo_id, branch="dev/1", repo_type="dataset", exist_ok=True)
    api.create_tag(repo_id, tag="v1", revision="dev/1", repo_type="dataset")
    refs = api.list_repo_refs(repo_id, repo_type="dataset", include_pull_requests=True)
    assert {ref.name: ref.target_commit for ref in refs.branches} == {
        "main": base,
        "dev/1": proposed.oid,
    }
    assert [ref.target_commit for ref in refs.tags] == [proposed.oid]
    assert [ref.ref for ref in refs.pull_requests or []] == ["refs/pr/1"]
    local = api.hf_hub_download(repo_id, "a.txt", revision="dev/1", repo_type="dataset")
    assert Path(local).read_bytes() == b"1"
    api.delete_branch(repo_id, branch="dev/1", repo_type="dataset")
    assert not api.revision_exists(repo_id, "dev/1", repo_type="dataset")
    assert api.revision_exists(repo_id, "v1", repo_type="dataset")


def test_a_card_that_is_not_yaml_is_refused(hub: HubServer, api: HfApi, repo_id: str) -> None:
    with pytest.raises(ValueError, match="Invalid metadata in README.md"):
        api.create_commit(
            repo_id,
            [add("README.md", b"---\na: [\n---\n")],
            commit_message="card",
            repo_type="dataset",
        )
    with pytest.raises(BadRequestError):
        api.create_commit(
            repo_id, [add("a//x", b"1")], commit_message="no name", repo_type="dataset"
        )


# -- access ------------------------------------------------------------------------------------


def test_a_private_repository_is_not_found_without_its_owners_token(hub: HubServer) -> None:
    name = f"{hub.namespace}/secret"
    hub.add_dataset(name, {"train.jsonl": b'{"a": 1}'}, private=True)
    stranger = hub.add_user(f"{hub.namespace}-stranger")

    for token in (False, stranger):
        with pytest.raises(RepositoryNotFoundError):
            HfApi(endpoint=hub.url, token=token).dataset_info(name)
        with pytest.raises(RepositoryNotFoundError):
            HfApi(endpoint=hub.url, token=token).hf_hub_download(
                name, "train.jsonl", repo_type="dataset"
            )
        with pytest.raises(DatasetNotFoundError):
            load_dataset(name, token=token)
    with pytest.raises(HfHubHTTPError) as raised:
        HfApi(endpoint=hub.url, token="hf_wrong").dataset_info(name)
    assert raised.value.response.status_code == 401
    assert not isinstance(raised.value, RepositoryNotFoundError)
    assert load_dataset(name, split="train")["a"] == [1]


def test_a_gated_repository_shows_itself_but_not_its_files(hub: HubServer) -> None:
    name = f"{hub.namespace}/gated"
    hub.add_dataset(name, {"a.txt": b"1"}, gated=True)
    friend_name = f"{hub.namespace}-friend"
    friend = HfApi(endpoint=hub.url, token=hub.add_user(friend_name))
    assert friend.dataset_info(name).gated == "manual"
    with pytest.raises(GatedRepoError) as raised:
        friend.hf_hub_download(name, "a.txt", repo_type="dataset")
    assert raised.value.response.status_code == 403
    hub.access.grant(friend_name, hub.repo(name))
    assert Path(friend.hf_hub_download(name, "a.txt", repo_type="dataset")).read_bytes() == b"1"


def test_who_may_write(hub: HubServer, api: HfApi, repo_id: str) -> None:
    org = f"{hub.namespace}-org"
    member = HfApi(endpoint=hub.url, token=hub.add_user(f"{hub.namespace}-m", orgs=[org]))
    assert [item["name"] for item in member.whoami()["orgs"]] == [org]
    assert member.create_repo(f"{org}/x", repo_type="dataset", private=True).repo_id == f"{org}/x"
    assert member.repo_exists(f"{org}/x", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="409"):
        member.create_repo(f"{org}/x", repo_type="dataset")
    member.create_repo(f"{org}/x", repo_type="dataset", exist_ok=True)
    reader = HfApi(endpoint=hub.url, token=hub.add_user(hub.namespace, role="read"))
    for stranger in (member, reader):
        with pytest.raises(HfHubHTTPError) as raised:
            stranger.upload_file(
                path_or_fileobj=b"1", path_in_repo="a", repo_id=repo_id, repo_type="dataset"
            )
        assert raised.value.response.status_code == 403
    member.upload_file(
        path_or_fileobj=b"1", path_in_repo="a", repo_id=repo_id, repo_type="dataset", create_pr=True
    )
    api.delete_repo(repo_id, repo_type="dataset")
    assert not api.repo_exists(repo_id, repo_type="dataset")


# -- faults ------------------------------------------------------------------------------------


def test_503_is_retried_where_the_client_retries_and_surfaces_elsewhere(
    hub: HubServer, api: HfApi, repo_id: str
) -> None:
    hub.faults += [
        Fault("POST", r"/preupload/", status=503),
        Fault("POST", r"/commit/main", status=503, headers={"X-Reason": "test"}),
    ]

    def upload() -> None:
        api.upload_file(
            path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo_id, repo_type="dataset"
        )

    with pytest.raises(HfHubHTTPError) as raised:
        upload()
    assert raised.value.response.headers["X-Reason"] == "test"
    assert [line.status for line in asked(hub, "POST", "/preupload/")] == [503, 200]
    upload()
    assert hub.files(repo_id)["a.txt"] == b"1"
    assert [fault.fired for fault in hub.faults] == [1, 1]


def test_a_dropped_connection_before_or_after_the_work(
    hub: HubServer, api: HfApi, repo_id: str
) -> None:
    def upload(content: bytes) -> None:
        api.upload_file(
            path_or_fileobj=content, path_in_repo="a.txt", repo_id=repo_id, repo_type="dataset"
        )

    hub.faults += [
        Fault("POST", r"/commit/", drop=True),
        Fault("POST", r"/commit/", drop=True, when="after"),
    ]
    with pytest.raises(Exception, match="(?i)disconnect|reset|closed"):
        upload(b"1")
    assert len(hub.commits(repo_id)) == 1
    with pytest.raises(Exception, match="(?i)disconnect|reset|closed"):
        upload(b"1")
    assert hub.files(repo_id)["a.txt"] == b"1"  # done, though the client can't know
    assert [line.status for line in asked(hub, "POST", "/commit/")] == [0, 0]


def test_a_download_cut_short_is_resumed_by_a_range(
    hub: HubServer, api: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the client keeps of a broken download are whole chunks, of 10 MB if not told otherwise.
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    name = f"{hub.namespace}/cut"
    content = parquet(100_000)
    hub.add_dataset(name, {"a.parquet": content})
    hub.faults.append(Fault("GET", r"/objects/", truncate=len(content) // 2))
    local = api.hf_hub_download(name, "a.parquet", repo_type="dataset")
    assert Path(local).read_bytes() == content
    assert [line.status for line in asked(hub, "GET", "/objects/")] == [0, 206]


@pytest.mark.parametrize("status", [409, 412, 429, 500])
def test_a_commit_meets_the_status_of_a_fault(
    hub: HubServer, api: HfApi, repo_id: str, status: int
) -> None:
    hub.faults.append(Fault("POST", r"/commit/main$", status=status, message="as told"))
    with pytest.raises(HfHubHTTPError, match="as told" if status != 429 else "429") as raised:
        api.upload_file(
            path_or_fileobj=b"1", path_in_repo="a", repo_id=repo_id, repo_type="dataset"
        )
    assert raised.value.response.status_code == status
    assert asked(hub, "POST", "/commit/")[0].status == status
    assert len(hub.commits(repo_id)) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fault("GET", "x"),
        lambda: Fault("GET", "x", status=500, drop=True),
        lambda: Fault("GET", "x", status=500, delay=0),
        lambda: Fault("GET", "x", call=print, truncate=0),
    ],
)
def test_a_fault_is_exactly_one_thing(make: Callable[[], Fault]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        make()


def test_a_fault_can_let_requests_pass_and_last(hub: HubServer, api: HfApi, repo_id: str) -> None:
    hub.faults.append(Fault("GET", r"/api/whoami-v2", status=429, skip=1, times=None))
    assert api.whoami()["name"] == hub.namespace
    for _ in range(2):
        with pytest.raises(HfHubHTTPError) as raised:
            api.whoami()
        assert raised.value.response.status_code == 429


# -- lifecycle ---------------------------------------------------------------------------------


def test_a_server_stops_and_its_state_stays_on_disk(tmp_path: Path) -> None:
    with HubServer(tmp_path, namespace="me") as first:
        head = first.add_dataset("me/kept", {"a.txt": b"1"})
        url = first.url
        assert HfApi(endpoint=url, token=False).dataset_info("me/kept").sha == head.id
    with pytest.raises(httpx2.ConnectError):
        get_session().get(f"{url}/api/datasets/me/kept")
    with HubServer(tmp_path, namespace="me") as second:
        assert second.commits("me/kept")[0] == head
        assert HfApi(endpoint=second.url, token=False).dataset_info("me/kept").sha == head.id


def test_many_writers_lose_no_commit(hub: HubServer, api: HfApi, repo_id: str) -> None:
    def upload(index: int) -> None:
        content = parquet(index + 1)
        api.upload_file(
            path_or_fileobj=content,
            path_in_repo=f"{index}.parquet",
            repo_id=repo_id,
            repo_type="dataset",
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upload, range(12)))
    files = hub.files(repo_id)
    assert [files[f"{index}.parquet"] for index in range(12)] == [parquet(n + 1) for n in range(12)]
    assert len(hub.commits(repo_id)) == 13
