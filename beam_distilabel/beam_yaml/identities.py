"""Which row an element of Beam's is, after transforms that know nothing of it. Pure.

Beam's transforms copy a field as they do any other, so Explode gives its value to several rows, and
a null may have been no column at all. The text tells of the row as it was sent: its id, its draw, a
digest of its content, and the names of the columns that it hadn't. A row whose content is another
one by now is a child of the row that was sent, named by its content: so rows that were made of one
differ wherever they arrive, and rows that were changed alike are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from beam_distilabel.row import DRAW, ROW_ID, Row, child_id, fingerprint

_PARTS = 4
_DIGITS = 16


def identity(row: Row, sent: Row, absent: Iterable[str]) -> str:
    """The text that goes with `row`.

    Args:
        row: the row.
        sent: its content, as it will be received.
        absent: the columns of `sent` that `row` hasn't.

    Example:
        >>> identity({"_row_id": "0-3", "_draw": 1}, {"a": 1, "b": None}, ["b"])
        '0-3#1#000040b05cd78ab9#b'
    """
    row_id = row.get(ROW_ID, "")
    digest = _digest(sent) if row_id else ""
    return f"{row_id}#{row.get(DRAW) or ''}#{digest}#{','.join(absent)}"


def identified(received: Row, text: Any) -> Row:
    """The row that was sent with `text`, or one that was made of it.

    Example:
        >>> text = identity({"_row_id": "0-3"}, {"tag": "x", "b": None}, ["b"])
        >>> identified({"tag": "x", "b": None}, text)
        {'tag': 'x', '_row_id': '0-3'}
        >>> identified({"tag": "y"}, text)["_row_id"].partition(".")[0]
        '0-3'
    """
    parts = text.rsplit("#", _PARTS - 1) if isinstance(text, str) else []
    if len(parts) != _PARTS:
        return received
    row_id, draw, digest, names = parts
    absent = frozenset(names.split(","))
    row = {n: value for n, value in received.items() if value is not None or n not in absent}
    if row_id:
        now = _digest(received)
        row[ROW_ID] = row_id if now == digest else child_id(row_id, int(now, 16))
        if draw.isdecimal():
            row[DRAW] = int(draw)
    return row


def _digest(content: Row) -> str:
    """Of all but nulls: Beam's Flatten adds those that only the other rows have."""
    told = {name: value for name, value in content.items() if value is not None}
    return fingerprint(told)[:_DIGITS]


__all__ = ["identified", "identity"]
