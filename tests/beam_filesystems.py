"""Filesystems that only Beam knows, kept on disk: an object store, and one with folders."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

from apache_beam.io.filesystem import (
    BeamIOError,
    CompressedFile,
    CompressionTypes,
    FileMetadata,
    FileSystem,
)

ROOT = "BEAM_FILESYSTEMS_ROOT"
"""The environment variable that names the folder."""


class _OnDisk:  # no `FileSystem` itself: Beam asks every subclass of that for its scheme
    def _place(self, url: str) -> Path:
        raise NotImplementedError

    def _listing(self, urls: Iterable[str]) -> Iterator[FileMetadata]:
        for url in urls:
            with contextlib.suppress(BeamIOError, FileNotFoundError):  # removed meanwhile
                yield self.metadata(url)

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join((basepath.rstrip("/"), *(path.strip("/") for path in paths)))

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def open(
        self,
        path: str,
        mime_type: str = "application/octet-stream",
        compression_type: str = CompressionTypes.AUTO,
    ) -> BinaryIO:
        return _compressed(path, self._place(path).open("rb"), compression_type)

    def exists(self, path: str) -> bool:
        return self._place(path).exists()

    def metadata(self, path: str) -> FileMetadata:
        if not self.exists(path):
            raise BeamIOError("Metadata operation failed", {path: FileNotFoundError(path)})
        status = self._place(path).stat()
        size = 0 if self._place(path).is_dir() else status.st_size
        return FileMetadata(path, size, status.st_mtime)

    def size(self, path: str) -> int:
        return int(self.metadata(path).size_in_bytes)

    def last_updated(self, path: str) -> float:
        return float(self.metadata(path).last_updated_in_seconds)

    def checksum(self, path: str) -> str:
        if not self._place(path).is_file():
            raise BeamIOError("Checksum operation failed", {path: IsADirectoryError(path)})
        return str(self.size(path))


class FlatFileSystem(_OnDisk, FileSystem):
    """`flat://bucket/key`: keys without folders, files that appear when they are closed."""

    @classmethod
    def scheme(cls) -> str:
        return "flat"

    def has_dirs(self) -> bool:
        return False

    def mkdirs(self, path: str) -> None:
        raise AssertionError("nothing makes folders on an object store")

    def _place(self, url: str) -> Path:
        bucket, slash, key = url.removeprefix("flat://").partition("/")
        if not bucket or not slash or not key:
            raise ValueError(f"{url!r}: expected flat://bucket/key")
        return Path(os.environ[ROOT]) / quote(f"{bucket}/{key}", safe="")

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        files = sorted(Path(os.environ[ROOT]).glob("[!.]*"))
        urls = ("flat://" + unquote(file.name) for file in files)
        yield from self._listing(url for url in urls if url.startswith(dir_or_prefix))

    def create(
        self,
        path: str,
        mime_type: str = "application/octet-stream",
        compression_type: str = CompressionTypes.AUTO,
    ) -> BinaryIO:
        return _compressed(path, _Upload(self._place(path)), compression_type)

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            shutil.copyfile(self._place(source), self._place(target))

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            os.replace(self._place(source), self._place(target))

    def delete(self, paths: list[str]) -> None:
        for path in paths:  # each is a pattern, as it is for Google Cloud Storage
            for match in self.match([path])[0].metadata_list:
                self._place(match.path).unlink()


class TreeFileSystem(_OnDisk, FileSystem):
    """`tree://host/folder/file`: real folders, listed beside the files as Hadoop does."""

    @classmethod
    def scheme(cls) -> str:
        return "tree"

    def has_dirs(self) -> bool:
        return True

    def _place(self, url: str) -> Path:
        return Path(os.environ[ROOT]) / url.removeprefix("tree://")

    def mkdirs(self, path: str) -> None:
        self._place(path).mkdir(parents=True)

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        try:
            names = sorted(os.listdir(self._place(dir_or_prefix)))
        except OSError as error:
            raise BeamIOError("List operation failed", {dir_or_prefix: error}) from error
        yield from self._listing(self.join(dir_or_prefix, name) for name in names)

    def create(
        self,
        path: str,
        mime_type: str = "application/octet-stream",
        compression_type: str = CompressionTypes.AUTO,
    ) -> BinaryIO:
        return _compressed(path, self._place(path).open("wb"), compression_type)

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            shutil.copyfile(self._place(source), self._place(target))

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            if self.exists(target):
                raise BeamIOError("Rename operation failed", {target: FileExistsError(target)})
            self._place(source).rename(self._place(target))

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            place = self._place(path)
            shutil.rmtree(place) if place.is_dir() else place.unlink()


class _Upload:
    """A file that is there only once it was closed."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._part = place.with_name(f".{os.urandom(8).hex()}")
        self._file = self._part.open("wb")

    def __enter__(self) -> _Upload:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        if not self._file.closed:
            self._file.close()
            os.replace(self._part, self._place)


def _compressed(path: str, file: Any, compression_type: str) -> Any:
    kind = compression_type
    if kind == CompressionTypes.AUTO:
        kind = CompressionTypes.detect_compression_type(path)
    if kind == CompressionTypes.UNCOMPRESSED:
        return file
    return CompressedFile(file, compression_type=kind)
