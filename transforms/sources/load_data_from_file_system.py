"""LoadDataFromFileSystem: rows of files, local or on any filesystem that fsspec knows."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import Field

from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.transforms.sources.files import DataFiles, Source, list_files, shown
from beam_distilabel.transforms.sources.loader import FileLoader
from beam_distilabel.transforms.sources.readers import infer_text_columns


class LoadDataFromFileSystem(FileLoader):
    """Load rows from Parquet, JSON lines, JSON, CSV or Arrow files.

    Files are read in parallel: Parquet and Arrow by row group, large local JSON lines by ranges of
    lines, everything else by file; no file is ever held as a whole. Row ids are the position of
    the file and the index of the row in it. A JSON line or CSV record that can't be read becomes a
    failure with its file and line, the others go on. With `num_examples`, text files are read by
    one worker, since only reading them tells how many rows they have.

    Attributes:
        data_files: a file, a folder, a glob, a list of these, or a dict of split to one of these;
            paths or fsspec URLs (`s3://...`, `gs://...`, `hf://...`, `https://...`).
        filetype: parquet, jsonl, json, csv, tsv or arrow; None (the default) means by extension, of
            which text may have a second one (`.jsonl.gz`, `.csv.zst`).

    Output columns:
        the files' own.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "rows.jsonl").write_text('{"instruction": "Say hi."}')
        >>> loader = LoadDataFromFileSystem(data_files=str(folder))
        >>> loader.load()
        >>> next(loader.process())
        ([{'instruction': 'Say hi.'}], True)
    """

    repo_id: str | None = Field(default=None, exclude=True, repr=False)
    data_files: RuntimeParameter[DataFiles] = Field(
        default=None,
        description="The files to load: paths, folders, globs, URLs, or a dict of split to these.",
    )
    filetype: RuntimeParameter[str] | None = Field(
        default=None,
        description="The type of the files (parquet, jsonl, json, csv, tsv, arrow); by default "
        "their extension says it.",
    )

    def _is_configured(self) -> bool:
        return self.data_files is not None

    def _source(self) -> Source:
        assert self.data_files is not None
        files = list_files(
            self.data_files, self.filetype, self.split or "train", self.storage_options
        )
        source = Source(files, storage_options=dict(self.storage_options or {}))
        return dataclasses.replace(source, text_columns=infer_text_columns(source))

    def _describe(self) -> dict[str, Any]:
        assert self.data_files is not None
        return {"data_files": shown(self.data_files), "split": self.split, **super()._describe()}


__all__ = ["LoadDataFromFileSystem"]
