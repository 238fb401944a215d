"""LoadDataFromHub: rows of a dataset repository on the Hugging Face Hub."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pyarrow as pa
from pydantic import Field, PrivateAttr, SecretStr
from typing_extensions import Self

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.problems import closest
from beam_distilabel.row import ROW_ID
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.transforms.sources.declared_features import have_features
from beam_distilabel.transforms.sources.files import Source, SourceFile, list_files, type_of_name
from beam_distilabel.transforms.sources.hub_conversion import (
    Conversion,
    Unusable,
    find_conversion,
    list_conversion,
)
from beam_distilabel.transforms.sources.hub_repository import (
    Repository,
    first_line,
    open_repository,
    patiently,
    unreadable,
)
from beam_distilabel.transforms.sources.hub_streams import Part, Stream, open_stream, read_stream
from beam_distilabel.transforms.sources.loader import FileLoader, data_schema, naming
from beam_distilabel.transforms.sources.readers import (
    Block,
    infer_text_columns,
    read_columns,
    read_work,
    union_schema,
)
from beam_distilabel.transforms.sources.units import Survey, Work, distribute, survey

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

_log = logging.getLogger("distilabel")


class Resolved(NamedTuple):
    """What is read of a repository.

    Attributes:
        repository: at the commit that is read.
        builder: of `datasets`; knows files, features and format. None where `datasets` can't read
            the repository, and only its conversion is left.
        config: the name of the configuration.
        split: the split asked for.
        conversion: the Hub's own Parquet files that are read in place of the repository's.
    """

    repository: Repository
    builder: Any
    config: str
    split: str
    conversion: Conversion | None

    @property
    def features(self) -> Any:
        """The features that the repository's card declares, None where it doesn't."""
        return None if self.builder is None else self.builder.info.features


class LoadDataFromHub(FileLoader):
    """Load a split of a dataset from the Hugging Face Hub.

    At launch the repository is resolved once: its commit is pinned, so that all workers read the
    same data, and its files are listed. Parquet files are read from the Hub by row group, columns
    that no Step can need left out. Of datasets in another format the Hub's own Parquet conversion
    is read, where it is complete, as new as the data, and no `revision` is asked for. Else JSON
    lines, JSON, CSV and Arrow files are read as they are, and other formats streamed through
    `datasets`, by shard; so are files that lack the features that the repository's card declares.
    `HF_ENDPOINT` and `HF_TOKEN` are honoured. Class labels are numbers, images and audio
    `{"bytes", "path"}`; the features that say so go with the columns.

    Attributes:
        repo_id: the repository, such as "argilla/distilabel-capybara", or a local folder of files;
            there `config` is a folder in it.
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

    def _parameters(self) -> tuple[str, ...]:
        import huggingface_hub
        from huggingface_hub import constants

        token = self.token.get_secret_value() if self.token else huggingface_hub.get_token()
        # A token's own text is a secret, and its `repr` doesn't tell it from another one.
        return (*super()._parameters(), str(constants.ENDPOINT), str(hash(token)))

    def copied(self) -> Self:
        """A copy, such as a run's, that resolves the repository anew."""
        duplicate = super().copied()
        duplicate._resolved_revision = None
        return duplicate

    def _folder(self) -> str | None:
        """The local folder that `repo_id` names, as `datasets` also takes one; None if none."""
        return self.repo_id if self.repo_id and os.path.isdir(self.repo_id) else None

    def _source_in(self, folder: str) -> Source:
        if self.config is not None:
            folder = os.path.join(folder, self.config)
        files = list_files(folder, None, self.split or "train")
        source = Source(files)
        return dataclasses.replace(source, text_columns=infer_text_columns(source))

    def _source(self) -> Source:
        folder = self._folder()
        if folder is not None:
            return self._source_in(folder)
        source = self._files()
        if source is None:
            raise DistilabelUserError(f"the files of {self.repo_id!r} are read by `datasets` only.")
        return source

    def _files(self) -> Source | None:
        """The files of the split; None where only `datasets` can read them."""
        source: Source | None = self._once("source", self._find_files)
        return source

    def _find_files(self) -> Source | None:
        resolved = self._resolve()
        source = self._source_of(resolved)
        if source is None or resolved.conversion is not None or self._fits(resolved, source):
            return source
        _log.info(
            "%s: the files of %r aren't of the types that its card declares, and are read through "
            "`datasets`.",
            self._described(),
            self.repo_id,
        )
        return None

    def _fits(self, resolved: Resolved, source: Source) -> bool:
        """Whether the files' own types are those that the card declares, if it does."""
        declared = resolved.features
        if declared is None:
            return True
        if not all(file.filetype in ("parquet", "arrow") for file in source.files):
            return False  # text has no types of its own
        return have_features(self._survey(source).schemas, declared.arrow_schema)

    def _survey(self, source: Source) -> Survey:
        # A commit's files don't change: their footers are read once.
        found: Survey = self._once(
            "survey", lambda: patiently(f"the footers of {self.repo_id!r}", lambda: survey(source))
        )
        return found

    def _read_columns(self) -> list[str]:
        if self._folder() is not None:
            return super()._read_columns()
        resolved = self._resolve()
        if resolved.features is not None:
            return list(resolved.features)
        source = self._files()
        if source is not None:
            schemas = self._survey(source).schemas
            return patiently(
                f"the columns of {self.repo_id!r}", lambda: read_columns(source, schemas)
            )
        stream = self._stream(resolved)
        features = open_stream(stream).features
        if features is not None:
            return list(features)
        block = next(read_stream(stream, Part(0, 1, 1, 1)), Block([], []))
        return [name for row in block.rows for name in row if name != ROW_ID]

    def _read_schema(self) -> pa.Schema | None:
        if self._folder() is not None:
            return super()._read_schema()
        resolved = self._resolve()
        if resolved.features is not None:
            return data_schema(resolved.features.arrow_schema)
        source = self._files()
        if source is None:
            features = open_stream(self._stream(resolved)).features
            return None if features is None else data_schema(features.arrow_schema)
        schema = union_schema(self._survey(source).schemas)
        return None if schema is None else data_schema(schema)

    def _plan(self) -> tuple[Callable[[Any], Iterable[Block]], list[Any]]:
        if self._folder() is not None:
            return super()._plan()
        resolved = self._resolve()
        source = self._files()
        if source is not None:
            read: Callable[[Any], Iterable[Block]] = functools.partial(
                read_work, self._pruned(source)
            )
            return read, distribute(self._survey(source).units, self.num_examples)
        stream = self._stream(resolved)
        shards = self._once("shards", lambda: open_stream(stream).num_shards)
        elements = (
            [Part(shard, shard + 1, shards) for shard in range(shards)]
            if self.num_examples is None
            else [Part(0, shards, shards, self.num_examples)]
        )
        return functools.partial(read_stream, stream), elements

    def count_rows(self) -> int | None:
        """How many rows the Step loads; None if only reading them tells."""
        with naming(self._described()):
            elements = self._plan()[1]
        if not all(isinstance(element, Work) for element in elements):
            return None
        return super().count_rows()

    def _describe(self) -> dict[str, Any]:
        if self._folder() is not None:
            return super()._describe()
        resolved = self._resolve()
        repository, conversion = resolved.repository, resolved.conversion
        facts: dict[str, Any] = {
            "repo_id": self.repo_id,
            "config": resolved.config,
            "split": resolved.split,
            "revision": self.revision,
            "commit": repository.commit,
        }
        if conversion is not None:
            facts["conversion_commit"] = conversion.commit
            files, size = list(conversion.files), conversion.commit
        else:
            start = repository.path_of("")
            paths = [str(path) for path in _data_files(resolved)]
            files = [path.removeprefix(start) for path in paths if path.startswith(start)]
            size = repository.commit
            if len(files) < len(paths):  # they lie elsewhere
                return {**facts, "files": len(paths), "bytes": None}
        return {**facts, "files": len(files), "bytes": repository.file_bytes(files, size)}

    def _resolve(self) -> Resolved:
        resolved: Resolved = self._once("resolved", self._find_readable)
        self._resolved_revision = resolved.repository.commit
        return resolved

    def _find_readable(self) -> Resolved:
        resolved = patiently(f"the dataset {self.repo_id!r}", self._find)
        if resolved.conversion is None:
            return resolved
        source = self._source_of(resolved)
        if source is None or self._fits(resolved, source):
            return resolved
        _log.info(
            "%s: the Hub's conversion of %r isn't of the types that its card declares, and isn't "
            "read.",
            self._described(),
            self.repo_id,
        )
        del self._found["survey"]
        return resolved._replace(conversion=None)

    def _find(self) -> Resolved:
        assert self.repo_id is not None
        split = self.split or "train"
        repository = open_repository(self.repo_id, self.revision or None, self.token)
        try:
            builder = find_builder(repository, self.config)
        except _NeedsItsScript as error:
            return self._find_converted(repository, split, error)
        _check_split(self.repo_id, split, [str(name) for name in builder.config.data_files or ()])
        resolved = Resolved(repository, builder, str(builder.config.name), split, None)
        if _kind_of(builder) == "parquet" or self.revision:
            # The rows and ids of a revision are always the same; its conversion may come and go.
            return resolved
        found = find_conversion(repository, resolved.config, split)
        where = f"{self._described()}: {self.repo_id!r} isn't stored as Parquet"
        if isinstance(found, Unusable):
            _log.info("%s, and is read as stored: of the Hub's conversion %s.", where, found.reason)
            return resolved
        _log.info("%s; read is the Hub's conversion, commit %s.", where, found.commit)
        return resolved._replace(conversion=found)

    def _find_converted(
        self, repository: Repository, split: str, problem: _NeedsItsScript
    ) -> Resolved:
        """The Hub's conversion of a dataset that is made by a script, which isn't run."""
        if self.revision:
            raise DistilabelUserError(
                f"{self.repo_id!r} is made by a script of its own, which isn't run, and its "
                f"Parquet conversion on the Hub isn't read for revision={self.revision!r}. Leave "
                "`revision` out to read the conversion of the newest commit."
            ) from problem
        listed = list_conversion(repository)
        configs = listed[1] if listed is not None else {}
        config = self.config or (next(iter(configs)) if len(configs) == 1 else "default")
        if configs:
            if config not in configs:
                raise _no_config(self.repo_id or "", self.config, list(configs))
            _check_split(self.repo_id or "", split, list(configs[config]))
        found = find_conversion(repository, config, split) if configs else Unusable("there is none")
        if isinstance(found, Unusable):
            raise DistilabelUserError(
                f"{self.repo_id!r} is made by a script of its own, which isn't run, and its "
                f"Parquet conversion on the Hub can't be read: {found.reason}."
            ) from problem
        _log.info(
            "%s: %r is made by a script; read is the Hub's conversion, commit %s.",
            self._described(),
            self.repo_id,
            found.commit,
        )
        return Resolved(repository, None, config, split, found)

    def _source_of(self, resolved: Resolved) -> Source | None:
        repository, builder = resolved.repository, resolved.builder
        options = {"endpoint": repository.endpoint, "token": repository.token}
        own = dict(self.storage_options or {})
        if resolved.conversion is not None:
            commit = resolved.conversion.commit
            files = (repository.path_of(file, commit) for file in resolved.conversion.files)
            return Source(tuple(SourceFile(file, "parquet") for file in files), {**options, **own})
        kind = _kind_of(builder)
        if kind not in _FORMATS or not _has_default_settings(builder.config):
            return None
        paths = [str(path) for path in _data_files(resolved)]
        # Without its protocol: in a repository's file name "?" begins no query.
        kinds = [type_of_name(path.removeprefix("hf://")) for path in paths]
        if not all(name in _FORMATS[kind] for name in kinds):
            return None
        if not all(path.startswith("hf://") for path in paths):
            options = {}
        source = Source(
            tuple(SourceFile(path, str(name)) for path, name in zip(paths, kinds, strict=True)),
            {**options, **own},
            delimiter=builder.config.sep if kind == "csv" and builder.config.sep != "," else None,
        )
        if kind != "csv":
            return source
        if resolved.features is not None:
            return source
        types = patiently(f"the columns of {self.repo_id!r}", lambda: infer_text_columns(source))
        return dataclasses.replace(source, text_columns=types)

    def _stream(self, resolved: Resolved) -> Stream:
        repository = resolved.repository
        return Stream(
            repository.repo_id,
            self.config,
            resolved.split,
            repository.commit,
            repository.token,
        )


class _NeedsItsScript(DistilabelUserError):
    """A dataset that only code in its repository could make."""


def find_builder(repository: Repository, config: str | None) -> Any:
    """The builder of `datasets` for a repository.

    Raises:
        DistilabelUserError: there is no such configuration, or no data; says what is there.
    """
    import datasets

    repo_id, plain = repository.repo_id, repository.plain_token
    where = f"the dataset {repo_id!r} on {repository.endpoint}"
    try:
        return datasets.load_dataset_builder(
            repo_id, config, revision=repository.commit, token=plain
        )
    except (
        datasets.exceptions.DataFilesNotFoundError,
        datasets.data_files.EmptyDatasetError,
    ) as error:
        raise DistilabelUserError(f"{where} has no data files: {first_line(error)}") from error
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error):
            raise unreadable(repo_id, repository.commit, plain, error) from error
        raise _NeedsItsScript(f"{where}: {first_line(error)}") from error
    except ValueError as error:
        configs = _configs_of(repository)
        if config in configs or (config is None and len(configs) < 2):
            raise unreadable(repo_id, repository.commit, plain, error) from error
        raise _no_config(repo_id, config, configs) from error
    except Exception as error:
        raise unreadable(repo_id, repository.commit, plain, error) from error


def _configs_of(repository: Repository) -> list[str]:
    import datasets

    try:
        return list(
            datasets.get_dataset_config_names(
                repository.repo_id, revision=repository.commit, token=repository.plain_token
            )
        )
    except Exception as error:
        raise unreadable(
            repository.repo_id, repository.commit, repository.plain_token, error
        ) from error


def _no_config(repo_id: str, config: str | None, configs: list[str]) -> DistilabelUserError:
    asked = "needs a `config`" if config is None else f"has no config {config!r}"
    return DistilabelUserError(
        f"the dataset {repo_id!r} {asked}.{closest(config or '', configs)} It has: "
        f"{', '.join(map(repr, configs))}."
    )


def _check_split(repo_id: str, split: str, splits: list[str]) -> None:
    if not splits or split in splits or f"partial-{split}" in splits:
        return
    reason = (
        "parts of a split can't be loaded by name; use `num_examples`."
        if "[" in split or "+" in split
        else f"{closest(split, splits)} It has: {', '.join(map(repr, splits))}."
    )
    raise DistilabelUserError(f"{repo_id!r} has no split {split!r}: {reason.strip()}")


def _kind_of(builder: Any) -> str:
    """The format that a builder reads, by the name that `datasets` gives it."""
    return str(type(builder).__module__.rpartition(".")[2])


def _data_files(resolved: Resolved) -> list[Any]:
    return list((resolved.builder.config.data_files or {}).get(resolved.split, ()))


def _has_default_settings(config: Any) -> bool:
    """Whether a repository's card asks for nothing that our readers don't know."""
    default = type(config)()
    return all(
        getattr(config, field.name) == getattr(default, field.name)
        for field in dataclasses.fields(config)
        if field.name not in _HARMLESS
    )


__all__ = ["LoadDataFromHub"]
