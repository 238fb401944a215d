"""The Hub's own Parquet conversion of a dataset, and whether it holds the rows of a commit.

The Hub converts datasets of any format to Parquet on the branch `refs/convert/parquet`, in files
`<config>/<split>/0000.parquet`; of a large split it may convert the first part only, to
`<config>/partial-<split>/`. It does so some time after a commit, and doesn't say of which one.
"""

from __future__ import annotations

import datetime
import posixpath
import re
from typing import Any, NamedTuple

from beam_distilabel.transforms.sources.hub_repository import Repository, explained

REF = "refs/convert/parquet"

_FILE = re.compile(r"(?P<config>[^/]+)/(?P<split>[^/]+)/(?P<index>\d{4,})\.parquet")
_PARTIAL = "partial-"
_CARD = "README.md"
_READING = ("configs", "dataset_info")
"""Of a card's metadata, what has a say in how data files are read."""


class Conversion(NamedTuple):
    """A split as the Hub has converted it.

    Attributes:
        commit: of the branch `REF`.
        files: the paths of the Parquet files at that commit, in order.
    """

    commit: str
    files: tuple[str, ...]


class Unusable(NamedTuple):
    """Why a conversion isn't read."""

    reason: str


def list_conversion(repository: Repository) -> tuple[str, dict[str, dict[str, list[str]]]] | None:
    """(commit, config to split to files, in order) of the conversion, None where there is none.

    A split that was converted in part is listed as `partial-<split>`.
    """
    api = repository.api()
    with explained(repository.repo_id, None, repository.plain_token):
        refs = api.list_repo_refs(repository.repo_id, repo_type="dataset")
        commit = next((ref.target_commit for ref in refs.converts if ref.ref == REF), None)
        if commit is None:
            return None
        # The tree of a commit, and not the listing of `/api/datasets/.../parquet`, which may change
        # from one request to the next.
        tree = api.list_repo_tree(
            repository.repo_id, recursive=True, revision=commit, repo_type="dataset"
        )
        matches = [match for entry in tree if (match := _FILE.fullmatch(entry.path))]
    configs: dict[str, dict[str, list[str]]] = {}
    for match in sorted(matches, key=lambda match: int(match["index"])):
        configs.setdefault(match["config"], {}).setdefault(match["split"], []).append(match[0])
    return str(commit), configs


def find_conversion(repository: Repository, config: str, split: str) -> Conversion | Unusable:
    """The conversion of one split, if its rows are those of the repository's commit.

    They are if the commit is the default branch's newest, and no file but the card has changed
    since the conversion, nor what the card says of data files.

    Args:
        repository: at the commit that is asked for.
        config: the configuration; "default" where the dataset has only one, without a name.
        split: the split.
    """
    listed = list_conversion(repository)
    if listed is None:
        return Unusable("the Hub has none")
    commit, configs = listed
    splits = configs.get(config, {})
    if split not in splits:
        if _PARTIAL + split in splits:
            return Unusable(f"it holds a part of the split {split!r} only")
        return Unusable(f"it has no split {split!r} of the config {config!r}")
    conversion = Conversion(commit, tuple(splits[split]))
    names = [posixpath.basename(file) for file in conversion.files]
    if names != [f"{index:04d}.parquet" for index in range(len(names))]:
        return Unusable(f"files of the split {split!r} are missing")
    outdated = _outdated(repository, conversion)
    return conversion if outdated is None else Unusable(outdated)


def _outdated(repository: Repository, conversion: Conversion) -> str | None:
    """Why the converted files may not be those of the commit, None where they are."""
    api = repository.api()
    with explained(repository.repo_id, None, repository.plain_token):
        entries = repository.paths_info(conversion.files, conversion.commit, expand=True)
        dates = [entry.last_commit.date for entry in entries if entry.last_commit is not None]
        if not dates:
            return "its age isn't known"
        converted = max(dates)
        head = api.dataset_info(repository.repo_id).sha
        if head != repository.commit:
            return "it is of another revision than the one asked for"
        before = next((id for id, time in repository.history() if _before(time, converted)), None)
        if before is None:
            return "it is older than the repository's first commit"
        if before == repository.commit or _data(repository, before) == _data(
            repository, repository.commit
        ):
            return None
    return "the data files have changed since"


def _before(commit: datetime.datetime, conversion: datetime.datetime) -> bool:
    # The Hub's clock counts milliseconds; what seems to be at once may have come after.
    return commit < conversion


def _data(repository: Repository, commit: str) -> tuple[dict[str, str], dict[str, Any]]:
    """What the rows at `commit` depend on: its files, and what the card says of them."""
    from huggingface_hub.repocard import metadata_load

    api = repository.api()
    tree = api.list_repo_tree(
        repository.repo_id, recursive=True, revision=commit, repo_type="dataset"
    )
    files = {str(entry.path): str(entry.blob_id) for entry in tree if hasattr(entry, "blob_id")}
    card: dict[str, Any] = {}
    if files.pop(_CARD, None) is not None:
        path = api.hf_hub_download(repository.repo_id, _CARD, revision=commit, repo_type="dataset")
        card = metadata_load(path) or {}
    files.pop(".gitattributes", None)
    return files, {name: card.get(name) for name in _READING}


__all__ = ["REF", "Conversion", "Unusable", "find_conversion", "list_conversion"]
