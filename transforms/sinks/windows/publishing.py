"""A pane becomes final: its files, then its window's ledger, then the commit on the Hub.

Whatever of this was done before a worker died isn't done again: the ledger has sums of the rows, so
that a window that comes again is recognised, and the place of the last commit, so that the history
since then tells whether the next one was made.
"""

from __future__ import annotations

import contextlib
import logging
import os
import posixpath
import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.coders import StrUtf8Coder
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from fsspec.implementations.local import LocalFileSystem

from beam_distilabel.card import build_card
from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.filesystems import open_file, url_to_fs, write_file
from beam_distilabel.hub import Destination, Publication, StoredFile, commit_once
from beam_distilabel.hub.publication import MAX_FILE_BYTES, MAX_FILES, digest_of
from beam_distilabel.layout import CARD_FILE, shard_name, window_of
from beam_distilabel.manifest import Manifest, WrittenFile
from beam_distilabel.schema import storage_schema
from beam_distilabel.summary import SubsetSummary, summarize_manifest
from beam_distilabel.transforms.sinks.publishing import note_base, place_of
from beam_distilabel.transforms.sinks.stages import Finished, manifest_of
from beam_distilabel.transforms.sinks.windows.ledger import (
    Ledgers,
    Part,
    WindowLedger,
    add_content,
    matching,
    merged_manifest,
)
from beam_distilabel.transforms.sinks.windows.planning import Pane, PaneResult
from beam_distilabel.transforms.sinks.windows.schemas import (
    read_schema_text,
    read_schemas,
    schema_text,
)

KEPT_SECONDS = 3600.0
"""How long staged files stay once their pane is published: a runner that goes on from its own
checkpoint may come with them again, and with other rows of the window."""

logger = logging.getLogger(__name__)


class PublishPanes(beam.DoFn):
    """Publishes one pane after the other; gives the manifest of each.

    Args:
        path: the result's folder.
        split: what rows are written as.
        destination: the repository on the Hub, if there is one.
    """

    # One element of the key after the other; and where the last commit was.
    BASE = beam.DoFn.StateParam(ReadModifyWriteStateSpec("base", StrUtf8Coder()))

    def __init__(self, path: str, split: str, destination: Destination | None) -> None:
        self._path = path
        self._split = split
        self._destination = destination

    def setup(self) -> None:
        self._ledgers = Ledgers(self._path)
        self._staged: deque[tuple[float, list[str]]] = deque()

    def process(
        self,
        together: tuple[str, list[PaneResult]],
        base: Any = BASE,
    ) -> Iterator[Manifest]:
        results = together[1]
        pane = results[0]["pane"]
        done = [result["finished"] for result in results if result["finished"] is not None]
        ledger = self._ledgers.read(pane["window"]) or WindowLedger(window=pane["window"], parts=[])
        parts = matching(ledger, pane["pane"], pane["content"])
        if parts:
            ledger, part = _recognised(ledger, parts, pane)
        elif pane["known"]:
            raise DistilabelError(
                f"WriteDistiset: the ledger of the window {pane['window']} in {self._path} was "
                "changed or removed while the pipeline ran; run it again."
            )
        elif any(
            part["pane"] == pane["pane"] and part["planned"] > pane["planned"]
            for part in ledger["parts"]
        ):
            logger.info("A later attempt has written the window %s", pane["window"])
            return
        else:
            ledger, part = self._write(ledger, pane, done)
        self._ledgers.write(ledger)
        if not parts:
            self._ledgers.replaced(pane["window"])
        self._drop_staged(pane)
        if self._destination is not None:
            self._commit(self._destination, ledger, part, base)
        self._write_card()
        yield part["manifest"]

    # -- files -----------------------------------------------------------------------------------

    def _write(
        self, ledger: WindowLedger, pane: Pane, finished: Sequence[Finished]
    ) -> tuple[WindowLedger, Part]:
        """Give a pane's files their names; what an earlier attempt had in their place goes."""
        window = pane["window"]
        kept = [
            part
            for part in ledger["parts"]
            # Those that this attempt planned after this pane have overtaken it.
            if part["pane"] < pane["pane"] or part["planned"] > pane["planned"]
        ]
        gone = [part for part in ledger["parts"] if part not in kept]
        number = max((part["part"] for part in kept), default=-1) + 1
        manifest: Manifest = {}
        name = f"{window}.p{number}" if number else window
        for subset in sorted({task["subset"] for task in finished}):
            mine = sorted((t for t in finished if t["subset"] == subset), key=lambda t: t["index"])
            manifest[subset] = manifest_of(mine)
            files = [file for task in mine for file in task["files"]]
            for index, file in enumerate(files):
                final = f"{subset}/{shard_name(self._split, index, len(files), name)}"
                _place(file["path"], posixpath.join(self._path, final))
                manifest[subset]["files"].append(WrittenFile(**{**file, "path": final}))
        part = Part(
            pane=pane["pane"],
            part=number,
            planned=pane["planned"],
            attempt=pane["attempt"],
            content=pane["content"],
            manifest=manifest,
            replaced=[],
            commit=None,
        )
        parts = sorted([*kept, part], key=lambda part: part["pane"])
        there = set(_paths(parts))
        replaced = [*_paths(gone), *(path for old in gone for path in old["replaced"])]
        part["replaced"] = sorted(set(replaced) - there)
        self._remove_others(window, there, [*manifest, *(s for p in gone for s in p["manifest"])])
        return WindowLedger(window=window, parts=parts), part

    def _remove_others(self, window: str, there: set[str], subsets: Sequence[str]) -> None:
        """Remove a window's files that no part has: of an attempt that was cut off, or replaced."""
        filesystem, folder = url_to_fs(self._path)
        for subset in sorted(set(subsets)):
            pattern = f"{self._split}-{window}*.parquet*"
            for found in filesystem.glob(posixpath.join(folder, _literal(subset), pattern)):
                name = posixpath.basename(found)
                part = window_of(name.removesuffix(".part")) or ""
                mine = part.partition(".p")[0] == window
                if mine and f"{subset}/{name}" not in there:
                    filesystem.rm_file(found)

    def _drop_staged(self, pane: Pane) -> None:
        now = time.monotonic()
        self._staged.append((now, pane["staged"]))
        while self._staged and self._staged[0][0] < now - KEPT_SECONDS:
            for path in self._staged.popleft()[1]:
                filesystem, name = url_to_fs(path)
                with contextlib.suppress(FileNotFoundError):
                    filesystem.rm_file(name)

    # -- the Hub and the card --------------------------------------------------------------------

    def _commit(
        self, destination: Destination, ledger: WindowLedger, part: Part, base: Any
    ) -> None:
        place = place_of(destination)
        known = part["commit"]
        if known is not None and known["place"] == place:
            return
        if base.read():
            destination = destination.since(base.read(), frozenset())
        files = [
            StoredFile(
                posixpath.join(self._path, file["path"]),
                file["path"],
                file["bytes"],
                file["sha256"],
            )
            for written in part["manifest"].values()
            for file in written["files"]
        ]
        _check_files(files)
        number = f".p{part['part']}" if part["part"] else ""
        publication = Publication(
            files=files,
            replaces={},
            removes=part["replaced"],
            content=digest_of(files, {"replaced": "\n".join(part["replaced"])}),
            window=f"{ledger['window']}{number}",
            texts=destination.script,
            make_card=partial(
                build_card,
                self._summaries(),
                location=destination.repo_id,
                revision=destination.target.revision,
                with_section=destination.target.generate_card,
            ),
        )
        # Only what is equal is the same: a window may be written, and committed, again with others.
        record = commit_once(destination.again(), publication)
        logger.info("The window %s is published: %s", publication.window, record.url)
        part["commit"] = {"place": place, "commit": record.commit, "url": record.url}
        part["replaced"] = []
        self._ledgers.write(ledger)
        base.write(record.commit)
        note_base(self._path, destination, record.commit)

    def _summaries(self) -> list[SubsetSummary]:
        schemas = {
            name: schema_text(storage_schema(read_schema_text(text)))
            for name, text in read_schemas(self._path).items()
        }
        return summarize_manifest(merged_manifest(self._ledgers.all(), schemas))

    def _write_card(self) -> None:
        """The card in the folder: with it, `datasets` loads all windows as one dataset."""
        name = posixpath.join(self._path, CARD_FILE)
        filesystem, file = url_to_fs(name)
        existing = None
        if filesystem.exists(file):
            with open_file(name, "r") as stream:
                existing = stream.read()
        write_file(name, build_card(self._summaries(), location=self._path, existing=existing))


def _recognised(ledger: WindowLedger, parts: list[Part], pane: Pane) -> tuple[WindowLedger, Part]:
    """The ledger with `parts`, which have the rows of `pane`, as the part of that pane."""
    first = parts[0]
    if len(parts) > 1:
        content = first["content"]
        for part in parts[1:]:
            content = add_content(content, part["content"])
        place = first["commit"]["place"] if first["commit"] else None
        together = all(p["commit"] and p["commit"]["place"] == place for p in parts)
        first = Part(
            pane=pane["pane"],
            part=parts[-1]["part"],  # the next one's files must have other names
            planned=first["planned"],
            attempt=first["attempt"],
            content=content,
            manifest=merged_manifest([WindowLedger(window="", parts=parts)], {}),
            replaced=[path for part in parts for path in part["replaced"]],
            commit=parts[-1]["commit"] if together else None,
        )
    first["planned"], first["pane"] = pane["planned"], pane["pane"]
    first["attempt"] = pane["attempt"]
    others = [part for part in ledger["parts"] if part not in parts]
    ordered = sorted([*others, first], key=lambda part: part["pane"])
    return WindowLedger(window=ledger["window"], parts=ordered), first


def _paths(parts: Sequence[Part]) -> list[str]:
    return [
        file["path"]
        for part in parts
        for written in part["manifest"].values()
        for file in written["files"]
    ]


def _check_files(files: Sequence[StoredFile]) -> None:
    large = next((file for file in files if file.size > MAX_FILE_BYTES), None)
    if large is not None or len(files) > MAX_FILES:
        found = f"{len(files)} files" if large is None else f"a file of {large.size:,} bytes"
        raise DistilabelUserError(
            f"WriteDistiset: a window can't be one commit on the Hub: it has {found}, and a commit "
            f"takes {MAX_FILES} files of {MAX_FILE_BYTES:,} bytes. Take shorter windows."
        )


def _place(source: str, target: str) -> None:
    """Let a staged file appear at `target` as a whole; it stays where it is, too."""
    filesystem, name = url_to_fs(source)
    _, final = url_to_fs(target)
    if not filesystem.exists(name):
        raise DistilabelError(
            f"WriteDistiset: the staged file {source} is gone; was the staging folder removed "
            "while the pipeline ran?"
        )
    filesystem.makedirs(posixpath.dirname(final), exist_ok=True)
    if not isinstance(filesystem, LocalFileSystem):
        filesystem.cp_file(name, final)
        return
    part = f"{final}.part"
    if os.path.exists(final) and os.path.samefile(name, final):
        return  # by an attempt before; to rename one link to the other would leave both
    with contextlib.suppress(FileNotFoundError):
        os.remove(part)
    try:
        os.link(name, part)
    except OSError:  # a filesystem without links
        shutil.copyfile(name, part)
    os.replace(part, final)


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


__all__ = ["KEPT_SECONDS", "PublishPanes"]
