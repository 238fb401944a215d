"""From a written result to one commit on the Hub: workers send shards, one of them commits."""

from __future__ import annotations

import json
import logging
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.typehints.decorators import no_annotations

from beam_distilabel.card import build_card
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import open_file, url_to_fs, write_file
from beam_distilabel.hub import (
    CommitRecord,
    Destination,
    Publication,
    StoredFile,
    commit_once,
    upload,
)
from beam_distilabel.hub.publication import (
    MAX_FILE_BYTES,
    MAX_FILES,
    OTHER_FILES,
    digest_of,
)
from beam_distilabel.manifest import Manifest
from beam_distilabel.summary import summarize_manifest
from beam_distilabel.transforms.sinks.stages import Finished

_ATTEMPT_FILE = ".publication.json"

COMMITS = "commits"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Companions:
    """What is committed beside the shards.

    Attributes:
        texts: path in the repository to content; secrets are removed before they are published.
        artifacts: path in the repository to the path of a file, on any filesystem.
        make_card: the README, as `build_card` makes it, given its `existing`, `hide` and
            `with_section`; only what the manifest tells if None.
        content: texts that tell attempts apart whose shards are equal.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    make_card: Callable[..., str] | None = None
    content: Mapping[str, str] = field(default_factory=dict)


FindCompanions = Callable[..., Companions]
"""(manifest, *side inputs) to what goes with it; called on the worker that commits."""


def most_files(subsets: int) -> int:
    """How many shards each of `subsets` may have, so that all fit one commit.

    Raises:
        DistilabelUserError: there are too many subsets.
    """
    room = MAX_FILES - OTHER_FILES
    if subsets > room:
        raise DistilabelUserError(
            f"WriteDistiset: {subsets} subsets don't fit one commit of {MAX_FILES} files on the "
            "Hub; publish them to several repositories."
        )
    return room // subsets


def check_size(expected: int | None, subsets: int, who: str) -> None:
    """Raise if a result of about `expected` bytes can't be one commit.

    Raises:
        DistilabelUserError: it can't; with the remedy.
    """
    most = most_files(subsets) * subsets * MAX_FILE_BYTES
    if expected is not None and expected > most:
        raise DistilabelUserError(
            f"{who}: about {expected:,} bytes are expected, and one commit on the Hub takes "
            f"{most:,} ({MAX_FILES} files of {MAX_FILE_BYTES:,} bytes). Publish to several "
            "repositories (a run for each part of the input), or keep fewer columns."
        )


def with_earlier_base(path: str, destination: Destination) -> Destination:
    """`destination` with the base of an earlier launch whose commit was never confirmed.

    That launch may have committed all the same; its commit lies before this launch. The base is
    noted in the result's folder until a commit is confirmed.
    """
    place = place_of(destination)
    name = posixpath.join(path, _ATTEMPT_FILE)
    filesystem, file = url_to_fs(name)
    if filesystem.exists(file):
        try:
            with open_file(name, "r") as stream:
                known = json.load(stream)
            if {key: known[key] for key in place} == place:
                pull_requests = frozenset(known["pull_requests"])
                return destination.since(str(known["base"]), pull_requests)
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("%s can't be read (%r) and is written anew", name, error)
    note_base(path, destination, destination.base)
    return destination


def place_of(destination: Destination) -> dict[str, Any]:
    """What tells where commits go, as JSON."""
    return {
        "endpoint": destination.endpoint,
        "repo_id": destination.repo_id,
        "revision": destination.revision,
        "create_pr": destination.target.create_pr,
    }


def note_base(path: str, destination: Destination, base: str) -> None:
    """Note in the result's folder after which commit a later launch looks for commits of ours."""
    noted = {
        **place_of(destination),
        "base": base,
        "pull_requests": sorted(destination.base_pull_requests),
    }
    write_file(posixpath.join(path, _ATTEMPT_FILE), json.dumps(noted))


class UploadShards(beam.DoFn):
    """Send finished shards to the Hub; passes on what it gets."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination

    def process(self, finished: Finished) -> Iterator[Finished]:
        upload_finished(self._destination, finished)
        yield finished


def upload_finished(destination: Destination, finished: Finished) -> None:
    """Send finished shards to the Hub; a commit gives them their names."""
    # The Hub knows contents by their hash.
    files = [
        StoredFile(
            file["path"],
            posixpath.join(finished["subset"], posixpath.basename(file["path"])),
            file["bytes"],
            file["sha256"],
        )
        for file in finished["files"]
    ]
    if files and all(file.size <= MAX_FILE_BYTES for file in files):
        upload(destination, files)


class CommitToHub(beam.DoFn):
    """Commit a written result once; passes its manifest on, and the commit to `COMMITS`.

    No shard is read: the manifest has their hashes, and the card's facts.

    Args:
        destination: the repository.
        path: the result's folder.
        find: what is committed beside the shards; only a card if None.
        splits: replace these splits of a config only; None replaces whole configs.
    """

    def __init__(
        self,
        destination: Destination,
        path: str,
        find: FindCompanions | None = None,
        splits: frozenset[str] | None = None,
    ) -> None:
        self._destination = destination
        self._path = path
        self._find = find
        self._splits = splits

    # Beam would read `*sides` as one side input that is a tuple.
    @no_annotations  # type: ignore[untyped-decorator]
    def process(self, manifest: Manifest, *sides: Any) -> Iterator[Any]:
        record = publish_manifest(
            self._destination,
            self._path,
            manifest,
            Companions() if self._find is None else self._find(manifest, *sides),
            splits=self._splits,
        )
        logger.info("Published: %s", record.url)
        yield beam.pvalue.TaggedOutput(COMMITS, record)
        yield manifest


def publish_manifest(
    destination: Destination,
    path: str,
    manifest: Manifest,
    companions: Companions,
    *,
    splits: frozenset[str] | None = None,
) -> CommitRecord:
    """Commit the result in `path`, whose shards the Hub has.

    Args:
        destination: the repository.
        path: the result's folder.
        manifest: what its write told.
        companions: what else is committed.
        splits: replace these splits of a config only; None replaces whole configs.

    Raises:
        DistilabelUserError: the result doesn't fit one commit, or the token may not write.
        DistilabelError: the Hub stayed unreachable or busy.
    """
    # `datasets` can't load a split without rows, nor a config that has one.
    manifest = {
        name: {**subset, "files": [file for file in subset["files"] if file["rows"]]}
        for name, subset in manifest.items()
    }
    files = [
        StoredFile(posixpath.join(path, file["path"]), file["path"], file["bytes"], file["sha256"])
        for subset in manifest.values()
        for file in subset["files"]
    ]
    large = next((file for file in files if file.size > MAX_FILE_BYTES), None)
    if large is not None or len(files) > MAX_FILES:
        found = f"{len(files)} files" if large is None else f"a file of {large.size:,} bytes"
        raise DistilabelUserError(
            f"the result in {path} can't be one commit on the Hub: it has {found}, and a commit "
            f"takes {MAX_FILES} files of {MAX_FILE_BYTES:,} bytes. Nothing was published; push "
            "its subsets to several repositories, each opened with create_distiset."
        )
    make_card = companions.make_card or partial(
        build_card,
        summarize_manifest(manifest, splits or ()),
        location=destination.repo_id,
        revision=destination.target.revision,
        keep_other_splits=splits is not None,
    )
    filesystem, noted = url_to_fs(posixpath.join(path, _ATTEMPT_FILE))
    if not filesystem.exists(noted):
        # This launch's commit is confirmed: a pipeline that runs again publishes anew.
        destination = destination.again()
    publication = Publication(
        files=files,
        replaces=dict.fromkeys(manifest, splits),
        content=digest_of(files, companions.content),
        texts={**companions.texts, **destination.script},
        artifacts=companions.artifacts,
        make_card=partial(make_card, with_section=destination.target.generate_card),
    )
    record = commit_once(destination, publication)
    if filesystem.exists(noted):
        filesystem.rm_file(noted)
    return record
