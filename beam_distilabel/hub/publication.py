"""What one commit has in it: shards, the card, and what made them; and what they replace."""

from __future__ import annotations

import fnmatch
import hashlib
import logging
import posixpath
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from fsspec.implementations.local import LocalFileSystem

from beam_distilabel.card.readme import BEGIN
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.hub.destination import Destination
from beam_distilabel.hub.upload import StoredFile, addition
from beam_distilabel.layout import (
    ARTIFACTS_FOLDER,
    CARD_FILE,
    LOG_FILE,
    PIPELINE_FILE,
    REPORT_FILE,
    split_of,
)
from beam_distilabel.redaction import redact

MAX_FILES = 100
"""Files in one commit: https://huggingface.co/docs/hub/repositories-recommendations says so."""

MAX_FILE_BYTES = 20_000_000_000

OTHER_FILES = 10
"""Room in a commit for what isn't a shard."""


class MakeCard(Protocol):
    """Makes the README of what there is, and of what hides secrets in our section."""

    def __call__(self, *, existing: str | None, hide: Callable[[str], str]) -> str: ...


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Publication:
    """The content of one commit, whatever the branch's head is.

    Attributes:
        files: the shards.
        replaces: config to the splits whose older shards go, None for all of them.
        content: digest of what is published: another attempt with an equal one is the same.
        window: in streaming, the window that is published.
        removes: paths in the repository that go, where they are there.
        texts: path in the repository to content; it is redacted before it is published.
        artifacts: path in the repository to the path of a file, on any filesystem.
        make_card: the README, given the one that is there and what hides secrets in our section.
    """

    files: Sequence[StoredFile]
    replaces: Mapping[str, frozenset[str] | None]
    content: str
    make_card: MakeCard
    window: str = ""
    removes: Sequence[str] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)

    def operations(self, destination: Destination, head: str, folder: Path) -> list[Any]:
        """The commit's operations, for a repository whose branch is at `head`.

        Args:
            destination: the repository.
            head: the commit that these operations are for.
            folder: an empty local folder for copies of what lies elsewhere.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        api = destination.api()
        card = _read_card(api, destination.repo_id, head)
        # What people wrote in the card isn't ours to change: only our section is redacted.
        hide = partial(redact, secrets=[destination.secret])
        texts = {path: hide(text) for path, text in self.texts.items()}
        texts[CARD_FILE] = self.make_card(existing=card, hide=hide)
        additions = [addition(file) for file in self.files]
        additions += [
            CommitOperationAdd(path, text.encode("utf-8", "replace"))
            for path, text in texts.items()
        ]
        artifacts = pack_artifacts(self.artifacts, MAX_FILES - len(additions), folder)
        additions += [CommitOperationAdd(path, source) for path, source in artifacts.items()]
        added = {operation.path_in_repo for operation in additions}
        stale = self._stale(api, destination.repo_id, head, card)
        if card is not None and BEGIN in card and None in self.replaces.values():
            # Of an earlier publication; it didn't make these rows.
            stale.update(_list(api, destination.repo_id, head, ARTIFACTS_FOLDER))
            there = _list(api, destination.repo_id, head, "", recursive=False)
            stale.update({PIPELINE_FILE, REPORT_FILE, LOG_FILE}.intersection(there))
        if self.removes:
            there = api.get_paths_info(
                destination.repo_id, list(self.removes), revision=head, repo_type="dataset"
            )
            stale.update(entry.path for entry in there)
        stale -= added
        return [*additions, *(CommitOperationDelete(path) for path in sorted(stale))]

    def _stale(self, api: Any, repo_id: str, head: str, card: str | None) -> set[str]:
        """The shards at `head` that the new ones replace."""
        patterns: dict[str, list[tuple[str, str]]] = {}
        for listed in _configs(card):
            patterns[str(listed.get("config_name"))] = _data_files(listed)
        others = [
            pattern
            for config, entries in patterns.items()
            for split, pattern in entries
            if not self._replaced(config, split)
        ]
        own: set[str] = set()
        stale: set[str] = set()
        for config, splits in self.replaces.items():
            for path in _list(api, repo_id, head, config):
                split = split_of(posixpath.basename(path))
                if split is not None and (splits is None or split in splits):
                    own.add(path)  # whoever else shows the folder that is this config's
            for split, pattern in patterns.get(config, ()):
                if splits is None or split in splits:
                    start = pattern.split("*")[0].rpartition("/")[0]
                    stale.update(
                        path
                        for path in _list(api, repo_id, head, start)
                        if fnmatch.fnmatchcase(path, pattern)
                        and split_of(posixpath.basename(path)) is not None
                    )
        # Elsewhere, a file that another config shows as well isn't ours to remove.
        return own | {
            path
            for path in stale
            if not any(fnmatch.fnmatchcase(path, pattern) for pattern in others)
        }

    def is_at(self, destination: Destination, head: str) -> bool:
        """Whether the repository has all shards at the commit `head`."""
        api = destination.api()
        hashes = {file.path: file.sha256 for file in self.files}
        found = api.get_paths_info(
            destination.repo_id, list(hashes), revision=head, repo_type="dataset"
        )
        there = {entry.path: entry.lfs.sha256 for entry in found if getattr(entry, "lfs", None)}
        return all(there.get(path) == sha256 for path, sha256 in hashes.items())

    def _replaced(self, config: str, split: str) -> bool:
        if config not in self.replaces:
            return False
        splits = self.replaces[config]
        return splits is None or split in splits


def digest_of(files: Sequence[StoredFile], texts: Mapping[str, str] | None = None) -> str:
    """The `content` of a publication of these files and texts."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(files, key=lambda file: file.path):
        digest.update(repr((file.path, file.sha256)).encode())
    for name in sorted(texts or {}):
        digest.update(repr((name, (texts or {})[name])).encode("utf-8", "replace"))
    return digest.hexdigest()


def _read_card(api: Any, repo_id: str, head: str) -> str | None:
    from huggingface_hub.errors import EntryNotFoundError

    with tempfile.TemporaryDirectory() as folder:
        try:
            path = api.hf_hub_download(
                repo_id, CARD_FILE, repo_type="dataset", revision=head, local_dir=folder
            )
        except EntryNotFoundError:
            return None
        return Path(path).read_bytes().decode("utf-8", "replace")  # line ends as they are


def _configs(card: str | None) -> list[Mapping[str, Any]]:
    """The configs that a card's front matter lists; none where that can't be read."""
    from huggingface_hub import DatasetCard

    if card is None:
        return []
    try:
        found = DatasetCard(card).data.to_dict().get("configs")
    except Exception:  # people's YAML: the parser's errors are many
        return []
    return [config for config in found or () if isinstance(config, Mapping)]


def _data_files(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(split, pattern) of a config's files; `train` where it names no split."""
    listed = config.get("data_files") or []
    entries = listed if isinstance(listed, list) else [listed]
    found = []
    for entry in entries:
        split = "train"
        if isinstance(entry, Mapping):
            split, entry = str(entry.get("split", "train")), entry.get("path")
        for pattern in entry if isinstance(entry, list) else [entry]:
            if isinstance(pattern, str):
                found.append((split, pattern))
    return found


def _list(api: Any, repo_id: str, head: str, folder: str, *, recursive: bool = True) -> list[str]:
    """The files of a folder of the repository; none where there is no such folder."""
    from huggingface_hub import RepoFile
    from huggingface_hub.errors import EntryNotFoundError

    try:
        entries = list(
            api.list_repo_tree(
                repo_id, folder or None, repo_type="dataset", revision=head, recursive=recursive
            )
        )
    except EntryNotFoundError:
        return []
    return [entry.path for entry in entries if isinstance(entry, RepoFile)]


def pack_artifacts(paths: Mapping[str, str], room: int, folder: Path) -> dict[str, str]:
    """Artifacts as local files: as they are, or one archive each where there are too many.

    Args:
        paths: `artifacts/<step>/<name>/...` to a path on any filesystem.
        room: how many files fit the commit; what doesn't is left out, with a warning.
        folder: an empty local folder for copies and archives.
    """
    local = {path: _local(source, folder) for path, source in paths.items()}
    if len(local) <= room:
        return local
    archives: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    for path in local:
        groups.setdefault("/".join(path.split("/")[:3]), []).append(path)
    for name, group in groups.items():
        if len(archives) >= room:
            logger.warning("The artifact %s is not published: the commit is full", name)
            continue
        archive = folder / f"{len(archives)}.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in group:
                packed.write(local[path], path.removeprefix(name).lstrip("/"))
        archives[f"{name}.zip"] = str(archive)
    return archives


def _local(source: str, folder: Path) -> str:
    """A local path of a file that may lie elsewhere."""
    filesystem, name = url_to_fs(source)
    if isinstance(filesystem, LocalFileSystem):
        return name
    copy = folder / f"copy-{len(list(folder.iterdir()))}"
    filesystem.get_file(name, str(copy))
    return str(copy)
