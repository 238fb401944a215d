"""The directory of a run: what is where, and whose it is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beam_distilabel.artifacts import STAGING_FOLDER
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import url_to_fs, write_file
from beam_distilabel.layout import is_local
from beam_distilabel.pipeline.run_lock import LEASES_FOLDER, LOCK_FILE

RUN_FILE = "run.json"

PROGRESS_FOLDER = "progress"

STAGES_FOLDER = "stages"
"""What the jobs of a run leave for the ones after them."""


def default_cache_dir() -> Path:
    """`DISTILABEL_CACHE_DIR`, or `~/.cache/beam_distilabel`."""
    configured = os.environ.get("DISTILABEL_CACHE_DIR")
    return Path(configured) if configured else Path.home() / ".cache" / "beam_distilabel"


def may_go_on(record: Mapping[str, Any], pipeline: str, is_named: bool) -> bool:
    """Whether a run may be one of a pipeline, by the record of `run.json`.

    Args:
        record: has the name of the run's pipeline.
        pipeline: the name of the one that asks.
        is_named: whether a person gave it that name; else it changes with the Steps, and says
            nothing.

    Example:
        >>> [may_go_on({"pipeline": "one"}, "two", is_named) for is_named in (True, False)]
        [False, True]
    """
    return record["pipeline"] == pipeline or not (is_named and record.get("is_named", True))


class RunDirectory:
    """A run directory on any filesystem that fsspec knows.

    Attributes:
        path: the directory, without a slash at its end.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        text = str(path).rstrip("/")
        self.path = os.path.abspath(os.path.expanduser(text)) if is_local(text) else text

    def file(self, name: str) -> str:
        """The full path of a file or folder in the directory."""
        return f"{self.path}/{name}"

    def check(self, pipeline: str, is_named: bool = True) -> dict[str, Any] | None:
        """The record of the run that the directory holds, None if it holds nothing.

        Args:
            pipeline: the name of the pipeline that wants to run in it.
            is_named: whether a person gave it that name; else it changes with the Steps, and says
                nothing.

        Raises:
            DistilabelUserError: it holds something else, or another pipeline's run.
        """
        filesystem, path = url_to_fs(self.path, auto_mkdir=True)
        if filesystem.isfile(path):
            raise DistilabelUserError(f"output_dir {self.path!r} is a file; name a folder.")
        try:
            known = self.read_json(RUN_FILE)
        except ValueError:
            known = {}
        if known is not None and (not isinstance(known, dict) or "pipeline" not in known):
            raise DistilabelUserError(
                f"{self.file(RUN_FILE)!r} can't be read as the record of a run; choose another "
                "output_dir, or remove this one."
            )
        if known is None and self._holds_files():
            raise DistilabelUserError(
                f"{self.path!r} holds files but no run of a pipeline (no {RUN_FILE}); choose "
                "another output_dir, or an empty one."
            )
        if known is not None and not may_go_on(known, pipeline, is_named):
            raise DistilabelUserError(
                f"{self.path!r} holds a run of the pipeline {known['pipeline']!r}, this one is "
                f"{pipeline!r}. To go on with that run, give the pipeline its name; else choose "
                "another output_dir."
            )
        return known

    def make(self) -> None:
        """Make the directory, if it isn't there.

        Raises:
            DistilabelUserError: it can't be made.
        """
        try:
            filesystem, path = url_to_fs(self.path, auto_mkdir=True)
            filesystem.makedirs(path, exist_ok=True)
        except OSError as error:
            raise self._not_writable(error) from error

    def claim(self, pipeline: str, record: dict[str, Any], is_named: bool = True) -> None:
        """Make the directory this pipeline's; a `RunLock` has to be held.

        Args:
            pipeline: the pipeline's name.
            record: what `run.json` says of the run.
            is_named: see `check`.

        Raises:
            DistilabelUserError: it holds something else, or another pipeline's run.
        """
        self.check(pipeline, is_named)
        try:
            for name in (PROGRESS_FOLDER, STAGING_FOLDER, STAGES_FOLDER):
                self.clear(name)
            self.write_json(RUN_FILE, {**record, "pipeline": pipeline})
        except OSError as error:
            raise self._not_writable(error) from error

    def _not_writable(self, error: OSError) -> DistilabelUserError:
        return DistilabelUserError(f"output_dir {self.path!r} can't be written to: {error}")

    def _holds_files(self) -> bool:
        filesystem, path = url_to_fs(self.path)
        if not filesystem.exists(path):
            return False
        names = (str(entry).rstrip("/").rpartition("/")[2] for entry in filesystem.ls(path, False))
        # A run that was killed before it wrote its record leaves its lock.
        return any(name not in (LOCK_FILE, LEASES_FOLDER) for name in names)

    def clear(self, name: str) -> None:
        """Remove a file or folder of the directory, if it is there."""
        filesystem, path = url_to_fs(self.file(name))
        if filesystem.exists(path):
            filesystem.rm(path, recursive=True)

    def write_text(self, name: str, text: str) -> None:
        """Write a file whole: a reader sees the old one or the new one."""
        write_file(self.file(name), text)

    def write_json(self, name: str, value: Any) -> None:
        self.write_text(name, json.dumps(value, indent=2, default=str))

    def read_json(self, name: str) -> Any:
        """The file's content, or None where there is none."""
        filesystem, path = url_to_fs(self.file(name))
        if not filesystem.exists(path):
            return None
        with filesystem.open(path, "r", encoding="utf-8") as file:
            return json.load(file)
