"""Segments: files of finished generations, written whole and never changed.

A segment is a Parquet file with two columns: `key`, 16 bytes, and `value`, a sealed document (see
`documents`). Its name begins with the time of writing, so the order of the names is that of the
writes, as far as the clocks of the hosts agree: where two segments have a key, the one whose name
sorts first counts, always.
"""

from __future__ import annotations

import io
import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_distilabel.filesystems import url_to_fs

KEY_BYTES = 16
SUFFIX = ".parquet"

SCHEMA = pa.schema([("key", pa.binary(KEY_BYTES)), ("value", pa.large_binary())])

ROWS_PER_GROUP = 1024
"""How many rows one damaged place in a segment costs at most."""

READERS = 16
"""How many segments are read at once; reads of object stores take long and cost nothing here."""

logger = logging.getLogger(__name__)


class CorruptSegment(Exception):
    """A file is no segment, or not a whole one; what it held is asked again."""


def segment_name(written: int | None = None) -> str:
    """A new segment's name.

    Args:
        written: the time of the first row, in nanoseconds; now if not given.
    """
    moment = time.time_ns() if written is None else written
    return f"{moment:020d}-{uuid.uuid4().hex[:12]}{SUFFIX}"


def written_at(name: str) -> int:
    """The time in a segment's name."""
    return int(name.split("-", 1)[0])


def is_segment(name: str) -> bool:
    """Whether a file of that name is a segment that is written whole."""
    time_text, dash, rest = name.partition("-")
    is_time = len(time_text) == 20 and time_text.isascii() and time_text.isdigit()
    return bool(dash) and is_time and rest.endswith(SUFFIX)


def is_part(name: str) -> bool:
    """Whether a file of that name is what `write_segment` leaves where it is killed."""
    return name[:1] == "." and name.endswith(".part") and is_segment(name[1:].removesuffix(".part"))


def list_files(folder: str) -> dict[str, int]:
    """The names of the files in `folder` and their sizes in bytes.

    Raises:
        OSError: it can't be listed.
    """
    filesystem, path = url_to_fs(folder)
    try:
        with _errors_told(folder):
            filesystem.invalidate_cache(path)
            entries = filesystem.ls(path, detail=True)
    except FileNotFoundError:
        return {}
    return {
        str(entry["name"]).rstrip("/").rpartition("/")[2]: int(entry["size"] or 0)
        for entry in entries
    }


def drop_segments(folder: str, before: int) -> None:
    """Remove the segments in `folder` that were begun before a time, in nanoseconds.

    Raises:
        OSError: the folder can't be listed.
    """
    for name in list_segments(folder):
        if written_at(name) < before:
            remove(folder, name)


def list_segments(folder: str) -> list[str]:
    """The names of the segments in `folder`, in the order in which they count.

    Raises:
        OSError: it can't be listed.
    """
    return sorted(filter(is_segment, list_files(folder)))


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
        compression={"key": "none", "value": "zstd"},  # keys are hashes
        row_group_size=ROWS_PER_GROUP,
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    )
    filesystem, path = url_to_fs(folder, auto_mkdir=True)
    part = f"{path}/.{name}.part"
    with _errors_told(folder):
        filesystem.makedirs(path, exist_ok=True)
        try:
            with filesystem.open(part, "wb") as file:
                file.write(buffer.getbuffer())
            filesystem.mv(part, f"{path}/{name}")
        except BaseException:
            remove(folder, f".{name}.part")
            raise


def read_segment(folder: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A segment's rows, with one read of the file; those of a damaged group are null.

    Raises:
        FileNotFoundError: it isn't there any more.
        OSError: it can't be read, and another attempt may help.
        CorruptSegment: it can't be read as a segment.
    """
    filesystem, path = url_to_fs(folder)
    with _errors_told(folder):
        try:
            data = filesystem.cat_file(f"{path}/{name}")
        except IsADirectoryError as error:
            raise CorruptSegment(f"{folder}/{name} is a folder") from error
    schema = SCHEMA if columns is None else pa.schema([SCHEMA.field(c) for c in columns])
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        # A number of rows that the file has no room for would take the memory.
        if file.schema_arrow != SCHEMA or file.metadata.num_rows * KEY_BYTES > len(data):
            raise ValueError("its columns or its number of rows are wrong")
        counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        if min(counts, default=0) < 0 or sum(counts) != file.metadata.num_rows:
            raise ValueError("its groups don't make up its number of rows")
    except Exception as error:  # whatever the bytes make of pyarrow
        raise CorruptSegment(f"{folder}/{name}: {error}") from error
    tables = []
    for number, count in enumerate(counts):
        try:
            table = file.read_row_group(number, columns=list(schema.names)).cast(schema)
            if len(table) != count:
                raise ValueError(f"it has {len(table)} rows")
        except Exception as error:
            logger.warning(
                "%d answers of the checkpoint are unreadable and asked again: %s/%s: %s",
                count,
                folder,
                name,
                error,
            )
            table = pa.table([pa.nulls(count, field.type) for field in schema], schema)
        tables.append(table)
    return pa.concat_tables(tables) if tables else schema.empty_table()


def count_rows(folder: str) -> int:
    """How many rows the segments in `folder` have, by their footers."""
    filesystem, path = url_to_fs(folder)

    def rows(name: str) -> int:
        try:
            with filesystem.open(f"{path}/{name}", "rb") as file:
                return int(pq.read_metadata(file).num_rows)
        except Exception:  # what is damaged is asked again
            return 0

    names = list_segments(folder)
    with ThreadPoolExecutor(max(1, min(READERS, len(names)))) as readers:
        return sum(readers.map(rows, names))


def remove(folder: str, name: str) -> None:
    """Remove a file of the folder, if it is there."""
    filesystem, path = url_to_fs(folder)
    try:
        with _errors_told(folder):
            filesystem.rm_file(f"{path}/{name}")
    except FileNotFoundError:
        pass
    except OSError as error:  # it takes room and does no harm
        logger.warning("%s/%s can't be removed: %s", folder, name, error)


@contextmanager
def _errors_told(folder: str) -> Iterator[None]:
    """Errors of object stores' own clients are `OSError` too."""
    try:
        yield
    except (OSError, CorruptSegment):
        raise
    except Exception as error:
        raise OSError(f"{folder}: {type(error).__name__}: {error}") from error


def key_numbers(keys: pa.ChunkedArray) -> Any:
    """A column of keys, without nulls, as a numpy array of two numbers each."""
    array = keys.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], SCHEMA.field(0).type)
    numbers = np.frombuffer(
        array.buffers()[1] or b"", ">u8", 2 * len(array), offset=array.offset * KEY_BYTES
    )
    return numbers.reshape(-1, 2).astype("<u8")
