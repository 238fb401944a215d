"""Repositories on disk: content-addressed blobs, commits as JSON, refs.

One folder per repository::

    repo.json            id, type, private, gated, created
    refs.json            {"refs/heads/main": "<commit>", "refs/pr/1": ...}
    discussions/<n>.json discussions and pull requests
    commits/<id>.json    parents, author, date, title, description, files
    blobs/<sha256>       contents; also the repository's LFS objects
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.hub.clock import now
from tests.hub.discussions import Discussion
from tests.hub.errors import entry_not_found, revision_not_found

REPO_TYPES = ("model", "dataset", "space")
MAIN = "refs/heads/main"
CONVERSION = "refs/convert/parquet"
_LFS_SUFFIXES = "7z arrow bin bz2 gz jpg mp3 mp4 npy npz parquet png safetensors tar wav zip zst"
INITIAL_GITATTRIBUTES = "".join(
    f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in _LFS_SUFFIXES.split()
).encode()


@dataclasses.dataclass(frozen=True)
class File:
    """One file of a commit; `oid` is its git blob id (an LFS file's: that of its pointer)."""

    size: int
    sha256: str
    oid: str
    lfs: bool

    @property
    def pointer_size(self) -> int:
        return len(lfs_pointer(self.sha256, self.size))

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid


@dataclasses.dataclass(frozen=True)
class Commit:
    """A snapshot: `files` maps every path of the repository at this commit to its `File`."""

    id: str
    parents: tuple[str, ...]
    author: str
    date: str
    title: str
    description: str
    files: dict[str, File]

    @property
    def message(self) -> str:
        return f"{self.title}\n\n{self.description}" if self.description else self.title


def git_oid(content: bytes) -> str:
    """The id that git gives to a blob of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    """The text that git stores in place of an LFS file."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    )


class Repo:
    """One repository. Writes hold `lock`, so that a ref moves only from the head it was read at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        meta = json.loads((folder / "repo.json").read_text())
        self.id: str = meta["id"]
        self.type: str = meta["type"]
        self.created: str = meta["created"]
        self.private: bool = meta["private"]
        self.gated: str | bool = meta["gated"]

    @classmethod
    def create(cls, folder: Path, repo_id: str, repo_type: str, private: bool, author: str) -> Repo:
        for child in ("commits", "blobs"):
            (folder / child).mkdir(parents=True)
        meta = {
            "id": repo_id,
            "type": repo_type,
            "created": now(),
            "private": private,
            "gated": False,
        }
        _write_atomic(folder / "repo.json", json.dumps(meta).encode())
        _write_atomic(folder / "refs.json", b"{}")
        repo = cls(folder)
        files = {".gitattributes": repo.add_blob(INITIAL_GITATTRIBUTES)}
        repo.commit(MAIN, lambda _: files, author=author, title="initial commit")
        return repo

    def save_settings(self) -> None:
        meta = {name: getattr(self, name) for name in ("id", "type", "created", "private", "gated")}
        _write_atomic(self.folder / "repo.json", json.dumps(meta).encode())

    # -- blobs -------------------------------------------------------------------------------

    def blob_path(self, sha256: str) -> Path:
        return self.folder / "blobs" / sha256

    def has_blob(self, sha256: str) -> bool:
        return self.blob_path(sha256).is_file()

    def add_blob(self, content: bytes, *, lfs: bool = False) -> File:
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.has_blob(sha256):
            _write_atomic(self.blob_path(sha256), content)
        oid = git_oid(lfs_pointer(sha256, len(content)) if lfs else content)
        return File(size=len(content), sha256=sha256, oid=oid, lfs=lfs)

    def lfs_file(self, sha256: str) -> File:
        """The `File` of an uploaded LFS object."""
        size = self.blob_path(sha256).stat().st_size
        return File(size=size, sha256=sha256, oid=git_oid(lfs_pointer(sha256, size)), lfs=True)

    def read(self, file: File) -> bytes:
        return self.blob_path(file.sha256).read_bytes()

    # -- refs --------------------------------------------------------------------------------

    def refs(self) -> dict[str, str]:
        refs: dict[str, str] = json.loads((self.folder / "refs.json").read_text())
        return refs

    def set_ref(self, ref: str, commit_id: str | None) -> None:
        """Point `ref` to a commit, or remove it (None)."""
        with self.lock:
            refs = self.refs()
            if commit_id is None:
                del refs[ref]
            else:
                refs[ref] = commit_id
            _write_atomic(self.folder / "refs.json", json.dumps(refs, indent=1).encode())

    def find_ref(self, revision: str) -> str | None:
        """The full name of the ref that a branch, a tag or a ref name means."""
        refs = self.refs()
        names = (revision, f"refs/heads/{revision}", f"refs/tags/{revision}")
        return next((name for name in names if name in refs), None)

    def resolve(self, revision: str) -> Commit:
        """The commit of a branch, tag, full ref name or commit id (7 characters or more)."""
        ref = self.find_ref(revision)
        if ref is not None:
            return self.load(self.refs()[ref])
        if re.fullmatch(r"[0-9a-f]{7,40}", revision):
            matches = list((self.folder / "commits").glob(f"{revision}*.json"))
            if len(matches) == 1:
                return self.load(matches[0].stem)
        raise revision_not_found(revision)

    def file(self, revision: str, path: str) -> tuple[Commit, File]:
        commit = self.resolve(revision)
        if path not in commit.files:
            raise entry_not_found(path)
        return commit, commit.files[path]

    # -- discussions -------------------------------------------------------------------------

    def discussions(self) -> dict[int, Discussion]:
        """By number, oldest first."""
        paths = sorted(self.folder.glob("discussions/*.json"), key=lambda path: int(path.stem))
        return {int(path.stem): Discussion(**json.loads(path.read_text())) for path in paths}

    def save_discussion(self, discussion: Discussion) -> None:
        path = self.folder / "discussions" / f"{discussion.num}.json"
        path.parent.mkdir(exist_ok=True)
        _write_atomic(path, json.dumps(dataclasses.asdict(discussion)).encode())

    # -- commits -----------------------------------------------------------------------------

    def load(self, commit_id: str) -> Commit:
        data = json.loads((self.folder / "commits" / f"{commit_id}.json").read_text())
        files = {path: File(**file) for path, file in data.pop("files").items()}
        return Commit(files=files, **{**data, "parents": tuple(data["parents"])})

    def history(self, revision: str) -> Iterator[Commit]:
        """Commits from `revision` back to the first one, newest first."""
        commit = self.resolve(revision)
        yield commit
        while commit.parents:
            commit = self.load(commit.parents[0])
            yield commit

    def last_change(self, revision: str, path: str) -> Commit:
        """The newest commit that changed a file, or anything below a folder."""

        def below(commit: Commit) -> dict[str, File]:
            return {p: f for p, f in commit.files.items() if p == path or p.startswith(path + "/")}

        newer: Commit | None = None
        for commit in self.history(revision):
            if newer is not None and below(commit) != below(newer):
                break
            newer = commit
        assert newer is not None
        return newer

    def commit(
        self,
        ref: str,
        change: Callable[[dict[str, File]], Mapping[str, File]],
        *,
        author: str,
        title: str,
        description: str = "",
        base: str | None = None,
    ) -> Commit:
        """Apply `change` to the files at `base` (default: where `ref` points), and move `ref`."""
        with self.lock:
            parent_id = base or self.refs().get(ref)
            files = dict(self.load(parent_id).files) if parent_id else {}
            data: dict[str, Any] = {
                "parents": [parent_id] if parent_id else [],
                "author": author,
                "date": now(),
                "title": title,
                "description": description,
                "files": {p: dataclasses.asdict(f) for p, f in sorted(change(files).items())},
            }
            data["id"] = hashlib.sha1(json.dumps(data).encode()).hexdigest()
            path = self.folder / "commits" / f"{data['id']}.json"
            _write_atomic(path, json.dumps(data, indent=1).encode())
            self.set_ref(ref, data["id"])
            return self.load(data["id"])


class Store:
    """All repositories below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()
        self._open: dict[Path, Repo] = {}

    def _folder(self, repo_id: str, repo_type: str) -> Path:
        return self.root / f"{repo_type}s" / repo_id

    def create(self, repo_id: str, repo_type: str, *, private: bool, author: str) -> Repo:
        """Make a repository with its initial commit; `FileExistsError` if there is one."""
        if not _is_repo_id(repo_id):
            raise ValueError(f"repo_id={repo_id!r}: expected 'namespace/name'")
        folder = self._folder(repo_id, repo_type)
        with self.lock:
            if folder.exists():
                raise FileExistsError(repo_id)
            self._open[folder] = Repo.create(folder, repo_id, repo_type, private, author)
            return self._open[folder]

    def get(self, repo_id: str, repo_type: str) -> Repo | None:
        if not _is_repo_id(repo_id):
            return None
        folder = self._folder(repo_id, repo_type)
        with self.lock:
            if folder not in self._open and (folder / "repo.json").is_file():
                self._open[folder] = Repo(folder)
            return self._open.get(folder)

    def delete(self, repo: Repo) -> None:
        with self.lock:
            del self._open[repo.folder]
            shutil.rmtree(repo.folder)


def folders(paths: Iterable[str]) -> set[str]:
    """Every folder above these paths."""
    return {
        path[:index]
        for path in paths
        for index, letter in enumerate(path)
        if letter == "/" and index
    }


def _is_repo_id(text: str) -> bool:
    # It becomes a path on disk: letters, digits, `_`, `.` and `-` only, and nothing that climbs.
    return bool(re.fullmatch(r"[\w.-]+/[\w.-]+", text)) and ".." not in text


def _write_atomic(path: Path, content: bytes) -> None:
    # The name is unique per thread: a test's thread and the server's may write the same blob.
    temporary = path.with_name(f".{path.name}.{threading.get_ident()}")
    temporary.write_bytes(content)
    os.replace(temporary, path)
