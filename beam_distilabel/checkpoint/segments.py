"""Segments: files of finished generations, written whole and never changed.

A segment is a Parquet file with two columns: `key`, 16 bytes, and `value`, a MessagePack document.
Its pages carry checksums. Its name begins with the time of writing, so the order of the names is
that of the writes: where two segments have a key, the one whose name sorts first counts, always.
"""

from __future__ import annotations

import io
import logging
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_distilabel.filesystems import url_to_fs

KEY_BYTES = 16
SUFFIX = ".parquet"

SCHEMA = pa.schema([("key", pa.binary(KEY_BYTES)), ("value", pa.large_binary())])

ROWS_PER_GROUP = 4096

logger = logging.getLogger(__name__)


class CorruptSegment(Exception):
    """A file is no segment, or not a whole one; what it held is asked again."""


def encode(value: Any) -> bytes:
    """`value` as MessagePack; lone surrogates and floats of any kind are kept.

    Raises:
        TypeError: it has something that is no plain data.

    Example:
        >>> decode(encode({"generations": ["a", None]}))
        {'generations': ['a', None]}
    """
    packed: bytes = msgpack.packb(value, default=_plain, unicode_errors="surrogatepass")
    return packed


def decode(data: bytes) -> Any:
    """What `encode` was given; tuples come back as lists.

    Raises:
        ValueError: `data` is no MessagePack.
    """
    return msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogatepass")


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} can't be kept in a checkpoint")


def segment_name(written: int | None = None) -> str:
    """A new segment's name.

    Args:
        written: the time of the first row, in nanoseconds; now if not given.
    """
    return f"{written or time.time_ns():020d}-{uuid.uuid4().hex[:12]}{SUFFIX}"


def written_at(name: str) -> int:
    """The time in a segment's name."""
    return int(name.split("-", 1)[0])


def is_segment(name: str) -> bool:
    """Whether a file of that name is a segment that is written whole."""
    time_text, dash, rest = name.partition("-")
    return bool(dash) and len(time_text) == 20 and time_text.isdigit() and rest.endswith(SUFFIX)


def list_segments(folder: str) -> list[str]:
    """The names of the segments in `folder`, in the order in which they count."""
    filesystem, path = url_to_fs(folder)
    try:
        filesystem.invalidate_cache(path)
        found = filesystem.ls(path, detail=False)
    except FileNotFoundError:
        return []
    names = (str(entry).rstrip("/").rpartition("/")[2] for entry in found)
    return sorted(name for name in names if is_segment(name))


def write_segment(folder: str, name: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
    """Write a segment; a reader sees all of it or nothing.

    Raises:
        OSError: it can't be written.
    """
    write_table(folder, name, pa.table([pa.array(keys, SCHEMA.field(0).type), values], SCHEMA))


def write_table(folder: str, name: str, table: pa.Table) -> None:
    """`write_segment` of a table."""
    buffer = io.BytesIO()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        row_group_size=ROWS_PER_GROUP,
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    )
    filesystem, path = url_to_fs(folder, auto_mkdir=True)
    filesystem.makedirs(path, exist_ok=True)
    part = f"{path}/.{name}.part"
    try:
        with filesystem.open(part, "wb") as file:
            file.write(buffer.getbuffer())
        filesystem.mv(part, f"{path}/{name}")
    except BaseException:
        remove(folder, f".{name}.part")
        raise


def read_segment(folder: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A segment's rows, with one read of the file.

    Raises:
        FileNotFoundError: it isn't there any more.
        CorruptSegment: it can't be read as a segment.
    """
    filesystem, path = url_to_fs(folder)
    data = filesystem.cat_file(f"{path}/{name}")
    try:
        table = pq.read_table(
            pa.BufferReader(data), columns=columns, page_checksum_verification=True
        )
        return table.cast(
            SCHEMA if columns is None else pa.schema([SCHEMA.field(c) for c in columns])
        )
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise CorruptSegment(f"{folder}/{name}: {error}") from error


def count_rows(folder: str) -> int:
    """How many rows the segments in `folder` have, by their footers."""
    filesystem, path = url_to_fs(folder)

    def rows(name: str) -> int:
        try:
            with filesystem.open(f"{path}/{name}", "rb") as file:
                return int(pq.read_metadata(file).num_rows)
        except (pa.ArrowException, OSError, ValueError):
            return 0  # what is damaged is asked again

    names = list_segments(folder)
    with ThreadPoolExecutor(max(1, min(16, len(names)))) as readers:
        return sum(readers.map(rows, names))


def remove(folder: str, name: str) -> None:
    """Remove a file of the folder, if it is there."""
    filesystem, path = url_to_fs(folder)
    try:
        filesystem.rm_file(f"{path}/{name}")
    except FileNotFoundError:
        pass
    except OSError as error:  # it takes room and does no harm
        logger.warning("%s/%s can't be removed: %s", folder, name, error)
