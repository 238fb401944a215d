"""LoadDataFromDisk: rows that `Dataset.save_to_disk` or `Distiset.save_to_disk` wrote."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from pydantic import Field

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.problems import closest
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.secrets.fields import uncovered
from beam_distilabel.transforms.sources.files import (
    Source,
    SourceFile,
    reading,
    shown,
)
from beam_distilabel.transforms.sources.loader import FileLoader, data_schema

_SPLITS = "dataset_dict.json"
_STATE = "state.json"
_INFO = "dataset_info.json"


class LoadDataFromDisk(FileLoader):
    """Load rows from a folder that `save_to_disk` of a Dataset, DatasetDict or Distiset wrote.

    The Arrow files are read by record batch, in parallel; workers need access to the folder.

    Attributes:
        dataset_path: the folder, local or a URL that fsspec knows.
        config: of a Distiset, which subset.
        is_distiset: whether the folder holds a Distiset.
        keep_in_memory: accepted for compatibility; reading always streams.
        split: of a DatasetDict, which split; may be left out where there is only one.

    Output columns:
        the dataset's own.

    Example:
        >>> import datasets, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> datasets.Dataset.from_list([{"instruction": "Say hi."}]).save_to_disk(folder)
        >>> loader = LoadDataFromDisk(dataset_path=folder)
        >>> next(loader.process())
        ([{'instruction': 'Say hi.'}], True)
    """

    repo_id: str | None = Field(default=None, exclude=True, repr=False)
    dataset_path: RuntimeParameter[str] = Field(
        default=None, description="The folder that the dataset was saved to."
    )
    config: RuntimeParameter[str] | None = Field(
        default="default", description="The subset of the Distiset that is loaded."
    )
    is_distiset: RuntimeParameter[bool] | None = Field(
        default=False, description="Whether the folder holds a Distiset."
    )
    keep_in_memory: RuntimeParameter[bool] | None = Field(
        default=None, description="Accepted for compatibility: reading always streams."
    )
    split: RuntimeParameter[str] | None = Field(
        default=None, description="The split that is loaded; not needed where there is one."
    )

    def _is_configured(self) -> bool:
        return self.dataset_path is not None

    def _source(self) -> Source:
        folder = self._folder()
        names = [file["filename"] for file in self._json(folder, _STATE)["_data_files"]]
        files = tuple(SourceFile(f"{folder}/{name}", "arrow") for name in names)
        return Source(files, dict(self.storage_options or {}))

    def _read_columns(self) -> list[str]:
        features = self._json(self._folder(), _INFO).get("features")
        return list(features) if features else super()._read_columns()

    def _read_schema(self) -> pa.Schema | None:
        features = self._json(self._folder(), _INFO).get("features")
        if not features:
            return super()._read_schema()
        from datasets import Features

        return data_schema(Features.from_dict(features).arrow_schema)

    def _describe(self) -> dict[str, Any]:
        facts = {"config": self.config if self.is_distiset else None, "split": self.split}
        return {"dataset_path": shown(str(self.dataset_path)), **facts, **super()._describe()}

    def _folder(self) -> str:
        """The folder of the one Dataset that is asked for."""
        assert self.dataset_path is not None
        folder = str(self.dataset_path).rstrip("/")
        if self.is_distiset:
            folder = self._subset(folder)
        if self._exists(folder, _SPLITS):
            splits = list(self._json(folder, _SPLITS)["splits"])
            split = self.split or (splits[0] if len(splits) == 1 else None)
            if split not in splits:
                asked = "choose a `split`" if split is None else f"there is no split {split!r}"
                raise DistilabelUserError(
                    f"{folder!r}: {asked}.{closest(split or '', splits)} It has: "
                    f"{', '.join(map(repr, splits))}."
                )
            return f"{folder}/{split}"
        if not self._exists(folder, _STATE):
            raise DistilabelUserError(
                f"dataset_path={folder!r} wasn't written by `save_to_disk`: there is neither "
                f"{_SPLITS} nor {_STATE}."
                + (
                    ""
                    if self.is_distiset
                    else " For a Distiset set is_distiset=True; for Parquet, JSON or CSV files use "
                    "LoadDataFromFileSystem."
                )
            )
        return folder

    def _subset(self, folder: str) -> str:
        filesystem, path = self._filesystem(folder)
        if not filesystem.isdir(path):
            raise DistilabelUserError(f"dataset_path={folder!r} is no folder.")
        names = sorted(
            name
            for name in (
                entry.rstrip("/").rsplit("/", 1)[-1] for entry in filesystem.ls(path, False)
            )
            if self._exists(f"{folder}/{name}", _SPLITS) or self._exists(f"{folder}/{name}", _STATE)
        )
        config = self.config or "default"
        if config not in names:
            raise DistilabelUserError(
                f"the Distiset {folder!r} has no config {config!r}.{closest(config, names)} It "
                f"has: {', '.join(map(repr, names)) or 'none'}."
            )
        return f"{folder}/{config}"

    def _filesystem(self, path: str) -> tuple[Any, str]:
        filesystem, inner = url_to_fs(path, **uncovered(self.storage_options or {}))
        return filesystem, str(inner)

    def _exists(self, folder: str, name: str) -> bool:
        filesystem, path = self._filesystem(f"{folder}/{name}")
        return bool(filesystem.exists(path))

    def _json(self, folder: str, name: str) -> dict[str, Any]:
        with reading(f"{folder}/{name}"):
            filesystem, path = self._filesystem(f"{folder}/{name}")
            with filesystem.open(path) as file:
                return dict(json.load(file))


__all__ = ["LoadDataFromDisk"]
