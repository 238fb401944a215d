"""Opening the result of a run."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from beam_distilabel.distiset.citations import citations_of
from beam_distilabel.distiset.distiset import Distiset
from beam_distilabel.distiset.subset import Subset
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.layout import (
    ARTIFACTS_FOLDER,
    AnyPath,
    Snapshot,
    is_local,
    path_text,
    subset_names,
)
from beam_distilabel.metadata import METADATA


def create_distiset(
    data_dir: AnyPath,
    pipeline_path: AnyPath | None = None,
    log_filename_path: AnyPath | None = None,
    enable_metadata: bool = False,
    dag: Iterable[Any] | None = None,
) -> Distiset:
    """Open the result of a run.

    Args:
        data_dir: the folder that holds the subsets' folders, or a run directory with such a folder
            `distiset/` in it; local or any URL that fsspec knows.
        pipeline_path: the pipeline's YAML file; `pipeline.yaml` of the run directory if None.
        log_filename_path: the log; `pipeline.log` of the run directory if None.
        enable_metadata: keep the column `distilabel_metadata`.
        dag: the pipeline's Steps; the BibTeX entries in their docstrings become the citations.

    Raises:
        DistilabelUserError: the folder holds no subset.
    """
    path = path_text(data_dir).rstrip("/")
    inner = posixpath.join(path, "distiset")
    names = subset_names(inner)
    run = path
    if names:
        path = inner
    else:
        names = subset_names(path)
        run = posixpath.dirname(path)
    if not names and not _is_folder(path):
        raise DistilabelUserError(f"create_distiset: there is no folder {path}.")
    distiset = Distiset()
    drop = () if enable_metadata else (METADATA,)
    for name in names:
        shards = Snapshot(posixpath.join(path, name))
        distiset[name] = Subset(path, name, drop, shards)
    if is_local(run):
        local = Path(url_to_fs(run)[1])
        distiset.find_files(local, local / ARTIFACTS_FOLDER)
    if pipeline_path is not None:
        distiset.pipeline_path = pipeline_path
    if log_filename_path is not None:
        distiset.log_filename_path = log_filename_path
    if dag is not None:
        distiset.citations = list(dict.fromkeys(c for step in dag for c in citations_of(step)))
    return distiset


def _is_folder(path: str) -> bool:
    filesystem, folder = url_to_fs(path)
    return bool(filesystem.isdir(folder))
