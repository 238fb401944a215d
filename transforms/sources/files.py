"""Which files a source consists of, of which type, and how they are opened."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from fsspec.core import OpenFile
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import infer_compression

from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.hub.retrying import retrying
from beam_distilabel.problems import closest
from beam_distilabel.secrets.fields import covered, uncovered

DataFiles = str | list[str] | dict[str, str | list[str]]
"""A file, folder or glob, a list of these, or a dict of split to one of these."""

EXTENSIONS = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".arrow": "arrow",
}
"""File name extension to file type; text files may be compressed (`.jsonl.gz`)."""

FILETYPES = ("parquet", "jsonl", "json", "csv", "tsv", "arrow")

TEXT = frozenset(("jsonl", "json", "csv", "tsv"))

_METADATA = frozenset(
    ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
)
_SPLIT_WORDS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "eval", "evaluation"),
    "validation": ("validation", "valid", "dev", "val"),
}
_REMOTE_WITHOUT_LISTING = ("http", "https")
_GLOB = re.compile(r"[*?\[]")
_SIZES_AT_ONCE = 16

LOGIN = "log in with `hf auth login`, set HF_TOKEN, or give the Step a `token`"
"""What helps where the Hugging Face Hub refuses to show something."""


class SourceFile(NamedTuple):
    """One file of a source.

    Attributes:
        path: local path or fsspec URL.
        filetype: one of `FILETYPES`, or "staged" (see `staging`).
    """

    path: str
    filetype: str


@dataclasses.dataclass(frozen=True)
class Source:
    """Files and how to read them; small, and the same on every worker.

    Attributes:
        files: in order; a file's position is the first part of its rows' ids.
        storage_options: for fsspec; a `SecretStr` is uncovered only where a file is opened.
        text_columns: of CSV files, column name to "int64", "double", "bool" or "string"; other
            columns are text.
        delimiter: of CSV files, None for the one that the file type implies.
        columns: the top-level columns that are needed, None for all: of Parquet and Arrow files the
            others aren't read; text has to be read as a whole, so its rows have all.
    """

    files: tuple[SourceFile, ...]
    storage_options: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    text_columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    delimiter: str | None = None
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        # A Source is pickled to the workers, which secrets of these types are not.
        object.__setattr__(self, "storage_options", covered(self.storage_options))

    def filesystem(self, file: SourceFile) -> tuple[Any, str]:
        """The fsspec filesystem of `file` and the path there."""
        filesystem, path = url_to_fs(file.path, **uncovered(self.storage_options))
        return filesystem, str(path)

    def local_path(self, file: SourceFile) -> str | None:
        """The path of `file` if it lies on this machine's disk."""
        filesystem, path = self.filesystem(file)
        return path if isinstance(filesystem, LocalFileSystem) else None

    @contextlib.contextmanager
    def open(self, file: SourceFile, *, exact: bool = False) -> Iterator[Any]:
        """`file` opened for reading bytes; text files are decompressed by their extension.

        Args:
            file: one of `files`.
            exact: fetch what is read and no more, where the filesystem reads ahead else.

        Raises:
            DistilabelUserError: the file can't be opened or read; names it.
        """
        with reading(file.path):
            filesystem, path = self.filesystem(file)
            if file.path.startswith("hf://"):
                # Its files look for their size when they are opened, and that but once; later, when
                # they read, the client itself is patient.
                retrying(f"the file {file.path!r}", lambda: filesystem.info(path))
                if (exact or self.columns is not None) and file.filetype not in TEXT:
                    # Reading ahead would fetch the columns between those that are needed.
                    with filesystem.open(path, "rb", cache_type="none") as stream:
                        yield stream
                    return
            compression = infer_compression(path) if file.filetype in TEXT else None
            with OpenFile(filesystem, path, "rb", compression=compression) as stream:
                yield stream


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Names `path` in whatever goes wrong within."""
    try:
        yield
    except DistilabelError:
        raise
    except FileNotFoundError as error:
        raise DistilabelUserError(f"the file {path!r} doesn't exist.") from error
    except Exception as error:  # every filesystem and format has exceptions of its own
        status = getattr(getattr(error, "response", None), "status_code", None)
        hint = f" If it is private or gated, {LOGIN}." if status in (401, 403) else ""
        raise DistilabelUserError(
            f"the file {path!r} can't be read: {type(error).__name__}: {error}{hint}"
        ) from error


def file_bytes(source: Source) -> int | None:
    """The size of all files together; None where a filesystem doesn't tell."""

    def size(file: SourceFile) -> int | None:
        with reading(file.path):
            filesystem, path = source.filesystem(file)
            known = filesystem.info(path).get("size")
            return None if known is None else int(known)

    with ThreadPoolExecutor(_SIZES_AT_ONCE) as pool:
        sizes = list(pool.map(size, source.files))
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def shown(data_files: DataFiles) -> Any:
    """`data_files` without the secrets that URLs may have: user, password and query.

    Example:
        >>> shown(["https://user:secret@example.org/a.csv?token=x", "b.csv"])
        ['https://example.org/a.csv', 'b.csv']
    """
    if isinstance(data_files, Mapping):
        return {str(split): shown(files) for split, files in data_files.items()}
    if not isinstance(data_files, (str, os.PathLike)):
        return [shown(file) for file in data_files]
    path = os.fspath(data_files)
    if "://" not in path:
        return path
    protocol, _, rest = path.partition("://")
    host, slash, tail = rest.partition("/")
    # A "?" is a glob's, except where there are queries.
    if protocol in _REMOTE_WITHOUT_LISTING:
        tail = tail.partition("?")[0].partition("#")[0]
    if protocol not in ("hf", "file"):  # there an "@" is a revision's, or a name's
        host = host.rpartition("@")[2]
    return f"{protocol}://{host}{slash}{tail}"


def list_files(
    data_files: DataFiles,
    filetype: str | None = None,
    split: str = "train",
    storage_options: Mapping[str, Any] | None = None,
) -> tuple[SourceFile, ...]:
    """The files that `data_files` stands for, in a fixed order.

    Args:
        data_files: a file, a folder, a glob, a list of these (read in the order given; what one of
            them stands for is sorted by name), or a dict of split to one of these.
        filetype: one of `FILETYPES`; None means by extension. "json" also reads JSON lines.
        split: which key of a dict; in folders whose files all name a split, which of them.
        storage_options: for fsspec.

    Raises:
        DistilabelUserError: nothing is found, or a file's type isn't known; names it.
    """
    if filetype is not None and filetype not in FILETYPES:
        raise DistilabelUserError(
            f"filetype={filetype!r} isn't known.{closest(filetype, FILETYPES)} Use one of "
            f"{', '.join(FILETYPES)}, or leave it out."
        )
    if isinstance(data_files, Mapping):
        if split not in data_files:
            raise DistilabelUserError(
                f"data_files has no split {split!r}.{closest(split, data_files)} It has: "
                f"{', '.join(map(repr, data_files)) or 'none'}."
            )
        data_files, split = data_files[split], "train"
    patterns = [data_files] if isinstance(data_files, (str, os.PathLike)) else list(data_files)
    if not patterns:
        raise DistilabelUserError("data_files is an empty list; name at least one file.")
    options = uncovered(storage_options or {})
    return tuple(
        file
        for pattern in patterns
        for file in _expand(os.fspath(pattern), filetype, split, options)
    )


def type_of_name(path: str) -> str | None:
    """The file type that a name's extension says, compression aside; None if it says none.

    Example:
        >>> type_of_name("rows.jsonl.gz")
        'jsonl'
    """
    name = path.split("?")[0] if "://" in path else path
    stem, extension = os.path.splitext(name.lower())
    if infer_compression(name.lower()) is not None:
        extension = os.path.splitext(stem)[1]
        kind = EXTENSIONS.get(extension)
        return kind if kind in TEXT else None
    return EXTENSIONS.get(extension)


def _expand(
    pattern: str, filetype: str | None, split: str, options: dict[str, Any]
) -> list[SourceFile]:
    try:
        filesystem, path = url_to_fs(pattern, **options)
        protocol = pattern.split("://")[0] if "://" in pattern else "file"
        if protocol in _REMOTE_WITHOUT_LISTING:
            return [_typed(pattern, filetype)]
        is_glob = _GLOB.search(path) is not None and not filesystem.exists(path)
        if is_glob:
            found = filesystem.glob(path, detail=True)
            names = (name for name, info in found.items() if info["type"] != "directory")
            start = _GLOB.split(path)[0].rfind("/")
            # As in a shell, a glob means hidden files only where it says so.
            paths = sorted(n for n in names if "/." not in n[start:] or "/." in path[start:])
        elif filesystem.isdir(path):
            paths = sorted(filesystem.find(path))
        elif filesystem.exists(path):
            return [_typed(_named(filesystem, path), filetype)]
        else:
            paths = []
    except DistilabelUserError:
        raise
    except Exception as error:  # every filesystem has exceptions of its own
        raise DistilabelUserError(
            f"data_files={pattern!r} can't be listed: {type(error).__name__}: {error}"
        ) from error
    if not paths:
        raise DistilabelUserError(
            f"data_files={pattern!r} stands for no file: "
            + ("the glob matches nothing." if is_glob else "it doesn't exist, or is empty.")
        )
    root = path.rstrip("/")
    if is_glob:
        files = [_typed(_named(filesystem, name), filetype) for name in paths]
        return files if split == "train" else _of_split(pattern, files, split, _GLOB.split(root)[0])
    return _of_split(pattern, _in_folder(pattern, filesystem, paths, root, filetype), split, root)


def _in_folder(
    folder: str, filesystem: Any, paths: Sequence[str], root: str, filetype: str | None
) -> list[SourceFile]:
    """The data files of a folder: what is hidden, or of another type, is no data."""
    visible = [
        path
        for path in paths
        if not any(part[:1] in "._" for part in path[len(root) :].strip("/").split("/") if part)
        and os.path.basename(path) not in _METADATA
    ]
    kinds = {path: type_of_name(path) for path in visible}
    if filetype is not None:
        wanted = [path for path in visible if _same_type(kinds[path], filetype)]
        chosen = wanted or [path for path in visible if kinds[path] is None]
        if chosen:
            return [SourceFile(_named(filesystem, path), filetype) for path in chosen]
        raise DistilabelUserError(f"the folder {folder!r} has no {filetype} file.")
    present = sorted({kind for kind in kinds.values() if kind is not None})
    if len(present) > 1:
        raise DistilabelUserError(
            f"the folder {folder!r} has files of several types ({', '.join(present)}); say which "
            "with `filetype`, or name the files by a glob."
        )
    if not present:
        names = ", ".join(os.path.basename(path) for path in paths[:5])
        raise DistilabelUserError(
            f"the folder {folder!r} has no file of a known type (it has {names}). {_accepted()}"
        )
    return [SourceFile(_named(filesystem, path), present[0]) for path in visible if kinds[path]]


def _same_type(kind: str | None, filetype: str) -> bool:
    return kind == filetype or (filetype == "json" and kind == "jsonl")


def _typed(path: str, filetype: str | None) -> SourceFile:
    kind = filetype or type_of_name(path)
    if kind is None:
        raise DistilabelUserError(f"the type of the file {path!r} isn't known. {_accepted()}")
    return SourceFile(path, kind)


def _accepted() -> str:
    return (
        f"Accepted are {', '.join(EXTENSIONS)} (text also compressed, such as .jsonl.gz and "
        f".csv.zst); for other names give `filetype`, one of {', '.join(FILETYPES)}."
    )


def _named(filesystem: Any, path: str) -> str:
    """A path that opens without its filesystem; local ones stay plain."""
    if isinstance(filesystem, LocalFileSystem):
        return path
    return str(filesystem.unstrip_protocol(path))


def _of_split(pattern: str, files: list[SourceFile], split: str, root: str) -> list[SourceFile]:
    """The files of `split`, where every name has a split in it, as in `test-00000-of-00001`."""
    start = len(root)
    words = {**_SPLIT_WORDS, split: (*_SPLIT_WORDS.get(split, ()), split)}
    by_split: dict[str | None, list[SourceFile]] = {}
    for file in files:
        tail = file.path[file.path.find(root) + start :]
        by_split.setdefault(_split_of(tail, words), []).append(file)
    if None not in by_split:
        if split in by_split:
            return by_split[split]
        raise DistilabelUserError(
            f"{pattern!r} has no file of the split {split!r}; it has: "
            f"{', '.join(sorted(str(name) for name in by_split))}."
        )
    if split != "train":
        raise DistilabelUserError(
            f"split={split!r}: not every file of {pattern!r} names its split; give data_files as a "
            f"dict, such as {{{split!r}: [...]}}."
        )
    return files


def _split_of(path: str, words: Mapping[str, Sequence[str]]) -> str | None:
    parts = set(re.split(r"[^a-zA-Z]+", path.lower())) | set(re.split(r"[/.\-]+", path))
    for split, names in words.items():
        if parts.intersection(names):
            return split
    return None
