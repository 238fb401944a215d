"""What is known of each window: one JSON file per window, on the result's filesystem.

A window's ledger is the mark that it is done: a job that runs again finds it, compares sums, and
neither writes nor commits the window again.
"""

from __future__ import annotations

import contextlib
import json
import posixpath
from collections.abc import Mapping
from typing import Any, TypedDict

from beam_distilabel.filesystems import open_file, url_to_fs, write_file
from beam_distilabel.layout import WINDOWS_FOLDER
from beam_distilabel.manifest import Manifest, WrittenSubset

_MODULUS = 1 << 128
_SUFFIX = ".json"
_REPLACE = ".replace"


class Sums(TypedDict):
    """What rows of a subset sum up to, whatever their order.

    Keys:
        rows: how many.
        digest: the sum of their digests, modulo 2^128, in hex.
    """

    rows: int
    digest: str


Content = dict[str, Sums]
"""Subset to the sums of its rows; subsets without rows are left out."""


def add_content(one: Mapping[str, Sums], other: Mapping[str, Sums]) -> Content:
    """The sums of both.

    Example:
        >>> add_content({"a": Sums(rows=1, digest="f")}, {"a": Sums(rows=1, digest="1")})
        {'a': {'rows': 2, 'digest': '10'}}
    """
    total: Content = {name: Sums(**sums) for name, sums in one.items()}
    for name, sums in other.items():
        known = total.get(name, Sums(rows=0, digest="0"))
        digest = (int(known["digest"], 16) + int(sums["digest"], 16)) % _MODULUS
        total[name] = Sums(rows=known["rows"] + sums["rows"], digest=f"{digest:x}")
    return total


class Part(TypedDict):
    """What one pane of a window has brought.

    Keys:
        pane: the pane's index.
        part: its number in the names of files; the first has 0.
        planned: when it was planned, in nanoseconds: of two attempts the later one holds.
        attempt: which start of a job it is of, or was last found again by.
        content: the sums of its rows.
        manifest: what was written.
        replaced: paths of files of an earlier attempt that went, until that is committed.
        commit: where that was published, by `place_of`, and as what; None for nowhere.
    """

    pane: int
    part: int
    planned: int
    attempt: str
    content: Content
    manifest: Manifest
    replaced: list[str]
    commit: dict[str, Any] | None


class WindowLedger(TypedDict):
    """What is known of a window.

    Keys:
        window: its name.
        parts: in the order of their panes.
    """

    window: str
    parts: list[Part]


def matching(ledger: WindowLedger | None, pane: int, content: Content) -> list[Part]:
    """The parts, from that of `pane` on, that together have `content`; none if there are none.

    What was late in one attempt may be in time in another: the rows are the same.
    """
    found: list[Part] = []
    total: Content = {}
    for part in ledger["parts"] if ledger else ():
        if part["pane"] < pane:
            continue
        found.append(part)
        total = add_content(total, part["content"])
        if total == content:
            return found
    return []


def lost_rows(
    ledger: WindowLedger | None, pane: int, content: Content, attempt: str
) -> dict[str, tuple[int, int]]:
    """What `content` would leave less of in place of what other attempts have, from `pane` on.

    Args:
        ledger: of the window.
        pane: the number of the pane that has come.
        content: its sums.
        attempt: that it is of. What the same attempt had before, until its runner went back to a
            checkpoint, doesn't count: the runner gives those rows again, if in other panes.

    Returns:
        Subset to the rows that are there, and to those that would take their place.
    """
    there: Content = {}
    for part in ledger["parts"] if ledger else ():
        if part["pane"] >= pane and part["attempt"] != attempt:
            there = add_content(there, part["content"])
    found = {}
    for name, sums in there.items():
        rows = content[name]["rows"] if name in content else 0
        if rows < sums["rows"]:
            found[name] = (sums["rows"], rows)
    return found


class Ledgers:
    """The ledgers in a result's folder; those that haven't changed aren't read again.

    Args:
        path: the result's folder.
    """

    def __init__(self, path: str) -> None:
        self._folder = posixpath.join(path, WINDOWS_FOLDER)
        self._known: dict[str, tuple[Any, WindowLedger]] = {}

    def read(self, window: str) -> WindowLedger | None:
        """A window's ledger as it is now."""
        name = posixpath.join(self._folder, f"{window}{_SUFFIX}")
        filesystem, file = url_to_fs(name)
        if not filesystem.exists(file):
            return None
        with open_file(name, "r") as stream:
            ledger: WindowLedger = json.load(stream)
        return ledger

    def write(self, ledger: WindowLedger) -> None:
        """Replace a window's ledger."""
        name = posixpath.join(self._folder, f"{ledger['window']}{_SUFFIX}")
        write_file(name, json.dumps(ledger))

    def replace_file(self, window: str) -> str:
        """The file with which a person says that a window may be replaced by fewer rows."""
        return posixpath.join(self._folder, f"{window}{_REPLACE}")

    def may_lose(self, window: str) -> bool:
        """Whether that file is there."""
        filesystem, file = url_to_fs(self.replace_file(window))
        filesystem.invalidate_cache(posixpath.dirname(file))
        return bool(filesystem.exists(file))

    def replaced(self, window: str) -> None:
        """Remove that file, if it is there: it was for one time."""
        filesystem, file = url_to_fs(self.replace_file(window))
        with contextlib.suppress(FileNotFoundError):
            filesystem.rm_file(file)

    def all(self) -> list[WindowLedger]:
        """All windows' ledgers, in the order of the windows."""
        filesystem, folder = url_to_fs(self._folder)
        if not filesystem.isdir(folder):
            return []
        filesystem.invalidate_cache(folder)
        found: dict[str, tuple[Any, WindowLedger]] = {}
        for entry in filesystem.ls(folder, detail=True):
            name = posixpath.basename(entry["name"])
            # Other files here have names that begin otherwise.
            if not name.endswith(_SUFFIX) or not name[0].isdigit():
                continue
            changed = entry.get("mtime") or entry.get("ETag") or entry.get("LastModified")
            mark = (entry["size"], changed or entry.get("created"))
            window = name.removesuffix(_SUFFIX)
            known = self._known.get(window)
            if known is not None and known[0] == mark:
                found[window] = known
            elif (ledger := self.read(window)) is not None:
                found[window] = (mark, ledger)
        self._known = found
        return [found[window][1] for window in sorted(found)]


def merged_manifest(ledgers: list[WindowLedger], schemas: Mapping[str, str]) -> Manifest:
    """One manifest of all windows.

    Args:
        ledgers: in order.
        schemas: subset to the schema of all windows, as text.
    """
    merged: Manifest = {}
    for ledger in ledgers:
        for part in ledger["parts"]:
            for name, written in part["manifest"].items():
                known = merged.setdefault(
                    name, WrittenSubset(**{**written, "rows": 0, "files": []})
                )
                known["rows"] += written["rows"]
                known["files"] = [*known["files"], *written["files"]]
                known["sample"] = known["sample"] or written["sample"]
                known["arrow_schema"] = schemas.get(name, written["arrow_schema"])
    return merged
