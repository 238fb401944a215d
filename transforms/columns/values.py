"""The values of columns as Steps need them, or an error that says what is there instead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from beam_distilabel.errors import ColumnError
from beam_distilabel.row import Row


def described(value: Any) -> str:
    """What `value` is, for a message.

    Example:
        >>> described(None), described([1])
        ('empty (None)', 'a list')
    """
    return "empty (None)" if value is None else f"a {type(value).__name__}"


def value_in(row: Row, column: str) -> Any:
    """The value of a column that the row has to have.

    Raises:
        ColumnError: there is no such column.
    """
    try:
        return row[column]
    except KeyError:
        raise ColumnError(f"the row has no column {column!r}") from None


def text_in(row: Row, column: str) -> str:
    """The text in a column.

    Raises:
        ColumnError: there is no such column, or no text in it.

    Example:
        >>> text_in({"instruction": None}, "instruction")
        Traceback (most recent call last):
        ...
        beam_distilabel.errors.ColumnError: the column 'instruction' is empty (None), not a text
    """
    value = value_in(row, column)
    if not isinstance(value, str):
        raise ColumnError(f"the column {column!r} is {described(value)}, not a text")
    return value


def list_in(row: Row, column: str) -> list[Any]:
    """The list in a column.

    Raises:
        ColumnError: there is no such column, or no list in it.
    """
    value = value_in(row, column)
    if isinstance(value, list):
        return value
    if isinstance(value, tuple):
        return list(value)
    raise ColumnError(f"the column {column!r} is {described(value)}, not a list")


def check_equal_lengths(lengths: Iterable[tuple[str, int]]) -> None:
    """Raise where columns whose lists belong together are of different lengths.

    Raises:
        ColumnError: names the columns and the lengths.

    Example:
        >>> check_equal_lengths([("generations", 3), ("ratings", 2)])
        Traceback (most recent call last):
        ...
        beam_distilabel.errors.ColumnError: lists of different lengths: 'generations' 3, 'ratings' 2
    """
    named = list(lengths)
    if len({length for _, length in named}) > 1:
        told = ", ".join(f"{column!r} {length}" for column, length in named)
        raise ColumnError(f"lists of different lengths: {told}")


def named_once(columns: list[str]) -> list[str]:
    """`columns`, for a validator of a field.

    Raises:
        ValueError: there is none, one has no name, or one is named twice.
    """
    if not columns:
        raise ValueError("it names no column; name at least one.")
    for number, column in enumerate(columns):
        if not column:
            raise ValueError(f"{columns!r} has a column without a name.")
        if column in columns[:number]:
            raise ValueError(f"{columns!r} names the column {column!r} twice; name it once.")
    return columns
