"""Subsets as Parquet files that can be published: those of a run as they lie, others written."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beam_distilabel.distiset.subset import Subset
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.hub import StoredFile
from beam_distilabel.hub.publication import MAX_FILE_BYTES, MAX_FILES, OTHER_FILES
from beam_distilabel.layout import list_shards, shard_name
from beam_distilabel.summary import SubsetSummary, summarize

_SHARD_BYTES = 500_000_000  # of rows in memory: about half of it as Parquet
_FILES = MAX_FILES - OTHER_FILES
_HASHED_AT_ONCE = 8 << 20


@dataclass(frozen=True)
class WriteOptions:
    """How subsets that aren't Parquet yet are written, in the words of `datasets`.

    Attributes:
        max_shard_size: bytes of rows in a file, as a number or such as "500MB".
        num_shards: how many files per split, instead of a size.
        num_proc: processes that embed external files; one if None.
        embed_external_files: put images and audio that are paths into the files.
    """

    max_shard_size: int | str | None = None
    num_shards: int | None = None
    num_proc: int | None = None
    embed_external_files: bool = True

    def __post_init__(self) -> None:
        for name in ("num_shards", "num_proc"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise DistilabelUserError(
                    f"push_to_hub: {name} must be a number of at least 1, got {value!r}."
                )


def stored_subsets(
    subsets: Mapping[str, Any], folder: str, options: WriteOptions
) -> tuple[list[StoredFile], list[SubsetSummary]]:
    """The files of all subsets, and what the card says of them; splits without rows have none.

    Args:
        subsets: subset name to `Subset`, `Dataset` or `DatasetDict`.
        folder: an empty local folder for the files that have to be written.
        options: how.

    Raises:
        DistilabelUserError: the subsets don't fit one commit; with the remedy.
    """
    lying: dict[str, SubsetSummary] = {}
    for name, value in subsets.items():
        if options == WriteOptions() and isinstance(value, Subset) and value.is_as_written():
            summary = value.summary()
            if all(summary.splits.values()):
                lying[name] = summary
    if len(subsets) > _FILES:
        raise DistilabelUserError(
            f"push_to_hub: {len(subsets)} subsets don't fit one commit of {MAX_FILES} files; push "
            "them to several repositories."
        )
    files = {name: _files_of(posixpath.join(subsets[name].path, name), name) for name in lying}
    most = max(1, _FILES // max(1, len(subsets)))
    if sum(map(len, files.values())) + most * (len(subsets) - len(lying)) > _FILES:
        # Too many files: those that have more than their share are written anew, to larger ones.
        files = {name: listed for name, listed in files.items() if len(listed) <= most}
    empty: dict[str, SubsetSummary] = {}
    for name, value in subsets.items():
        if name not in files:
            value = value.open() if isinstance(value, Subset) else value
            splits = value if isinstance(value, dict) else {"train": value}
            if not splits or not all(hasattr(part, "to_parquet") for part in splits.values()):
                raise DistilabelUserError(
                    f"push_to_hub: the subset {name!r} has to be a Dataset, or a DatasetDict with "
                    f"at least one split; it is {str(value)[:80]!r}."
                )
            target = os.path.join(folder, name)
            # `datasets` can't load a split without rows, nor a config that has one.
            full = {split: part for split, part in splits.items() if len(part)}
            os.makedirs(target)
            for split, dataset in full.items():
                _write_split(dataset, target, str(split), options, most // len(full))
            files[name] = _files_of(target, name) if full else []
            if not full:
                empty[name] = SubsetSummary(name, dict.fromkeys(map(str, splits), 0))
    described = {**lying, **empty, **{summary.name: summary for summary in summarize(folder)}}
    large = next((f for group in files.values() for f in group if f.size > MAX_FILE_BYTES), None)
    if large is not None:
        raise DistilabelUserError(
            f"push_to_hub: {large.path} would have {large.size:,} bytes, and the Hub takes "
            f"{MAX_FILE_BYTES:,} per file; push the subsets to several repositories."
        )
    return (
        [file for name in subsets for file in files[name]],
        [described[name] for name in subsets],
    )


def _files_of(folder: str, subset: str) -> list[StoredFile]:
    filesystem, _ = url_to_fs(folder)
    stored = []
    for entries in list_shards(folder).values():
        for entry in entries:
            source = str(filesystem.unstrip_protocol(entry["name"]))
            path = posixpath.join(subset, posixpath.basename(entry["name"]))
            digest = _sha256(filesystem, entry["name"])
            stored.append(StoredFile(source, path, int(entry["size"]), digest))
    return stored


def _sha256(filesystem: Any, name: str) -> str:
    digest = hashlib.sha256()
    with filesystem.open(name, "rb") as file:
        while chunk := file.read(_HASHED_AT_ONCE):
            digest.update(chunk)
    return digest.hexdigest()


def _write_split(dataset: Any, folder: str, split: str, options: WriteOptions, most: int) -> None:
    """Write the rows of a `Dataset` to Parquet files in `folder`, at most `most` of them."""
    from datasets.features.features import require_storage_embed
    from datasets.table import embed_table_storage

    has_files = any(map(require_storage_embed, dataset.features.values()))
    shards = min(_number_of_shards(dataset, options), max(1, most), max(1, len(dataset)))
    for index in range(shards):
        part = dataset.shard(num_shards=shards, index=index, contiguous=True)
        if options.embed_external_files and has_files:
            part = part.with_format("arrow").map(
                embed_table_storage,
                batched=True,
                batch_size=100,
                keep_in_memory=True,
                num_proc=options.num_proc,
            )
        part.to_parquet(os.path.join(folder, shard_name(split, index, shards)))


def _number_of_shards(dataset: Any, options: WriteOptions) -> int:
    from datasets.utils.py_utils import convert_file_size_to_int

    if options.num_shards is not None:
        return options.num_shards
    bound = convert_file_size_to_int(options.max_shard_size or _SHARD_BYTES)
    # Of rows that were selected, `data` is the whole table.
    share = len(dataset) / max(1, dataset.data.num_rows)
    return int(dataset.data.nbytes * share // max(1, bound)) + 1
