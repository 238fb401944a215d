"""Writes the tables of settings in docs/runners.md: `python -m tools.runner_tables`."""

from __future__ import annotations

from pathlib import Path

from beam_distilabel.runners import RUNNERS
from beam_distilabel.runners.describe import markdown_table, summary

PAGE = Path(__file__).resolve().parents[1] / "docs" / "runners.md"
_BEGIN = "<!-- the tables below are written by `python -m tools.runner_tables` -->"
_END = "<!-- the end of the tables -->"


def with_tables(page: str) -> str:
    """The page with the tables as they are to be."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the page has to have the lines {_BEGIN!r} and {_END!r}")
    tables = [
        f"### {name}\n\n{summary(kind)}\n\n{markdown_table(kind)}\n"
        for name, kind in RUNNERS.items()
    ]
    return f"{before}{_BEGIN}\n\n{chr(10).join(tables)}\n{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
