"""What Tasks read rows and answers with: columns of text, JSON objects, numbered scores."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence, Set
from typing import Any

from beam_distilabel.errors import ParseError
from beam_distilabel.row import Row
from beam_distilabel.transforms.tasks.json_answers import json_answer

_SCORE = re.compile(
    r"(?:(?<![\d.])(\d{1,4})[\W_]{0,10})?"  # the number of what is scored
    r"\bscore(?:[^\w\n]|_){0,10}?(?<!-)(\d{1,6}(?:\.\d{1,6})?)(?![\d.]*\d)",
    re.IGNORECASE,
)


def text_of(row: Row, column: str) -> str:
    """The text in a column.

    Raises:
        ValueError: there is something else.
    """
    value = row.get(column)
    if not isinstance(value, str):
        raise ValueError(f"the column {column!r} has {type(value).__name__}, expected text")
    return value


def texts_of(row: Row, column: str) -> list[str]:
    """The texts in a column that has a list of them, without those that are None.

    Raises:
        ValueError: there is something else, or no text at all.

    Example:
        >>> texts_of({"generations": ["a", None]}, "generations")
        ['a']
    """
    values = row.get(column)
    if not isinstance(values, (list, tuple)) or not all(
        value is None or isinstance(value, str) for value in values
    ):
        raise ValueError(f"the column {column!r} needs a list of texts, got {str(values)[:80]!r}")
    texts = [value for value in values if value is not None]
    if not texts:
        raise ValueError(f"the column {column!r} has no text")
    return texts


def beside(values: Sequence[Any], texts: Sequence[str | None]) -> list[Any]:
    """`values`, one per text, with None beside each text that is None.

    Example:
        >>> beside([5, 1], ["a", None, "b"])
        [5, None, 1]
    """
    left = iter(values)
    return [None if text is None else next(left) for text in texts]


def json_object(text: str, keys: Set[str]) -> dict[str, Any] | None:
    """The JSON object that an answer comes to, see `json_answer`.

    Args:
        text: the answer.
        keys: it has one of these at least.

    Returns:
        The object; None where there is none.

    Example:
        >>> json_object('Sure: {"scores": [1]}', {"scores"})
        {'scores': [1]}
        >>> json_object("Rationale: {} is empty.", {"scores"}) is None
        True
    """
    try:
        found = json_answer(text, dict, lambda value: not keys.isdisjoint(value))
    except ParseError:
        return None
    return None if keys.isdisjoint(found) else found


def json_list(found: dict[str, Any], key: str, count: int) -> list[Any]:
    """The list of `count` items under a key of a JSON object.

    Raises:
        ParseError: there is none, or its length is another: which item is whose can't be told.
    """
    values = found.get(key)
    if not isinstance(values, list):
        raise ParseError(f"expected a list under {key!r}, got {type(values).__name__}")
    if len(values) != count:
        raise ParseError(f"expected {count} items in {key!r}, got {len(values)}")
    return values


def number_of(value: Any, low: float, high: float) -> float | None:
    """A JSON value as a number of a scale; None where it is none, or outside of it.

    Example:
        >>> number_of("4", 1, 5), number_of(9, 1, 5), number_of(True, 1, 5)
        (4.0, None, None)
    """
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,6}(\.[0-9]{1,6})?\s*", value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if low <= value <= high else None


def scores_of(text: str | None, count: int, low: float = 1, high: float = 6) -> list[float | None]:
    """The scores that a judge gave to `count` numbered texts, whatever order it wrote them in.

    Args:
        text: lines such as `[1] Score: 3`, or JSON: `{"scores": [3, ...]}`.
        count: how many texts there were.
        low: the lowest score that means something.
        high: the highest one.

    Returns:
        `count` scores; None for a text that has none, or one outside of the scale.

    Raises:
        ParseError: there is no score, or it can't be told which text a score belongs to.

    Example:
        >>> scores_of("[2] Score: 5\\n**[1] Score:** 3 (easy)", 3)
        [3.0, 5.0, None]
    """
    if text is None:
        raise ParseError("the judge gave no answer")
    found = json_object(text, {"scores"})
    if found is not None:
        scores = [number_of(value, low, high) for value in json_list(found, "scores", count)]
    else:
        scores = _by_number(text, count, low, high)
    if all(score is None for score in scores):
        raise ParseError(f"no text has a score from {low} to {high}")
    return scores


def _by_number(text: str, count: int, low: float, high: float) -> list[float | None]:
    pairs = [(match[1], number_of(match[2], low, high)) for match in _SCORE.finditer(text)]
    if not pairs:
        raise ParseError("expected lines such as '[1] Score: 3', found none")
    if all(number is None for number, _ in pairs):
        if len(pairs) != count:
            raise ParseError(f"expected {count} scores, got {len(pairs)}, which have no numbers")
        return [score for _, score in pairs]
    scores: dict[int, float | None] = {}
    for number, score in pairs:
        if number is None:
            continue  # a remark on all of them
        if scores.setdefault(int(number), score) != score:
            raise ParseError(f"text {number} has two scores")
    return [scores.get(number) for number in numbers_of(scores, count)]


def numbers_of(found: Collection[int], count: int) -> range:
    """The numbers under which a judge wrote about `count` texts: 1 and up, or all from 0.

    Raises:
        ParseError: it began with 0, and left out or added some.

    Example:
        >>> numbers_of([0, 1], 2), numbers_of([2], 2)
        (range(0, 2), range(1, 3))
    """
    if 0 not in found:
        return range(1, count + 1)
    if set(found) != set(range(count)):
        raise ParseError(f"the {count} texts are numbered from 1, the answer begins with 0")
    return range(count)


def numbered(texts: list[str]) -> str:
    """Texts after their numbers in brackets, from 1.

    Example:
        >>> numbered(["Add.", "Prove."])
        '[1] Add.\\n[2] Prove.'
    """
    return "\n".join(f"[{number}] {text}" for number, text in enumerate(texts, 1))


def scores_schema(title: str) -> dict[str, Any]:
    """The JSON schema of an object that has a list of whole numbers, `scores`."""
    scores = {"items": {"type": "integer"}, "title": "Scores", "type": "array"}
    return {
        "properties": {"scores": scores},
        "required": ["scores"],
        "title": title,
        "type": "object",
    }


__all__ = [
    "beside",
    "json_list",
    "json_object",
    "number_of",
    "numbered",
    "numbers_of",
    "scores_of",
    "scores_schema",
    "text_of",
    "texts_of",
]
