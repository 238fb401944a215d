"""Loaders for data that a script has: dicts, a `datasets.Dataset`, a DataFrame, a path."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, PrivateAttr

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.row import Row
from beam_distilabel.step import DEFAULT_BATCH_SIZE, GeneratorStep, StepResources
from beam_distilabel.transforms.sources.files import Source, SourceFile
from beam_distilabel.transforms.sources.load_data_from_dicts import GRAPH_BYTES, LoadDataFromDicts
from beam_distilabel.transforms.sources.load_data_from_file_system import LoadDataFromFileSystem
from beam_distilabel.transforms.sources.loader import FileLoader, data_schema
from beam_distilabel.transforms.sources.staging import GROUP_ROWS, empty_folder, staging_folder


class LoadDataFromDataset(FileLoader):
    """Load rows from a `datasets.Dataset` in memory or mapped from disk.

    At launch it is written to the run directory as Parquet, 1,000 rows at a time, where the workers
    read it. The dataset is neither serialized with the pipeline nor pickled with the Step. Use
    `dataset_loader` or `make_generator_step` to make one.

    Attributes:
        repo_id: a name for the data, as `make_generator_step` received it.

    Output columns:
        the dataset's own.
    """

    repo_id: str | None = Field(default=None, description="A name for the data.")

    _dataset: Any = PrivateAttr(None)

    def _is_configured(self) -> bool:
        return self._dataset is not None

    def _source(self) -> Source:
        assert self.name is not None
        folder = staging_folder(self._context.run_dir, self.name)
        return Source((SourceFile(stage_dataset(self._given(), folder), "parquet"),))

    def _read_columns(self) -> list[str]:
        return list(self._given().column_names)

    def _read_schema(self) -> pa.Schema | None:
        return data_schema(self._given().features.arrow_schema)

    def _describe(self) -> dict[str, Any]:
        return {"name": self.repo_id, "rows": self.count_rows()}

    def count_rows(self) -> int | None:
        """How many rows the Step loads."""
        count = len(self._given())
        return count if self.num_examples is None else min(count, self.num_examples)

    def _rows_from(self, offset: int) -> Iterator[Row]:
        count = self.count_rows() or 0
        for table in arrow_tables(self._given(), offset, count):
            yield from table.to_pylist()

    def _given(self) -> Any:
        if self._dataset is None:
            raise DistilabelUserError(
                f"{self._described()} has no data: a pipeline is serialized without it. Give it "
                "with `pipeline.run(dataset=...)`."
            )
        return self._dataset

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {
            **state,
            "__pydantic_private__": {**(state["__pydantic_private__"] or {}), "_dataset": None},
        }


def arrow_tables(dataset: Any, start: int, stop: int) -> Iterator[pa.Table]:
    """The rows `start` to `stop` of a `datasets.Dataset`, in tables of at most `GROUP_ROWS`.

    Images and audio that the dataset holds as paths are read in.
    """
    from datasets.table import embed_table_storage

    arrow = dataset.with_format("arrow")
    for first in range(start, stop, GROUP_ROWS):
        table = arrow[first : min(first + GROUP_ROWS, stop)]
        yield embed_table_storage(table.cast(dataset.features.arrow_schema))


def stage_dataset(dataset: Any, folder: str) -> str:
    """Write a `datasets.Dataset` as one Parquet file into `folder`, emptied first; its path."""
    empty_folder(folder)
    target = f"{folder.rstrip('/')}/rows-00000.parquet"
    filesystem, path = url_to_fs(target)
    schema = dataset.features.arrow_schema
    with pq.ParquetWriter(path, schema, filesystem=filesystem, compression="zstd") as writer:
        for table in arrow_tables(dataset, 0, len(dataset)):
            writer.write_table(table)
    return target


def dataset_loader(
    dataset: Any, batch_size: int = DEFAULT_BATCH_SIZE, name: str | None = None, **fields: Any
) -> GeneratorStep:
    """A Step that loads `dataset`.

    Args:
        dataset: a list of dicts, a `datasets.Dataset`, a DatasetDict of one split, a pandas
            DataFrame (its index is left out, NaN is None), or the path of a folder or file that
            `LoadDataFromFileSystem` takes.
        batch_size: rows per batch of its `process`.
        name: the Step's name.
        fields: other fields of the Step, such as `output_mappings`.

    Raises:
        DistilabelUserError: `dataset` is something else, or has several splits; names them.

    Example:
        >>> loader = dataset_loader([{"instruction": "Say hi."}], batch_size=10, name="load")
        >>> loader.outputs
        ['instruction']
    """
    fields = {**fields, "batch_size": batch_size, "name": name}
    if isinstance(dataset, (str, os.PathLike)):
        return LoadDataFromFileSystem(data_files=os.fspath(dataset), **fields)
    if isinstance(dataset, (list, tuple)):
        return LoadDataFromDicts(data=list(dataset), **fields)
    kind = type(dataset).__module__.partition(".")[0], type(dataset).__name__
    if kind == ("pandas", "DataFrame"):
        return _of_frame(dataset, fields)
    if kind[0] != "datasets" and not isinstance(dataset, Mapping):
        raise DistilabelUserError(
            f"a dataset of type {type(dataset).__name__} can't be loaded; give a list of dicts, a "
            "`datasets.Dataset`, a pandas DataFrame, or the path of a folder or file."
        )
    return _of_dataset(dataset, fields)


def _of_dataset(dataset: Any, fields: dict[str, Any]) -> GeneratorStep:
    import datasets

    if isinstance(dataset, Mapping):
        if len(dataset) != 1:
            names = ", ".join(map(repr, dataset))
            raise DistilabelUserError(
                f"the dataset has several splits ({names}); give one of them, such as "
                f"dataset[{next(iter(dataset))!r}]."
                if dataset
                else "the dataset has no split."
            )
        (dataset,) = dataset.values()
    if not isinstance(dataset, datasets.Dataset):
        raise DistilabelUserError(
            f"a dataset of type {type(dataset).__name__} can't be loaded; give a "
            "`datasets.Dataset`, or load it with LoadDataFromHub."
        )
    if dataset.data.nbytes < GRAPH_BYTES and len(dataset) <= GROUP_ROWS:
        rows = [
            row for table in arrow_tables(dataset, 0, len(dataset)) for row in table.to_pylist()
        ]
        loader = LoadDataFromDicts(data=rows, **fields)
        loader._schema = data_schema(dataset.features.arrow_schema)
        return loader
    step = LoadDataFromDataset(**fields)
    step._dataset = dataset
    return step


def _of_frame(frame: Any, fields: dict[str, Any]) -> GeneratorStep:
    import datasets

    try:
        return _of_dataset(datasets.Dataset.from_pandas(frame, preserve_index=False), fields)
    except (pa.ArrowException, TypeError, ValueError):
        # A column of mixed types; row by row it has no need of a type.
        present = frame.notna().to_numpy()
        names = [str(name) for name in frame.columns]
        rows = [
            {
                name: value if there else None
                for name, value, there in zip(names, values, mask, strict=True)
            }
            for values, mask in zip(frame.itertuples(index=False, name=None), present, strict=True)
        ]
        return LoadDataFromDicts(data=rows, **fields)


def make_generator_step(
    dataset: Any,
    pipeline: Any = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    input_mappings: dict[str, str] | None = None,
    output_mappings: dict[str, str] | None = None,
    resources: StepResources | None = None,
    repo_id: str | None = "default_name",
) -> GeneratorStep:
    """A Step of `pipeline` that loads `dataset`; see `dataset_loader`.

    Args:
        dataset: a list of dicts, a `datasets.Dataset`, a pandas DataFrame or a path.
        pipeline: the pipeline that the Step belongs to; None means that of the open `with` block.
        batch_size: rows per batch of its `process`.
        input_mappings: accepted for compatibility: a loader has no inputs.
        output_mappings: column of the data to the name wanted.
        resources: what the Step needs.
        repo_id: a name for the data.

    Example:
        >>> make_generator_step([{"q": "Hi"}], output_mappings={"q": "instruction"}).get_outputs()
        {'instruction': True}
    """
    loader = dataset_loader(
        dataset,
        batch_size,
        pipeline=pipeline,
        input_mappings=input_mappings or {},
        output_mappings=output_mappings or {},
        resources=resources or StepResources(),
    )
    if isinstance(loader, LoadDataFromDataset):
        loader.repo_id = repo_id
    return loader


__all__ = ["LoadDataFromDataset", "dataset_loader", "make_generator_step"]
