"""A Distiset in a folder, in distilabel's layout.

That is `<subset>/` as `datasets` saves it, `distiset_configs/` with `README.md`, `pipeline.yaml`
and `pipeline.log`, and `artifacts/<step>/<artifact>/`.
"""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.layout import ARTIFACTS_FOLDER, is_local

CONFIGS_FOLDER = "distiset_configs"


def save_subsets(
    subsets: Mapping[str, Any],
    path: str,
    *,
    num_shards: int | None = None,
    storage_options: dict[str, Any] | None = None,
    **options: Any,
) -> None:
    """Save every subset to `<path>/<subset>`.

    Args:
        subsets: subset name to `Dataset` or `DatasetDict`.
        path: the folder, local or any URL that fsspec knows.
        num_shards: how many Arrow files per split.
        storage_options: for fsspec.
        options: for `save_to_disk` of `datasets`.
    """
    for name, subset in subsets.items():
        shards: Any = num_shards
        if num_shards is not None and isinstance(subset, dict):
            shards = {split: num_shards for split in subset}
        subset.save_to_disk(
            posixpath.join(path, name),
            num_shards=shards,
            storage_options=storage_options or {},
            **options,
        )


def save_files(
    files: Mapping[str, Path | bytes], path: str, storage_options: dict[str, Any] | None = None
) -> None:
    """Save local files, or their contents, under their names in `path`."""
    filesystem, root = url_to_fs(path, **(storage_options or {}))
    filesystem.makedirs(posixpath.join(root, CONFIGS_FOLDER), exist_ok=True)
    for name, source in files.items():
        target = posixpath.join(root, name)
        filesystem.makedirs(posixpath.dirname(target), exist_ok=True)
        if isinstance(source, bytes):
            filesystem.pipe_file(target, source)
        else:
            filesystem.put_file(str(source), target)


def load_subsets(
    path: str, *, keep_in_memory: bool | None, storage_options: dict[str, Any] | None
) -> dict[str, Any]:
    """The subsets that were saved to `path`.

    Raises:
        DistilabelUserError: there is no such folder, or it holds no subset.
    """
    from datasets import load_from_disk

    filesystem, root = url_to_fs(path, **(storage_options or {}))
    if not filesystem.isdir(root):
        raise DistilabelUserError(f"load_from_disk: there is no folder {path}.")
    subsets = {}
    for entry in sorted(filesystem.ls(root, detail=False)):
        name = posixpath.basename(entry.rstrip("/"))
        saved = (posixpath.join(entry, file) for file in ("dataset_dict.json", "state.json"))
        if name in (CONFIGS_FOLDER, ARTIFACTS_FOLDER) or not filesystem.isdir(entry):
            continue
        if any(filesystem.exists(file) for file in saved):
            subsets[name] = load_from_disk(
                posixpath.join(path, name),
                keep_in_memory=keep_in_memory,
                storage_options=storage_options,
            )
    if not subsets:
        raise DistilabelUserError(
            f"load_from_disk: {path} holds no saved subset. A run's folder is opened with "
            "create_distiset."
        )
    return subsets


def local_files(
    path: str, storage_options: dict[str, Any] | None, download_dir: str | None
) -> tuple[Path, Path]:
    """The folders of the pipeline's files and of the artifacts on this machine.

    What lies elsewhere is copied to `download_dir`, a temporary folder if None.
    """
    filesystem, root = url_to_fs(path, **(storage_options or {}))
    local = Path(root)
    if not is_local(path):
        local = Path(download_dir or tempfile.mkdtemp(prefix="distiset-"))
        for folder in (CONFIGS_FOLDER, ARTIFACTS_FOLDER):
            if filesystem.isdir(posixpath.join(root, folder)):
                filesystem.get(posixpath.join(root, folder), str(local / folder), recursive=True)
    return local / CONFIGS_FOLDER, local / ARTIFACTS_FOLDER
