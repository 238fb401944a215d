"""Shards to the Hub: workers send the bytes, a commit names them by their hash."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from fsspec.implementations.local import LocalFileSystem

from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.hub.destination import Destination
from beam_distilabel.hub.retrying import explaining_refusal, retrying

_THREADS = 5


@dataclass(frozen=True)
class StoredFile:
    """A file that is published without being held in memory.

    Attributes:
        source: its path, local or on any filesystem.
        path: where it goes in the repository.
        size: in bytes.
        sha256: in hex.
    """

    source: str
    path: str
    size: int
    sha256: str


def upload(destination: Destination, files: Sequence[StoredFile]) -> None:
    """Send the contents of `files`, and commit nothing.

    Contents that the Hub has are not sent again, so this can be repeated.

    Raises:
        DistilabelUserError: the token may not write.
        DistilabelError: the Hub stayed unreachable or busy.
    """
    api = destination.api()
    target = destination.target
    additions = [addition(file, by_path=True) for file in files]

    def send() -> None:
        api.preupload_lfs_files(
            target.repo_id,
            additions,
            repo_type="dataset",
            revision=destination.revision,
            create_pr=target.create_pr,
            num_threads=_THREADS,
        )

    with explaining_refusal(f"the upload to {target.repo_id!r}"):
        retrying(f"uploading {len(files)} files to {target.repo_id!r}", send)


def addition(file: StoredFile, *, by_path: bool = False) -> Any:
    """The operation that adds `file`, made from what is known of it: no byte is read.

    Args:
        file: what to add.
        by_path: hand a local file to the client by its path, so that it may choose how to send it
            (Xet). Otherwise it is opened only where the Hub asks for its bytes.
    """
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.lfs import UploadInfo

    made = CommitOperationAdd(file.path, b"")
    made.upload_info = UploadInfo(
        size=file.size, sample=_PARQUET_MAGIC, sha256=bytes.fromhex(file.sha256)
    )
    filesystem, name = url_to_fs(file.source)
    if by_path and isinstance(filesystem, LocalFileSystem):
        made.path_or_fileobj = name
    else:
        made.path_or_fileobj = cast(BinaryIO, _LazyFile(filesystem, name, file.size))
    return made


_PARQUET_MAGIC = b"PAR1"


class _LazyFile(io.BufferedIOBase):
    """A file that is opened when the first byte is asked for."""

    def __init__(self, filesystem: Any, name: str, size: int) -> None:
        self._filesystem = filesystem
        self._name = name
        self._size = size
        self._position = 0
        self._file: Any = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        if self._file is None:
            self._file = self._filesystem.open(self._name, "rb")
        self._file.seek(self._position)
        data: bytes = self._file.read(-1 if size is None else size)
        self._position += len(data)
        return data

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()
