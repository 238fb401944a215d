"""Merging small segments between runs, so that a resumed run opens few files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pyarrow as pa

from beam_distilabel.checkpoint.index import READERS
from beam_distilabel.checkpoint.segments import (
    CorruptSegment,
    is_segment,
    read_segment,
    remove,
    segment_name,
    write_table,
    written_at,
)
from beam_distilabel.filesystems import url_to_fs

SMALL_BYTES = 8 * 2**20
"""Segments of fewer bytes are merged with their neighbours."""

MERGED_BYTES = 32 * 2**20
"""How many bytes of segments become one."""

LEAST = 8
"""How many small neighbours are worth it."""

logger = logging.getLogger(__name__)


def compact(folder: str) -> int:
    """Merge runs of small segments of a checkpoint that no run is using.

    A segment is removed when the merged one is there: whenever this ends, nothing is lost. The
    order of segments, which decides between two values of a key, stays what it was.

    Args:
        folder: the folder of the segments.

    Returns:
        How many segments were merged.

    Raises:
        OSError: the folder can't be read or written.
    """
    merged = 0
    for group in list(_groups(folder)):
        tables: list[pa.Table] = []
        read: list[str] = []
        with ThreadPoolExecutor(READERS) as readers:
            found = readers.map(partial(_read, folder), group)
            for name, table in zip(group, found, strict=True):
                if table is not None:
                    read.append(name)
                    tables.append(table)
        if len(read) < 2:
            continue
        write_table(folder, segment_name(written_at(read[0])), pa.concat_tables(tables))
        with ThreadPoolExecutor(READERS) as removers:
            list(removers.map(partial(remove, folder), read))
        merged += len(read)
    return merged


def _groups(folder: str) -> Iterator[list[str]]:
    """Neighbours by order that are to become one."""
    filesystem, path = url_to_fs(folder)
    try:
        filesystem.invalidate_cache(path)
        entries = filesystem.ls(path, detail=True)
    except FileNotFoundError:
        return
    sizes = {str(entry["name"]).rpartition("/")[2]: entry["size"] or 0 for entry in entries}
    group: list[str] = []
    taken = 0
    for name in sorted(filter(is_segment, sizes)):
        if group and (sizes[name] >= SMALL_BYTES or taken + sizes[name] > MERGED_BYTES):
            if len(group) >= LEAST:
                yield group
            group, taken = [], 0
        if sizes[name] < SMALL_BYTES:
            group.append(name)
            taken += sizes[name]
    if len(group) >= LEAST:
        yield group


def _read(folder: str, name: str) -> pa.Table | None:
    try:
        return read_segment(folder, name)
    except FileNotFoundError:
        return None
    except CorruptSegment as error:
        logger.warning("A part of the checkpoint is unreadable and asked again: %s", error)
        return None
