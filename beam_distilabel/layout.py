"""The folder of a result: `<path>/<subset>/<split>-00000-of-0000N.parquet`, on any filesystem.

Of a result that is written window by window, each window has shards of its own:
`<split>-<window>-00000-of-0000N.parquet`, and what is known of it lies in `WINDOWS_FOLDER`.

Everything here reads names and footers, never a column of data, but for `first_row`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.row import Row

PIPELINE_FILE = "pipeline.yaml"
LOG_FILE = "pipeline.log"
REPORT_FILE = "report.json"
CARD_FILE = "README.md"
ARTIFACTS_FOLDER = "artifacts"
CHECKPOINT_FOLDER = "checkpoint"
WINDOWS_FOLDER = ".windows"

_NO_NAME = re.compile(r"[/\\:*?\"<>|$\x00-\x1f]")
_MAX_NAME = 200
_SPLIT = re.compile(r"\w+(\.\w+)*")
_RESERVED_NAMES = frozenset((PIPELINE_FILE, LOG_FILE, REPORT_FILE, CARD_FILE))

AnyPath = Union[str, "os.PathLike[str]"]

_TIME = r"\d{8}T\d{6}(?:\.\d{6})?Z"
_SHARD = re.compile(
    rf"(?P<split>.+?)(?:-(?P<window>{_TIME}_{_TIME}(?:\.p\d+)?))?-\d{{5,}}-of-\d{{5,}}\.parquet"
)


def check_names(who: str, subset: Any, split: Any = "train") -> None:
    """Raise where a subset or split can't have its name: folder, files, and `datasets` need it.

    Raises:
        DistilabelUserError: it can't; says what can.
    """
    if (
        not isinstance(subset, str)
        or not subset
        or subset.startswith(".")
        or len(subset.encode()) > _MAX_NAME
        or subset in _RESERVED_NAMES
        or _NO_NAME.search(subset)
    ):
        raise DistilabelUserError(
            f"{who}: {str(subset)[:80]!r} can't be a subset's name, which becomes a folder's: use "
            f'up to {_MAX_NAME} characters without a leading dot and without / \\ : * ? " < > | $.'
        )
    if not isinstance(split, str) or not _SPLIT.fullmatch(split) or split == "all":
        raise DistilabelUserError(
            f"{who}: {str(split)[:80]!r} can't be a split's name: `datasets` takes letters, digits "
            "and '_', such as 'train' or 'test_2', and not 'all'."
        )


def shard_name(split: str, index: int, total: int, window: str = "") -> str:
    """A shard's name; `window` is the part of a window that it has rows of.

    Example:
        >>> shard_name("train", 0, 3)
        'train-00000-of-00003.parquet'
    """
    name = f"{split}-{window}" if window else split
    return f"{name}-{index:05d}-of-{total:05d}.parquet"


def split_of(name: str) -> str | None:
    """The split of a shard by its file name; None for a file that isn't a shard.

    Example:
        >>> split_of("train-00000-of-00003.parquet"), split_of("README.md")
        ('train', None)
    """
    match = _SHARD.fullmatch(name)
    return match["split"] if match else None


def window_of(name: str) -> str | None:
    """The part of a window that a shard has rows of; None for a shard that isn't of a window.

    Example:
        >>> window_of("train-20260101T000000Z_20260101T010000Z.p1-00000-of-00001.parquet")
        '20260101T000000Z_20260101T010000Z.p1'
    """
    match = _SHARD.fullmatch(name)
    return match["window"] if match else None


def subset_names(path: str, **storage_options: Any) -> list[str]:
    """The folders in `path` that hold shards and nothing else, hidden ones aside."""
    filesystem, folder = url_to_fs(path, **storage_options)
    if not filesystem.isdir(folder):
        return []
    found = []
    for entry in filesystem.ls(folder, detail=True):
        name = posixpath.basename(entry["name"].rstrip("/"))
        if entry["type"] != "directory" or name.startswith("."):
            continue
        files = [posixpath.basename(file) for file in filesystem.ls(entry["name"], detail=False)]
        if files and all(split_of(file) for file in files):
            found.append(name)
    return sorted(found)


def path_text(path: AnyPath) -> str:
    """`path` as text with slashes; one that is a URL stays as it is."""
    if isinstance(path, str):
        return path
    text = (getattr(path, "as_posix", None) or path.__fspath__)()
    return str(text)


def is_local(path: str) -> bool:
    """Whether `path` is on this machine's filesystem."""
    # A class that derives from it has paths of its own.
    return type(url_to_fs(path)[0]) is LocalFileSystem


def open_parquet(path: str, **storage_options: Any) -> pq.ParquetFile:
    """The Parquet file at `path`, on any filesystem that fsspec knows."""
    filesystem, name = url_to_fs(path, **storage_options)
    if isinstance(filesystem, LocalFileSystem):
        return pq.ParquetFile(name, memory_map=True)
    source = filesystem.open(name, "rb")
    try:
        return _OwningParquetFile(source)
    except BaseException:
        source.close()
        raise


class _OwningParquetFile(pq.ParquetFile):  # type: ignore[misc]  # it has no types
    """Closes the file that it was given; Arrow closes only what it has opened itself."""

    def close(self, force: bool = True) -> None:
        super().close(force=force)


def read_footer(path: str) -> tuple[int, int]:
    """The rows of the Parquet file at `path`, and their bytes uncompressed, by its footer."""
    with open_parquet(path) as file:
        return int(file.metadata.num_rows), data_bytes(file.metadata)


def data_bytes(footer: Any) -> int:
    """The bytes of a Parquet file's rows when they aren't compressed."""
    return sum(footer.row_group(i).total_byte_size for i in range(footer.num_row_groups))


def find_artifacts(folder: str) -> dict[str, str]:
    """The files in the folder of a run's artifacts: `artifacts/<step>/<name>/...` to path."""
    filesystem, root = url_to_fs(folder)
    if not filesystem.isdir(root):
        return {}
    local = isinstance(filesystem, LocalFileSystem)
    return {
        f"{ARTIFACTS_FOLDER}{inner}": name if local else str(filesystem.unstrip_protocol(name))
        for name in sorted(filesystem.find(root))
        # What is being written has a hidden name, or lies in a hidden folder.
        if "/." not in (inner := name.removeprefix(root.rstrip("/")))
    }


def artifact_names(paths: Iterable[str]) -> dict[str, list[str]]:
    """Step to its artifacts, of what `find_artifacts` found.

    Example:
        >>> artifact_names(["artifacts/judge/plot/plot.png", "artifacts/judge/plot/metadata.json"])
        {'judge': ['plot']}
    """
    names: dict[str, list[str]] = {}
    for path in paths:
        _, step, *rest = path.split("/")
        if len(rest) > 1 and rest[0] not in names.setdefault(step, []):
            names[step].append(rest[0])
    return names


@dataclass(frozen=True)
class SplitFiles:
    """The shards of one split of a subset, as their footers describe them.

    Attributes:
        name: the split.
        files: paths, in order.
        rows: of all files.
        bytes: of the data when it is in memory, about.
        schema: the Arrow schema of the first file.
        fingerprint: changes when a file does (name, size or time of change).
    """

    name: str
    files: tuple[str, ...]
    rows: int
    bytes: int
    schema: pa.Schema
    fingerprint: str


Entries = dict[str, list[dict[str, Any]]]
"""Split to what the filesystem says of its shards, in order; `train` first."""


def list_shards(folder: str, **storage_options: Any) -> Entries:
    """The shards in `folder` by split.

    Raises:
        FileNotFoundError: there is none.
    """
    filesystem, name = url_to_fs(folder, **storage_options)
    entries: Entries = {}
    for entry in sorted(filesystem.ls(name, detail=True), key=lambda entry: str(entry["name"])):
        split = split_of(posixpath.basename(entry["name"]))
        if split:
            entries.setdefault(split, []).append(entry)
    if not entries:
        raise FileNotFoundError(f"{folder} holds no Parquet shards")
    return {split: entries[split] for split in sorted(entries, key=lambda s: (s != "train", s))}


def read_splits(folder: str, **storage_options: Any) -> list[SplitFiles]:
    """The splits of the subset in `folder`, by name, `train` first.

    Raises:
        FileNotFoundError: there is no shard.
    """
    filesystem, _ = url_to_fs(folder, **storage_options)
    shards = list_shards(folder, **storage_options)
    return [_read_split(filesystem, split, entries, {}) for split, entries in shards.items()]


def _fingerprint(entries: Sequence[dict[str, Any]]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for entry in entries:
        changed = entry.get("mtime") or entry.get("ETag") or entry.get("created")
        digest.update(repr((entry["name"], entry["size"], changed)).encode())
    return digest.hexdigest()


def _read_split(
    filesystem: Any, name: str, entries: Sequence[dict[str, Any]], held: Mapping[str, pa.NativeFile]
) -> SplitFiles:
    files = tuple(filesystem.unstrip_protocol(entry["name"]) for entry in entries)
    if isinstance(filesystem, LocalFileSystem):
        files = tuple(str(entry["name"]) for entry in entries)
    rows = size = 0
    schema: pa.Schema | None = None
    for entry in entries:
        with contextlib.ExitStack() as stack:
            stream = held.get(entry["name"])
            if stream is None:
                stream = stack.enter_context(filesystem.open(entry["name"], "rb"))
            parquet = stack.enter_context(pq.ParquetFile(stream))
            footer = parquet.metadata
            rows += footer.num_rows
            size += data_bytes(footer)
            schema = parquet.schema_arrow if schema is None else schema
    return SplitFiles(name, files, rows, size, schema, _fingerprint(entries))


HELD_FILES = 64
"""A `Snapshot` of more local files doesn't hold them."""


class Snapshot:
    """The shards of one subset as they were when this was made.

    Local files are held, so that they can be read although a later run has replaced them. Others,
    and more than `HELD_FILES`, are compared with what is there when they are read.

    Attributes:
        folder: the subset's folder.
        fingerprint: changes when a file does (name, size or time of change).
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._filesystem, _ = url_to_fs(folder)
        self._shards = list_shards(folder)
        files = [entry for entries in self._shards.values() for entry in entries]
        self.fingerprint = _fingerprint(files)
        self._held: dict[str, pa.NativeFile] = {}
        if isinstance(self._filesystem, LocalFileSystem) and len(files) <= HELD_FILES:
            self._held = {entry["name"]: pa.memory_map(entry["name"]) for entry in files}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return (self.folder, self.fingerprint) == (other.folder, other.fingerprint)

    def __hash__(self) -> int:
        return hash((self.folder, self.fingerprint))

    def __deepcopy__(self, memo: dict[int, Any]) -> Snapshot:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": {}}

    def splits(self) -> list[SplitFiles]:
        """The splits, by name, `train` first.

        Raises:
            DistilabelUserError: the files were replaced or removed, and weren't held.
        """
        if not self._held:
            self._check_unchanged()
        return [
            _read_split(self._filesystem, split, entries, self._held)
            for split, entries in self._shards.items()
        ]

    def file_bytes(self) -> dict[str, int]:
        """Split to the size of its files."""
        return {
            split: sum(int(entry["size"]) for entry in entries)
            for split, entries in self._shards.items()
        }

    def open(self, path: str) -> pq.ParquetFile:
        """One of the files of `splits`."""
        held = self._held.get(path)
        return open_parquet(path) if held is None else pq.ParquetFile(held)

    def first_row(self) -> Row | None:
        """The first row of the first split, None if it has none."""
        return _first_row(map(self.open, self.splits()[0].files))

    def is_unchanged(self) -> bool:
        """Whether the files are still there, as they were."""
        try:
            now = [entry for entries in list_shards(self.folder).values() for entry in entries]
        except FileNotFoundError:
            now = []
        return _fingerprint(now) == self.fingerprint

    def _check_unchanged(self) -> None:
        if not self.is_unchanged():
            raise DistilabelUserError(
                f"the rows in {self.folder} were replaced or removed after this Distiset was made, "
                "by a later run in the same directory, say. Give each run its own output_dir, or "
                "use a subset before the next run."
            )


def first_row(files: Sequence[str], **storage_options: Any) -> Row | None:
    """The first row of `files`, None if they have none."""
    return _first_row(open_parquet(path, **storage_options) for path in files)


def _first_row(files: Iterable[pq.ParquetFile]) -> Row | None:
    for file in files:
        with file as parquet:
            for batch in parquet.iter_batches(batch_size=1):
                row: Row = batch.to_pylist()[0]
                return row
    return None
