"""Row identity: what a row is, what it is called, and what is random about it.

A row is a plain dict of columns. Two reserved keys travel with it: `ROW_ID`, a path that is unique
and deterministic, and `DRAW`, which tells rows of equal content apart.

A row id is a path of numbers: a source assigns the first part from the row's position (`"2-15"` is
row 15 of file 2), a Step that makes several rows of one appends `.0`, `.1`, ... Where the graph
branches and the branches meet again, a fork mark is appended (`"2-15/"`): all up to it is the
row's name at that Step, which is what the branches are joined by. A fork mark also holds which of
the branches a router chose (`"2-15:5/"`: a bit mask, here the branches 0 and 2).
"""

from __future__ import annotations

import copy
import datetime
import hashlib
import json
import pickle
import re
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

Row = dict[str, Any]
"""Column name to value: JSON-like, bytes, or a list of floats."""

ROW_ID = "_row_id"
"""The reserved key of a row's identity (str)."""

DRAW = "_draw"
"""The reserved key that tells equal rows apart (int; absent means 0)."""

RESERVED = frozenset((ROW_ID, DRAW))

_FORK = "/"
_MASK = re.compile(r":\d+(?=/)")
_NUMBER = re.compile(r"\d+")
_BELOW = re.compile(r"[./:]")


def position_id(unit: int, index: int) -> str:
    """The id of the row at `index` (0-based) of a source's unit `unit` (a file, or 0 for a list).

    Example:
        >>> position_id(2, 15)
        '2-15'
    """
    return f"{unit}-{index}"


def position_ids(unit: int, indices: Iterable[int]) -> list[str]:
    """`position_id` for many rows of a unit.

    Example:
        >>> position_ids(2, range(15, 17))
        ['2-15', '2-16']
    """
    return [f"{unit}-{index}" for index in indices]


def child_id(parent: str, index: int) -> str:
    """The id of the `index`-th row that a Step made of the row `parent`.

    Example:
        >>> child_id("2-15", 0), child_id("2-15/", 1)
        ('2-15.0', '2-15/1')
    """
    separator = "" if parent.endswith(_FORK) else "."
    return f"{parent}{separator}{index}"


def fork_id(row_id: str, chosen: int | None = None) -> str:
    """`row_id` with a fork mark; `chosen` is the bit mask of the branches that a router chose.

    Example:
        >>> fork_id("2-15"), fork_id("2-15", 0b101)
        ('2-15/', '2-15:5/')
    """
    return f"{row_id}{_FORK}" if chosen is None else f"{row_id}:{chosen}{_FORK}"


def fork_key(row_id: str, level: int) -> str:
    """The part of `row_id` up to and including its `level`-th fork mark (1-based).

    Raises:
        ValueError: the id has fewer fork marks.

    Example:
        >>> fork_key("2-15/3/1", 1)
        '2-15/'
    """
    end = 0
    for _ in range(level):
        end = row_id.index(_FORK, end) + 1
    return row_id[:end]


def source_id(row_id: str) -> str:
    """The part of `row_id` that a source has given: the row's position.

    Example:
        >>> source_id("2-15:5/"), source_id("2-15/3.0")
        ('2-15', '2-15')
    """
    return _BELOW.split(row_id, maxsplit=1)[0]


def path_below(row_id: str, key: str) -> tuple[int, ...]:
    """Which descendant of the row `key` the row is: the numbers after `key`, without fork marks.

    Example:
        >>> path_below("2-15/", "2-15/"), path_below("2-15/3:1/0", "2-15/")
        ((), (3, 0))
    """
    return tuple(int(number) for number in _NUMBER.findall(_MASK.sub("", row_id[len(key) :])))


def chosen_branches(key: str) -> int | None:
    """The bit mask in the last fork mark of `key`, or None where every branch gets every row.

    Example:
        >>> chosen_branches("2-15:5/"), chosen_branches("2-15/")
        (5, None)
    """
    _, colon, mask = key[:-1].rpartition(":")
    return int(mask) if colon and mask.isdigit() else None


def sort_key(row_id: str) -> str:
    """A string whose plain order is the natural order of ids: by number, children after parents.

    Example:
        >>> sorted(["0-10", "0-9", "0-9.1", "0-9.0"], key=sort_key)
        ['0-9', '0-9.0', '0-9.1', '0-10']
    """
    unmasked = _MASK.sub("", row_id) if ":" in row_id else row_id
    # Each number is led by its number of digits, so that text order is numeric order.
    return " ".join([f"{len(n):02d}{n}" for n in _NUMBER.findall(unmasked)]) or row_id


def canonical_json(value: Any) -> bytes:
    """`value` as JSON with sorted keys: equal values give equal bytes, whatever their key order.

    Values that JSON can't hold (bytes, sets, objects) are written by their `repr`; lone surrogates
    and integers of any size are kept.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        return json.dumps(
            _jsonable(value), sort_keys=True, default=repr, separators=(",", ":")
        ).encode()


def _jsonable(value: Any) -> Any:
    """`value` with keys that sort: texts as they are, others by their `repr`."""
    if isinstance(value, dict):
        return {k if isinstance(k, str) else repr(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    return value


def fingerprint(*parts: Any) -> str:
    """A 128-bit hex digest of JSON-like parts; equal content gives equal digests everywhere."""
    return hashlib.blake2b(canonical_json(parts), digest_size=16).hexdigest()


def seed_from(*parts: Any) -> int:
    """A number in [0, 2**31) that depends on `parts` alone, for random choices about a row.

    Example:
        >>> seed_from(0, "2-15", "judge") == seed_from(0, "2-15", "judge")
        True
    """
    digest = hashlib.blake2b(canonical_json(parts), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def content(row: Row) -> Row:
    """`row` without its reserved keys."""
    return {name: value for name, value in row.items() if name not in RESERVED}


_NO_TEXT = frozenset((int, float, bool, bytes, type(None)))
_ATOMIC = _NO_TEXT | {str}


def copied(value: Any) -> Any:
    """A copy of a row, or of a value in one, that shares nothing that can be changed.

    Example:
        >>> row = {"tags": ["a"]}
        >>> copied(row)["tags"].append("b")
        >>> row
        {'tags': ['a']}
    """
    kind = type(value)
    if kind in _ATOMIC:
        return value
    if kind is dict:
        return {k: v if type(v) in _ATOMIC else copied(v) for k, v in value.items()}
    if kind is list:
        return [v if type(v) in _ATOMIC else copied(v) for v in value]
    return copy.deepcopy(value)


def has_surrogates(value: Any) -> bool:
    """Whether a text in `value`, or a key, has a lone surrogate."""
    kind = type(value)
    if kind is str:
        if value.isascii():
            return False
        try:
            value.encode()
        except UnicodeEncodeError:
            return True
    elif kind is dict:
        for name, item in value.items():
            if type(item) not in _NO_TEXT and has_surrogates(item) or has_surrogates(name):
                return True
    elif kind is list or kind is tuple:
        for item in value:
            if type(item) not in _NO_TEXT and has_surrogates(item):
                return True
    return False


def without_surrogates(value: Any) -> Any:
    """`value` with lone surrogates as their escapes: no runner can carry them, no file hold them.

    Example:
        >>> without_surrogates({"text": ["a", "\\ud800"]})
        {'text': ['a', '\\\\ud800']}
    """
    try:
        orjson.dumps(value)  # the fastest way to find any: orjson refuses them
        return value
    except TypeError:
        if not has_surrogates(value):  # it is something else that JSON can't hold
            return value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {without_surrogates(k): without_surrogates(v) for k, v in value.items()}
    return type(value)(without_surrogates(item) for item in value)


def carried(row: Row) -> Row:
    """`row` as any runner can carry it: `without_surrogates`.

    Raises:
        TypeError: a value can't be sent to another process; names its column.

    Example:
        >>> carried({"lines": (line for line in "ab")})
        Traceback (most recent call last):
        ...
        TypeError: column 'lines' has a generator, which no runner can carry
    """
    try:
        orjson.dumps(row)  # most rows are JSON
        return row
    except TypeError:
        pass
    for name, value in row.items():
        _check_carried(name, value, 0)
    carried_row: Row = without_surrogates(row)
    return carried_row


MAX_LEVELS = 256
"""How deeply a row's values may be nested."""

_CARRIED = _ATOMIC | {bytearray, datetime.date, datetime.datetime, datetime.time}


def _check_carried(column: Any, value: Any, level: int) -> None:
    kind = type(value)
    if kind in _CARRIED:
        return
    if level > MAX_LEVELS:
        raise TypeError(f"column {column!r} is nested too deeply, or holds itself")
    if kind is dict:
        for name, item in value.items():
            if type(name) not in _ATOMIC:
                _check_carried(column, name, level + 1)
            if type(item) not in _ATOMIC:
                _check_carried(column, item, level + 1)
        return
    if kind in (list, tuple, set, frozenset):
        for item in value:
            if type(item) not in _ATOMIC:
                _check_carried(column, item, level + 1)
        return
    try:
        pickle.dumps(value)  # as Beam's coder will
    except Exception as error:
        raise TypeError(
            f"column {column!r} has a {kind.__name__}, which no runner can carry"
        ) from error


def content_id(row: Row, counter: int = 0) -> str:
    """An id for a row that came without one: from its content and a counter of equal rows."""
    return f"{int(fingerprint(content(row)), 16)}-{counter}"


class Unnamed:
    """Gives the rows of one bundle that came without an id theirs; equal ones are numbered."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def named(self, row: Row) -> Row:
        """`row` itself if it has an id, else a copy that has one."""
        if ROW_ID in row:
            return row
        first = content_id(row)
        counter = self._seen.get(first, 0)
        self._seen[first] = counter + 1
        if not counter:
            return {**row, ROW_ID: first}
        return {**row, ROW_ID: content_id(row, counter), DRAW: counter}


def number_equal_rows(
    rows: Iterable[Row], parent_draw: int = 0, columns: Sequence[str] | None = None
) -> None:
    """Set `DRAW` in place so that equal rows among `rows` differ.

    The k-th of n equal rows gets `parent_draw * n + k`; rows that are alone keep `parent_draw`.

    Args:
        rows: the rows.
        parent_draw: of the row that they were made of.
        columns: those by which rows count as equal; None for all.

    Example:
        >>> rows = [{"id": 1, "ask": "a joke"}, {"id": 2, "ask": "a joke"}]
        >>> number_equal_rows(rows, columns=["ask"])
        >>> rows[1]
        {'id': 2, 'ask': 'a joke', '_draw': 1}
    """
    groups: dict[bytes, list[Row]] = {}
    for row in rows:
        groups.setdefault(canonical_json(compared(row, columns)), []).append(row)
    for group in groups.values():
        for k, row in enumerate(group):
            draw = parent_draw * len(group) + k
            if draw:
                row[DRAW] = draw
            else:
                row.pop(DRAW, None)


def compared(row: Row, columns: Sequence[str] | None) -> Any:
    """What of `row` tells it from others: the values of `columns`, or of all that aren't reserved.

    Example:
        >>> compared({"id": 1, "ask": "a joke", "_draw": 1}, ["ask"])
        ['a joke']
    """
    return content(row) if columns is None else [row.get(name) for name in columns]


def identify(
    inputs: Sequence[Row],
    yields: Sequence[Sequence[Row]],
    columns: Sequence[str] | None = None,
) -> list[tuple[Row, Row]]:
    """Give every row that one `process` call yielded its identity.

    A row that kept an input's id stems from that input. New rows stem from the input at the same
    position where their yield has as many rows as there are inputs; the others, in their order,
    from the inputs in order, as evenly as the counts allow. The only row that stems from an input
    takes its id; several are its children.

    Args:
        inputs: the rows of the call, each with its id, at least one.
        yields: the batches of rows that the call yielded; left as they are.
        columns: those by which rows that stem from one input count as equal; None for all.

    Returns:
        (row with its identity, the input that it stems from), in the order of the yields.
    """
    by_id = {row[ROW_ID]: row for row in inputs}
    count = len(inputs)
    uneven = [row for rows in yields if len(rows) != count for row in rows]
    fresh = sum(row.get(ROW_ID) not in by_id for row in uneven)
    spread = 0
    parents: list[Row] = []
    for rows in yields:
        for position, row in enumerate(rows):
            parent = by_id.get(row.get(ROW_ID, ""))
            if parent is None and len(rows) == count:
                parent = inputs[position]
            elif parent is None:
                parent = inputs[spread * count // fresh]
                spread += 1
            parents.append(parent)
    families: dict[str, list[Row]] = {}
    result: list[tuple[Row, Row]] = []
    alone = _ids_of_one(parents)
    for row, parent in zip((row for rows in yields for row in rows), parents, strict=True):
        parent_id = parent[ROW_ID]
        if parent_id in alone:
            result.append((inherit(row, parent), parent))
            continue
        family = families.setdefault(parent_id, [])
        child = {**row, ROW_ID: child_id(parent_id, len(family))}
        family.append(child)
        result.append((child, parent))
    for parent_id, family in families.items():
        number_equal_rows(family, by_id[parent_id].get(DRAW, 0), columns)
    return result


def inherit(row: Row, parent: Row) -> Row:
    """`row` with the identity of `parent`."""
    if ROW_ID not in row and DRAW not in row:
        named = row.copy()
    elif row.get(ROW_ID) == parent.get(ROW_ID) and row.get(DRAW) == parent.get(DRAW):
        return row
    else:
        named = content(row)
    for name in (ROW_ID, DRAW):
        if name in parent:
            named[name] = parent[name]
    return named


def _ids_of_one(parents: Sequence[Row]) -> set[str]:
    """The ids of the parents that occur once."""
    counts: dict[str, int] = {}
    for parent in parents:
        counts[parent[ROW_ID]] = counts.get(parent[ROW_ID], 0) + 1
    return {row_id for row_id, count in counts.items() if count == 1}
