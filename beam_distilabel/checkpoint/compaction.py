"""Merging small segments between runs, so that a resumed run opens few files."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from beam_distilabel.checkpoint.segments import (
    READERS,
    CorruptSegment,
    is_part,
    is_segment,
    list_files,
    read_segment,
    remove,
    segment_name,
    write_table,
    written_at,
)
from beam_distilabel.filesystems import persistently

SMALL_BYTES = 8 * 2**20
"""Segments of fewer bytes are merged with their neighbours."""

MERGED_BYTES = 32 * 2**20
"""How many bytes of segments become one at most."""

MERGED_VALUES = 256 * 2**20
"""How many bytes of uncompressed answers do."""

LEAST = 8
"""How many small neighbours are worth it."""

logger = logging.getLogger(__name__)


def compact(folder: str) -> int:
    """Merge runs of small segments of a checkpoint, and remove what killed writers left.

    A segment is removed when the merged one is there: whenever this ends, nothing is lost. The
    order of segments, which decides between two values of a key, stays what it was. Processes that
    read the checkpoint meanwhile look again where a segment has gone; none may write to it.

    Args:
        folder: the folder of the segments.

    Returns:
        How many segments were merged.

    Raises:
        OSError: the folder can't be read or written.
    """
    sizes = persistently(f"Listing the checkpoint {folder}", lambda: list_files(folder))
    merged = 0
    with ThreadPoolExecutor(READERS) as workers:
        list(workers.map(partial(remove, folder), filter(is_part, sizes)))
        for group in list(_groups(sizes)):
            gathered: dict[str, pa.Table] = {}
            for name, table in zip(group, workers.map(partial(_read, folder), group), strict=True):
                if table is None:
                    continue
                if gathered and _bytes(gathered.values()) + table.nbytes > MERGED_VALUES:
                    merged += _write(folder, gathered, workers)
                    gathered = {}
                gathered[name] = table
            merged += _write(folder, gathered, workers)
    return merged


def _groups(sizes: dict[str, int]) -> Iterator[list[str]]:
    """Neighbours by order that are to become one."""
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
    """The whole rows of a segment; None where there is none to read."""
    try:
        table = persistently(
            f"Reading the checkpoint {folder}",
            lambda: read_segment(folder, name),
        )
    except FileNotFoundError:
        return None
    except CorruptSegment as error:
        logger.warning("A part of the checkpoint is unreadable and asked again: %s", error)
        return None
    return table.filter(pc.and_(pc.is_valid(table["key"]), pc.is_valid(table["value"])))


def _write(folder: str, tables: dict[str, pa.Table], workers: ThreadPoolExecutor) -> int:
    """Write one segment in place of several; returns how many."""
    if len(tables) < 2:
        return 0
    names = list(tables)
    name = segment_name(written_at(names[0]))
    together = pa.concat_tables(tables.values())
    persistently(f"Writing the checkpoint {folder}", partial(write_table, folder, name, together))
    list(workers.map(partial(remove, folder), names))
    return len(names)


def _bytes(tables: Iterable[pa.Table]) -> int:
    return sum(table.nbytes for table in tables)
