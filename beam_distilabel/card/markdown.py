"""Markdown that no name, number or model's answer can break out of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

MAX_ROWS = 100
"""A table of more rows says how many it leaves out."""
MAX_CELL = 300
"""A longer text in a cell is cut."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MARKUP = re.compile(r"[&<>|`*\[\]\\~$]|(?<![^\W_])_|_(?![^\W_])")


def one_line(value: Any) -> str:
    """`value` as text in one line, cut at `MAX_CELL` characters.

    Example:
        >>> one_line("a\\nb")
        'a b'
    """
    line = _CONTROL.sub(" ", str(value)).strip()
    return line if len(line) <= MAX_CELL else f"{line[:MAX_CELL]}..."


def plain(value: Any) -> str:
    """`value` as one line that Markdown shows as it is, in a table too.

    Example:
        >>> plain("too_long | <b>"), plain(1_000), plain(None)
        ('too_long &#124; &#60;b&#62;', '1000', '')
    """
    return "" if value is None else _escaped(one_line(value))


def code(value: Any) -> str:
    """`value` as one line of code, in a table too.

    Example:
        >>> code("judge"), code("a|b"), code("")
        ('`judge`', '<code>a&#124;b</code>', '')
    """
    line = one_line(value)
    if not line:
        return ""
    # A backslash before a bar, or a backtick, would end the cell or the code.
    return f"<code>{_escaped(line)}</code>" if re.search(r"[|`]", line) else f"`{line}`"


def fenced(text: str, language: str = "") -> str:
    """`text` as a block of code, in a fence longer than any in it.

    Example:
        >>> print(fenced("a", "text"))
        ```text
        a
        ```
    """
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of finished cells; a column whose name ends in a colon is aligned to the right.

    Example:
        >>> print(table(["step", "rows:"], [["load", "2"]]))
        | step | rows |
        |---|---:|
        | load | 2 |
    """
    lines = [
        f"| {' | '.join(name.rstrip(':') for name in head)} |",
        f"|{'|'.join('---:' if name.endswith(':') else '---' for name in head)}|",
    ]
    body = [f"| {' | '.join(row)} |" for row in rows]
    text = "\n".join([*lines, *body[:MAX_ROWS]])
    left_out = len(body) - MAX_ROWS
    return text if left_out <= 0 else f"{text}\n\n{left_out:,} more aren't shown."


def number(value: Any) -> str:
    """A count with separators; nothing for what isn't one.

    Example:
        >>> number(12345), number(None)
        ('12,345', '')
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    return f"{value:,}"


def size(count: int) -> str:
    """A number of bytes for people.

    Example:
        >>> size(999), size(1_500), size(2_340_000_000)
        ('999 B', '1.5 kB', '2.3 GB')
    """
    if count < 1_000:
        return f"{count} B"
    scaled = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        scaled /= 1_000
        if scaled < 999.95:
            return f"{scaled:.1f} {unit}"
    return f"{scaled / 1_000:.1f} PB"


def _escaped(line: str) -> str:
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", line)
