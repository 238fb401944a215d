"""LoadDataFromHub: rows of a dataset repository on the Hugging Face Hub."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from pydantic import Field, PrivateAttr, SecretStr

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.row import ROW_ID, Row, number_equal_rows, position_id
from beam_distilabel.runtime_parameters import RuntimeParameter, closest
from beam_distilabel.transforms.sources.files import Source, SourceFile, type_of_name
from beam_distilabel.transforms.sources.loader import FileLoader
from beam_distilabel.transforms.sources.readers import (
    Block,
    infer_text_columns,
    read_columns,
    read_work,
)
from beam_distilabel.transforms.sources.units import BLOCK_ROWS, Work, distribute, list_units

_FORMATS = {
    "parquet": {"parquet"},
    "arrow": {"arrow"},
    "json": {"json", "jsonl"},
    "csv": {"csv", "tsv"},
}
"""Format by the name that `datasets` gives it, to the file types that make it up."""

_HARMLESS = frozenset(
    (  # settings of a format that don't change what is read
        "batch_size",
        "block_size",
        "chunksize",
        "data_dir",
        "data_files",
        "delimiter",
        "description",
        "features",
        "name",
        "on_mixed_types",
        "sep",
        "use_threads",
        "version",
    )
)
_COMMIT = re.compile(r"@([0-9a-f]{40})")
_LOGIN = "log in with `hf auth login`, set HF_TOKEN, or give the Step a `token`"


class Resolved(NamedTuple):
    """What a repository is at one commit.

    Attributes:
        builder: of `datasets`; knows files, features and format.
        split: the split asked for.
        token: what opens the repository, None where nothing is needed.
        endpoint: URL of the Hub.
    """

    builder: Any
    split: str
    token: SecretStr | None
    endpoint: str


class Stream(NamedTuple):
    """A split that only `datasets` can read: what a worker needs to do so."""

    repo_id: str
    config: str | None
    split: str
    revision: str | None
    token: SecretStr | None


class LoadDataFromHub(FileLoader):
    """Load a split of a dataset from the Hugging Face Hub.

    At launch the repository is resolved once: its commit is pinned, so that all workers read the
    same data, and its files are listed. Parquet, JSON lines, JSON, CSV and Arrow files are read
    from the Hub by file and row group; other formats are streamed through `datasets`, by shard.
    `HF_ENDPOINT` and `HF_TOKEN` are honoured. Class labels are numbers, images and audio
    `{"bytes", "path"}`.

    Attributes:
        repo_id: the repository, such as "argilla/distilabel-capybara".
        token: for private and gated repositories; None (the default) takes that of `HF_TOKEN` or
            `hf auth login`. It is never serialized.
        resolved_revision: the commit that was read; None before it is known.

    Output columns:
        the dataset's own.

    Example:
        >>> loader = LoadDataFromHub(repo_id="distilabel-internal-testing/instruction-dataset-mini",
        ...                          split="test", num_examples=2)
        >>> loader.num_examples
        2
    """

    repo_id: RuntimeParameter[str] = Field(
        default=None, description="The dataset repository on the Hugging Face Hub."
    )
    token: RuntimeParameter[SecretStr] | None = Field(
        default=None,
        description="The token for private and gated repositories; by default the one of HF_TOKEN "
        "or `hf auth login`.",
        exclude=True,
    )

    _resolved_revision: str | None = PrivateAttr(None)

    @property
    def resolved_revision(self) -> str | None:
        """The commit that the Step's rows come from, once it has been resolved."""
        return self._resolved_revision

    def _is_configured(self) -> bool:
        return self.repo_id is not None

    def _source(self) -> Source:
        source = self._source_of(self._resolve())
        if source is None:
            raise DistilabelUserError(f"the files of {self.repo_id!r} are read by `datasets` only.")
        return source

    def _read_columns(self) -> list[str]:
        resolved = self._resolve()
        if resolved.builder.info.features is not None:
            return list(resolved.builder.info.features)
        source = self._source_of(resolved)
        if source is not None:
            return read_columns(source)
        block = next(read_stream(self._stream(resolved), (0, 1, 1)), Block([], []))
        return [name for row in block.rows for name in row if name != ROW_ID]

    def _plan(self) -> tuple[Callable[[Any], Iterable[Block]], list[Any]]:
        resolved = self._resolve()
        source = self._source_of(resolved)
        if source is not None:
            read: Callable[[Any], Iterable[Block]] = functools.partial(read_work, source)
            return read, distribute(list_units(source), self.num_examples)
        stream = self._stream(resolved)
        shards = open_stream(stream).num_shards
        elements = (
            [(shard, shards, None) for shard in range(shards)]
            if self.num_examples is None
            else [(0, 1, self.num_examples)]
        )
        return functools.partial(read_stream, stream), elements

    def count_rows(self) -> int | None:
        """How many rows the Step loads; None if only reading them tells."""
        elements = self._plan()[1]
        if not all(isinstance(element, Work) for element in elements):
            return None
        return super().count_rows()

    def _resolve(self) -> Resolved:
        import huggingface_hub
        from huggingface_hub import constants

        assert self.repo_id is not None
        plain = self.token.get_secret_value() if self.token else huggingface_hub.get_token()
        token = SecretStr(plain) if plain else None
        builder = find_builder(self.repo_id, self.config, self.revision, token)
        splits = [str(name) for name in builder.config.data_files or ()]
        split = self.split or "train"
        if splits and split not in splits:
            reason = (
                "parts of a split can't be loaded by name; use `num_examples`."
                if "[" in split or "+" in split
                else f"{closest(split, splits)} It has: {', '.join(map(repr, splits))}."
            )
            raise DistilabelUserError(f"{self.repo_id!r} has no split {split!r}: {reason.strip()}")
        commit = _COMMIT.search(str(builder.base_path or ""))
        self._resolved_revision = commit.group(1) if commit else self.revision
        return Resolved(builder, split, token, str(constants.ENDPOINT))

    def _source_of(self, resolved: Resolved) -> Source | None:
        """The files of the split; None where only `datasets` can read them."""
        builder = resolved.builder
        kind = type(builder).__module__.rpartition(".")[2]
        if kind not in _FORMATS or not _has_default_settings(builder.config):
            return None
        paths = [str(path) for path in builder.config.data_files[resolved.split]]
        kinds = [type_of_name(path) for path in paths]
        if not all(name in _FORMATS[kind] for name in kinds):
            return None
        options: dict[str, Any] = {}
        if all(path.startswith("hf://") for path in paths):
            options = {"endpoint": resolved.endpoint, "token": resolved.token}
        source = Source(
            tuple(SourceFile(path, str(name)) for path, name in zip(paths, kinds, strict=True)),
            {**options, **(self.storage_options or {})},
            delimiter=builder.config.sep if kind == "csv" and builder.config.sep != "," else None,
        )
        if kind != "csv":
            return source
        types = _types_of(builder.info.features) or infer_text_columns(source)
        return dataclasses.replace(source, text_columns=types)

    def _stream(self, resolved: Resolved) -> Stream:
        assert self.repo_id is not None
        return Stream(
            self.repo_id, self.config, resolved.split, self._resolved_revision, resolved.token
        )


def find_builder(
    repo_id: str, config: str | None, revision: str | None, token: SecretStr | None
) -> Any:
    """The builder of `datasets` for a repository.

    Raises:
        DistilabelUserError: repository, revision or configuration isn't there or can't be read;
            says what is there, and how to log in.
    """
    import datasets
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError, RevisionNotFoundError

    plain = token.get_secret_value() if token else None
    where = f"the dataset {repo_id!r} on {constants.ENDPOINT}"
    try:
        return datasets.load_dataset_builder(repo_id, config, revision=revision, token=plain)
    except HFValidationError as error:
        raise DistilabelUserError(f"repo_id={repo_id!r}: {error}") from error
    except datasets.exceptions.DatasetNotFoundError as error:
        if isinstance(error.__cause__, RevisionNotFoundError):
            raise DistilabelUserError(
                f"{where} has no revision {revision!r}.{_revisions(repo_id, plain)}"
            ) from error
        raise DistilabelUserError(
            f"{where} can't be loaded: {_first_line(error)} If it is private or gated, {_LOGIN}."
        ) from error
    except datasets.exceptions.DataFilesNotFoundError as error:
        raise DistilabelUserError(f"{where} has no data files: {_first_line(error)}") from error
    except ValueError as error:
        configs = datasets.get_dataset_config_names(repo_id, revision=revision, token=plain)
        if config in configs or (config is None and len(configs) < 2):
            raise DistilabelUserError(f"{where} can't be loaded: {error}") from error
        asked = "needs a `config`" if config is None else f"has no config {config!r}"
        raise DistilabelUserError(
            f"{where} {asked}.{closest(config or '', configs)} It has: "
            f"{', '.join(map(repr, configs))}."
        ) from error
    except Exception as error:  # the transport's own, which depend on its version
        raise DistilabelUserError(
            f"{where} can't be loaded: {type(error).__name__}: {_first_line(error)}"
        ) from error


def _revisions(repo_id: str, token: str | None) -> str:
    from huggingface_hub import HfApi

    try:
        refs = HfApi(token=token).list_repo_refs(repo_id, repo_type="dataset")
    except Exception:  # the caller reports an error of its own; this one would hide it
        return " Use a branch, a tag or a commit."
    names = [ref.name for ref in (*refs.branches, *refs.tags)]
    return f" It has: {', '.join(map(repr, names))}, and its commits."


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]


def _has_default_settings(config: Any) -> bool:
    """Whether a repository's card asks for nothing that our readers don't know."""
    default = type(config)()
    return all(
        getattr(config, field.name) == getattr(default, field.name)
        for field in dataclasses.fields(config)
        if field.name not in _HARMLESS
    )


def _types_of(features: Any) -> dict[str, str]:
    """The CSV column types that declared features ask for; none where nothing is declared."""
    if features is None:
        return {}
    types = {}
    for name, feature in features.items():
        dtype = str(getattr(feature, "dtype", "string"))
        kind = "int64" if "int" in dtype else "double" if "float" in dtype else dtype
        types[name] = kind if kind in ("int64", "double", "bool") else "string"
    return types


def open_stream(stream: Stream) -> Any:
    """The split as an `IterableDataset` whose images and audio stay encoded."""
    import datasets

    dataset = datasets.load_dataset(
        stream.repo_id,
        stream.config,
        split=stream.split,
        revision=stream.revision,
        token=stream.token.get_secret_value() if stream.token else None,
        streaming=True,
    )
    return dataset.decode(False) if dataset.features is not None else dataset


def read_stream(stream: Stream, part: tuple[int, int, int | None]) -> Iterator[Block]:
    """The rows of one of several equal parts of a split, block by block.

    Args:
        stream: the split.
        part: which part, of how many, and how many rows of it at most.
    """
    shard, shards, limit = part
    dataset = open_stream(stream)
    if shards > 1:
        dataset = dataset.shard(num_shards=shards, index=shard)
    rows = enumerate(itertools.islice(dataset, limit))
    while numbered := list(itertools.islice(rows, BLOCK_ROWS)):
        block: list[Row] = [{**row, ROW_ID: position_id(shard, index)} for index, row in numbered]
        number_equal_rows(block)
        yield Block(block, [])


__all__ = ["LoadDataFromHub"]
