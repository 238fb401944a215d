"""The result of a pipeline: subset name to `datasets.DatasetDict`, opened when it is asked for."""

from __future__ import annotations

import atexit
import base64
import binascii
import copy
import os
import posixpath
import re
import shutil
import sys
import tempfile
import uuid
from collections.abc import ItemsView, Iterable, Iterator, ValuesView
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import fsspec
import pyarrow as pa

from beam_distilabel.card import SubsetSummary, build_card
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.layout import Snapshot, SplitFiles, is_local, subset_names

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from pydantic import SecretStr

IN_MEMORY_BYTES = 1_000_000_000
"""A split of more bytes is memory-mapped from an Arrow file instead of read into memory."""

METADATA_COLUMN = "distilabel_metadata"
CONFIGS_FOLDER = "distiset_configs"
ARTIFACTS_FOLDER = "artifacts"
PIPELINE_FILE = "pipeline.yaml"
LOG_FILE = "pipeline.log"
CARD_FILE = "README.md"

_ARROW_FOLDER = ".arrow"
_BATCH_ROWS = 1_000
_SECRET = re.compile(
    r"hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_\w{36,}"
)

AnyDataset = Union["DatasetDict", "Dataset"]
AnyPath = Union[str, "os.PathLike[str]"]


class Distiset(dict[str, Any]):
    """Subset name to `DatasetDict`: a pipeline's leaves, or `"default"` where there is one leaf.

    A subset that lies on disk as Parquet is opened when it is first asked for, without a copy into
    the cache of `datasets`: up to `IN_MEMORY_BYTES` per split it is read into memory, above that it
    is converted once to an Arrow file in `.arrow/` beside the subsets and memory-mapped from there.
    It holds the rows that were there when the Distiset was made: a later run in the same directory
    changes nothing (on a remote filesystem, opening it is an error then).
    Names, lengths, `repr` and comparing with itself open nothing.

    Attributes:
        pipeline_path: the pipeline's YAML file, if there is one.
        log_filename_path: the pipeline's log, if there is one.
        artifacts_path: the folder `<step>/<artifact>/` of the Steps' artifacts, if there is one.
        citations: BibTeX entries for the card.

    Example:
        >>> from datasets import Dataset, DatasetDict
        >>> train = Dataset.from_list([{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}])
        >>> distiset = Distiset({"default": DatasetDict({"train": train})})
        >>> distiset.train_test_split(0.75, shuffle=False)["default"]["test"].to_list()
        [{'a': 4}]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # `dict(lazy)` would open every subset; copying keeps them closed.
        super().__init__()
        self._pipeline_path: Path | None = None
        self._log_filename_path: Path | None = None
        self._artifacts_path: Path | None = None
        self._citations: list[str] = []
        if len(args) == 1 and isinstance(args[0], Distiset):
            super().update(args[0]._raw())
            super().update(kwargs)
        else:
            super().update(*args, **kwargs)

    # --- properties -------------------------------------------------------------------------------

    @property
    def pipeline_path(self) -> Path | None:
        return self._pipeline_path

    @pipeline_path.setter
    def pipeline_path(self, path: AnyPath | None) -> None:
        self._pipeline_path = _path(path)

    @property
    def log_filename_path(self) -> Path | None:
        return self._log_filename_path

    @log_filename_path.setter
    def log_filename_path(self, path: AnyPath | None) -> None:
        self._log_filename_path = _path(path)

    @property
    def artifacts_path(self) -> Path | None:
        return self._artifacts_path

    @artifacts_path.setter
    def artifacts_path(self, path: AnyPath | None) -> None:
        self._artifacts_path = _path(path)

    @property
    def citations(self) -> list[str]:
        return self._citations

    @citations.setter
    def citations(self, citations: Iterable[str]) -> None:
        self._citations = list(citations)

    # --- what people do with it -------------------------------------------------------------------

    def train_test_split(
        self, train_size: float, shuffle: bool = True, seed: int | None = None
    ) -> Distiset:
        """Split every subset's `train` rows into `train` and `test`, in place.

        Args:
            train_size: the share of rows that stays in `train`, between 0 and 1, both excluded.
            shuffle: draw the rows at random; else the last ones become `test`.
            seed: makes the draw repeatable.

        Returns:
            This Distiset.

        Raises:
            DistilabelUserError: a subset has no `train` split or has a `test` split already, or too
                few rows; then nothing was changed.
        """
        from datasets import DatasetDict

        if not 0 < train_size < 1:
            raise DistilabelUserError(
                f"train_test_split: train_size must be between 0 and 1, got {train_size}."
            )
        done: dict[str, Any] = {}
        for name, subset in self.items():
            others = dict(subset) if isinstance(subset, DatasetDict) else {"train": subset}
            train = others.pop("train", None)
            if train is None or "test" in others:
                found = ", ".join(subset)
                raise DistilabelUserError(
                    f"train_test_split: subset {name!r} needs a 'train' split and no 'test' split, "
                    f"it has: {found}."
                )
            try:
                parts = train.train_test_split(train_size=train_size, shuffle=shuffle, seed=seed)
            except ValueError as error:
                raise DistilabelUserError(
                    f"train_test_split: subset {name!r} with {len(train)} rows can't be split at "
                    f"{train_size}: {error}"
                ) from error
            done[name] = DatasetDict({**parts, **others})
        self.update(done)
        return self

    def transform_columns_to_image(self, columns: str | list[str]) -> Distiset:
        """Turn columns of base64 text (or data URLs) into `datasets.Image` columns, in place.

        Args:
            columns: their names; a subset without such a column stays as it is.

        Returns:
            This Distiset.

        Raises:
            DistilabelUserError: no subset has the column, or a value isn't base64.
        """
        names = [columns] if isinstance(columns, str) else list(columns)
        parts = {
            name: dict(subset) if isinstance(subset, dict) else {"": subset}
            for name, subset in self.items()
        }
        found = {
            column
            for splits in parts.values()
            for dataset in splits.values()
            for column in dataset.column_names
        }
        missing = [name for name in names if name not in found]
        if missing:
            raise DistilabelUserError(
                f"transform_columns_to_image: no subset has the columns {missing}."
            )
        done: dict[str, Any] = {}
        for name, splits in parts.items():
            images = {split: _with_images(data, names, name) for split, data in splits.items()}
            subset = self[name]
            done[name] = type(subset)(images) if isinstance(subset, dict) else images[""]
        self.update(done)
        return self

    def save_to_disk(
        self,
        distiset_path: AnyPath,
        max_shard_size: str | int | None = None,
        num_shards: int | None = None,
        num_proc: int | None = None,
        storage_options: dict[str, Any] | None = None,
        save_card: bool = True,
        save_pipeline_config: bool = True,
        save_pipeline_log: bool = True,
    ) -> None:
        """Save everything to a folder, in distilabel's layout.

        That is `<subset>/` as `datasets` saves it, `distiset_configs/` with `README.md`,
        `pipeline.yaml` and `pipeline.log`, and `artifacts/<step>/<artifact>/`.

        Args:
            distiset_path: a local path or any URL that fsspec knows.
            max_shard_size: of an Arrow file, such as `"500MB"`; the default of `datasets` if None.
            num_shards: how many Arrow files per split, instead of a size.
            num_proc: processes that write; one if None.
            storage_options: for fsspec.
            save_card: write the card.
            save_pipeline_config: write the pipeline's YAML file, if there is one.
            save_pipeline_log: write the log, if there is one.
        """
        path = _text(distiset_path)
        options = storage_options or {}
        for name, subset in self.items():
            shards: Any = num_shards
            if num_shards is not None and isinstance(subset, dict):
                shards = {split: num_shards for split in subset}
            subset.save_to_disk(
                posixpath.join(path, name),
                max_shard_size=max_shard_size,
                num_shards=shards,
                num_proc=num_proc,
                storage_options=storage_options,
            )
        filesystem, root = fsspec.core.url_to_fs(path, **options)
        configs = posixpath.join(root, CONFIGS_FOLDER)
        filesystem.makedirs(configs, exist_ok=True)
        if save_card:
            card = self._card(location=path).encode()
            filesystem.pipe_file(posixpath.join(configs, CARD_FILE), card)
        for wanted, source, name in (
            (save_pipeline_config, self.pipeline_path, PIPELINE_FILE),
            (save_pipeline_log, self.log_filename_path, LOG_FILE),
        ):
            if wanted and source is not None and source.is_file():
                filesystem.pipe_file(posixpath.join(configs, name), source.read_bytes())
        for file in self._artifact_files():
            target = posixpath.join(root, ARTIFACTS_FOLDER, file)
            filesystem.makedirs(posixpath.dirname(target), exist_ok=True)
            assert self.artifacts_path is not None
            filesystem.put_file(str(self.artifacts_path / file), target)

    @classmethod
    def load_from_disk(
        cls,
        distiset_path: AnyPath,
        keep_in_memory: bool | None = None,
        storage_options: dict[str, Any] | None = None,
        download_dir: AnyPath | None = None,
    ) -> Distiset:
        """Load what `save_to_disk` saved, here or in distilabel 1.5.

        Args:
            distiset_path: a local path or any URL that fsspec knows.
            keep_in_memory: read the rows into memory instead of mapping the files.
            storage_options: for fsspec.
            download_dir: where the pipeline's files and the artifacts of a remote set are put; a
                temporary folder if None.

        Raises:
            DistilabelUserError: there is no such folder, or it holds no subset.
        """
        from datasets import load_from_disk

        path = _text(distiset_path)
        filesystem, root = fsspec.core.url_to_fs(path, **(storage_options or {}))
        if not filesystem.isdir(root):
            raise DistilabelUserError(f"load_from_disk: there is no folder {path}.")
        distiset = cls()
        for entry in sorted(filesystem.ls(root, detail=False)):
            name = posixpath.basename(entry.rstrip("/"))
            saved = (posixpath.join(entry, file) for file in ("dataset_dict.json", "state.json"))
            if name in (CONFIGS_FOLDER, ARTIFACTS_FOLDER) or not filesystem.isdir(entry):
                continue
            if any(filesystem.exists(file) for file in saved):
                distiset[name] = load_from_disk(
                    posixpath.join(path, name),
                    keep_in_memory=keep_in_memory,
                    storage_options=storage_options,
                )
        if not distiset:
            raise DistilabelUserError(
                f"load_from_disk: {path} holds no saved subset. A run's folder is opened with "
                "create_distiset."
            )
        local = Path(root)
        if not is_local(path):
            local = Path(_text(download_dir or tempfile.mkdtemp(prefix="distiset-")))
            for folder in (CONFIGS_FOLDER, ARTIFACTS_FOLDER):
                if filesystem.isdir(posixpath.join(root, folder)):
                    filesystem.get(
                        posixpath.join(root, folder), str(local / folder), recursive=True
                    )
        distiset._find_files(local / CONFIGS_FOLDER, local / ARTIFACTS_FOLDER)
        return distiset

    def push_to_hub(
        self,
        repo_id: str,
        private: bool = False,
        token: str | SecretStr | None = None,
        generate_card: bool = True,
        include_script: bool = False,
        *,
        commit_message: str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        **kwargs: Any,
    ) -> None:
        """Push every subset as a config of a dataset on the Hub, and what made it beside them.

        Args:
            repo_id: `namespace/name`; created if it doesn't exist.
            private: whether a new repo is private.
            token: of the Hub; the one of `hf auth login` or `HF_TOKEN` if None. It is written
                nowhere.
            generate_card: write our section of the card; what people wrote around it stays.
            include_script: also push the script that runs now.
            commit_message: of every commit.
            revision: the branch to push to; `main` if None.
            create_pr: open one pull request with everything instead.
            kwargs: for `push_to_hub` of `datasets`, such as `max_shard_size` or `num_proc`.

        Raises:
            DistilabelUserError: there is nothing to push, the script can't be found, or it contains
                what looks like a secret.
        """
        from huggingface_hub import CommitOperationAdd, HfApi

        secret: str | None = _reveal(token)
        if not self:
            raise DistilabelUserError("push_to_hub: the Distiset has no subset.")
        texts = self._texts_to_push(secret, include_script)
        message = commit_message or "Upload dataset with beam-distilabel"
        for name, subset in self.items():
            options = {"split": "train"} if not isinstance(subset, dict) else {}
            commit = subset.push_to_hub(
                repo_id,
                config_name=name,
                private=private,
                token=secret,
                commit_message=message,
                revision=revision,
                create_pr=create_pr,
                **{**options, **kwargs},
            )
            if create_pr:
                # All that follows goes into the pull request that the first push has opened.
                revision, create_pr = commit.pr_revision, False
        api = HfApi(token=secret)
        if generate_card:
            existing = _read_hub_card(api, repo_id, revision)
            texts[CARD_FILE] = self._card(location=repo_id, existing=existing).encode()
        operations = [
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
            for name, content in texts.items()
        ]
        for file in self._artifact_files():
            assert self.artifacts_path is not None
            local = str(self.artifacts_path / file)
            operations.append(
                CommitOperationAdd(path_in_repo=f"{ARTIFACTS_FOLDER}/{file}", path_or_fileobj=local)
            )
        if operations:
            api.create_commit(
                repo_id,
                operations,
                commit_message=message,
                repo_type="dataset",
                revision=revision,
            )

    def _texts_to_push(self, secret: str | None, include_script: bool) -> dict[str, bytes]:
        texts: dict[str, bytes] = {}
        for path, name in (
            (self.pipeline_path, PIPELINE_FILE),
            (self.log_filename_path, LOG_FILE),
        ):
            if path is not None and path.is_file():
                text = path.read_text("utf-8", "replace")
                if secret:
                    text = text.replace(secret, "***")
                texts[name] = _SECRET.sub("***", text).encode()
        if include_script:
            script = Path(sys.argv[0]) if sys.argv and sys.argv[0] else None
            if script is None or not script.is_file() or script.suffix != ".py":
                raise DistilabelUserError(
                    "push_to_hub: include_script=True, but this process doesn't run a .py file."
                )
            text = script.read_text("utf-8", "replace")
            if _SECRET.search(text) or (secret and secret in text):
                raise DistilabelUserError(
                    f"push_to_hub: {script.name} contains what looks like a token. Read it from "
                    "the environment instead, or pass include_script=False."
                )
            texts[script.name] = text.encode()
        return texts

    # --- the card ---------------------------------------------------------------------------------

    def _card(self, *, location: str, existing: str | None = None) -> str:
        artifacts: dict[str, list[str]] = {}
        for file in self._artifact_files():
            step, *rest = file.split("/")
            if len(rest) > 1 and rest[0] not in artifacts.setdefault(step, []):
                artifacts[step].append(rest[0])
        return build_card(
            [_summary(name, value) for name, value in self._raw().items()],
            location=location,
            has_pipeline=self.pipeline_path is not None,
            artifacts=artifacts,
            citations=self.citations,
            existing=existing,
        )

    def _artifact_files(self) -> list[str]:
        root = self.artifacts_path
        if root is None or not root.is_dir():
            return []
        return sorted(f.relative_to(root).as_posix() for f in root.rglob("*") if f.is_file())

    def _find_files(self, configs: Path, artifacts: Path) -> None:
        if (configs / PIPELINE_FILE).is_file():
            self.pipeline_path = configs / PIPELINE_FILE
        if (configs / LOG_FILE).is_file():
            self.log_filename_path = configs / LOG_FILE
        if artifacts.is_dir():
            self.artifacts_path = artifacts

    # --- a dict whose values are opened when they are asked for -----------------------------------

    def _raw(self) -> dict[str, Any]:
        return {name: dict.__getitem__(self, name) for name in dict.keys(self)}

    def __getitem__(self, name: str) -> Any:
        try:
            value = super().__getitem__(name)
        except KeyError:
            raise KeyError(
                f"there is no subset {name!r}; there are: {', '.join(map(repr, self)) or 'none'}"
            ) from None
        if isinstance(value, _Unopened):
            value = value.open()
            super().__setitem__(name, value)
        return value

    def __iter__(self) -> Iterator[str]:
        # Being overridden, it makes `dict(self)` and `{**self}` ask `__getitem__` for the values.
        return super().__iter__()

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default

    def items(self) -> Any:
        return ItemsView(self)

    def values(self) -> Any:
        return ValuesView(self)

    def pop(self, name: str, *default: Any) -> Any:
        if name in self:
            value = self[name]
            del self[name]
            return value
        return super().pop(name, *default)

    def popitem(self) -> tuple[str, Any]:
        name = next(reversed(self), None)
        if name is None:
            raise KeyError("popitem(): the Distiset is empty")
        return name, self.pop(name)

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def update(self, *args: Any, **kwargs: Any) -> None:
        if len(args) == 1 and isinstance(args[0], Distiset):
            args = (args[0]._raw(),)
        super().update(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, dict) or self.keys() != other.keys():
            return False
        theirs = other._raw() if isinstance(other, Distiset) else other
        for name, mine in self._raw().items():
            same_files = isinstance(mine, _Unopened) and mine == theirs[name]
            if not same_files and not _equal(self[name], other[name]):
                return False
        return True

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, dict):
            return NotImplemented
        merged = self.copy()
        merged.update(other)
        return merged

    def __ror__(self, other: Any) -> Any:
        return {**other, **self} if isinstance(other, dict) else NotImplemented

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def copy(self) -> Distiset:
        """A shallow copy; subsets that aren't open stay closed."""
        made = type(self)()
        made.__setstate__(self.__getstate__())
        return made

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Distiset:
        made = type(self)()
        made.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {"subsets": self._raw(), "attributes": dict(self.__dict__)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state["attributes"])
        dict.update(self, state["subsets"])

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (), self.__getstate__()

    def __repr__(self) -> str:
        lines = [f"{name}: {value!r}" for name, value in self._raw().items()]
        body = "\n".join(lines).replace("\n", "\n    ")
        return f"Distiset({{\n    {body}\n}})" if lines else "Distiset({})"


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
    path = _text(data_dir).rstrip("/")
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
    drop = () if enable_metadata else (METADATA_COLUMN,)
    for name in names:
        shards = Snapshot(posixpath.join(path, name))
        dict.__setitem__(distiset, name, _Unopened(path, name, drop, shards))
    if is_local(run):
        local = Path(fsspec.core.url_to_fs(run)[1])
        distiset._find_files(local, local / ARTIFACTS_FOLDER)
    if pipeline_path is not None:
        distiset.pipeline_path = _path(pipeline_path)
    if log_filename_path is not None:
        distiset.log_filename_path = _path(log_filename_path)
    if dag is not None:
        distiset.citations = list(dict.fromkeys(c for step in dag for c in citations_of(step)))
    return distiset


def citations_of(step: Any) -> list[str]:
    """The BibTeX entries in the docstring of a Step or of its class.

    Example:
        >>> class Judge:
        ...     '''Judges.
        ...
        ...     Citations:
        ...         @article{judge, title={{On {nested} braces}}}
        ...     '''
        >>> citations_of(Judge())
        ['@article{judge, title={{On {nested} braces}}}']
    """
    text = (step if isinstance(step, type) else type(step)).__doc__ or ""
    entries = []
    for match in re.finditer(r"^[ \t]*(@\w+\s*\{)", text, re.MULTILINE):
        depth = 0
        for end in range(match.start(1), len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0 and text[end] == "}":
                lines = text[match.start(1) : end + 1].splitlines()
                indent = min((len(x) - len(x.lstrip()) for x in lines[1:] if x.strip()), default=0)
                entries.append("\n".join([lines[0], *(line[indent:] for line in lines[1:])]))
                break
    return entries


# --- subsets on disk ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Unopened:
    """A subset that lies at `<path>/<name>` and hasn't been asked for."""

    path: str
    name: str
    drop: tuple[str, ...]
    shards: Snapshot

    def open(self) -> DatasetDict:
        from datasets import DatasetDict

        return DatasetDict({split.name: self._open_split(split) for split in self.shards.splits()})

    def _open_split(self, split: SplitFiles) -> Dataset:
        from datasets import Dataset, NamedSplit

        columns = [name for name in split.schema.names if name not in self.drop]
        if split.bytes <= IN_MEMORY_BYTES:
            tables = []
            for file in split.files:
                with self.shards.open(file) as parquet:
                    tables.append(parquet.read(columns=columns))
            # The fingerprint is that of the files: computing one from the rows takes long.
            name = NamedSplit(split.name)
            return Dataset(pa.concat_tables(tables), split=name, fingerprint=split.fingerprint)
        dataset = Dataset.from_file(
            _convert_to_arrow(self.path, self.name, split, self.shards), split=NamedSplit(split.name)
        )
        return dataset.select_columns(columns)

    def __repr__(self) -> str:
        parts = []
        for split in self.shards.splits():
            columns = [name for name in split.schema.names if name not in self.drop]
            parts.append(
                f"    {split.name}: Dataset({{\n        features: {columns},\n"
                f"        num_rows: {split.rows}\n    }})"
            )
        body = "\n".join(parts)
        return f"DatasetDict({{\n{body}\n}})"


def _convert_to_arrow(path: str, subset: str, split: SplitFiles, shards: Snapshot) -> str:
    """The Arrow file with the rows of `split`; written once, batch by batch."""
    name = f"{split.name}-{split.fingerprint}.arrow"
    folder = _arrow_folder(path, subset)
    target = os.path.join(folder, name)
    if os.path.exists(target):
        return target
    writing = os.path.join(folder, f"{uuid.uuid4().hex}.writing")
    try:
        with pa.OSFile(writing, "wb") as sink, pa.ipc.new_stream(sink, split.schema) as stream:
            for file in split.files:
                with shards.open(file) as parquet:
                    for batch in parquet.iter_batches(batch_size=_BATCH_ROWS):
                        stream.write_batch(batch)
        os.replace(writing, target)
    finally:
        if os.path.exists(writing):
            os.remove(writing)
    for other in os.listdir(folder):
        if other.startswith(f"{split.name}-") and other.endswith(".arrow") and other != name:
            os.remove(os.path.join(folder, other))
    return target


def _arrow_folder(path: str, subset: str) -> str:
    if is_local(path):
        folder = os.path.join(fsspec.core.url_to_fs(path)[1], _ARROW_FOLDER, subset)
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError:
            pass  # a read-only result
        if os.access(folder, os.W_OK):
            return folder
    # Remote or read-only: a copy for this process alone, since a shared one could be tampered with.
    folder = tempfile.mkdtemp(prefix="distiset-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _summary(name: str, value: Any) -> SubsetSummary:
    if isinstance(value, _Unopened):
        splits = value.shards.splits()
        sample = value.shards.first_row()
        return SubsetSummary(
            name=name,
            splits={split.name: split.rows for split in splits},
            columns={
                field.name: str(field.type)
                for field in splits[0].schema
                if field.name not in value.drop
            },
            sample={k: v for k, v in sample.items() if k not in value.drop} if sample else None,
        )
    parts: dict[str, Any] = dict(value) if isinstance(value, dict) else {"train": value}
    first = next(iter(parts.values()))
    table = first.with_format("arrow")[:1] if len(first) else None
    return SubsetSummary(
        name=name,
        splits={split: len(dataset) for split, dataset in parts.items()},
        columns={name: str(feature) for name, feature in first.features.items()},
        sample=table.to_pylist()[0] if table is not None else None,
    )


# --- small helpers --------------------------------------------------------------------------------


def _equal(left: Any, right: Any) -> bool:
    """Whether two values hold the same rows; a `Dataset` alone compares by identity."""
    from datasets import Dataset

    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[k], right[k]) for k in left)
    if not isinstance(left, Dataset) or not isinstance(right, Dataset):
        return bool(left == right)
    if left is right:
        return True
    if left.features != right.features or len(left) != len(right):
        return False
    batches = zip(
        left.with_format("arrow").iter(_BATCH_ROWS),
        right.with_format("arrow").iter(_BATCH_ROWS),
        strict=True,
    )
    return all(mine.equals(theirs) for mine, theirs in batches)


def _with_images(dataset: Dataset, columns: list[str], subset: str) -> Dataset:
    from datasets import Features, Image

    columns = [
        name
        for name in columns
        if name in dataset.column_names and not isinstance(dataset.features[name], Image)
    ]
    if not columns:
        return dataset
    features = Features({**dataset.features, **{name: Image() for name in columns}})

    def decode(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        decoded = {}
        for name in columns:
            decoded[name] = [_image(value, name, subset) for value in batch[name]]
        return decoded

    return dataset.map(decode, batched=True, features=features)


def _image(value: Any, column: str, subset: str) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        data = value.partition(",")[2] if value.startswith("data:") else value
        return {"bytes": base64.b64decode(data, validate=True), "path": None}
    except (AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise DistilabelUserError(
            f"transform_columns_to_image: column {column!r} of subset {subset!r} holds "
            f"{str(value)[:40]!r}, which isn't base64."
        ) from error


def _read_hub_card(api: Any, repo_id: str, revision: str | None) -> str | None:
    from huggingface_hub.errors import EntryNotFoundError

    with tempfile.TemporaryDirectory() as folder:
        try:
            path = api.hf_hub_download(
                repo_id, CARD_FILE, repo_type="dataset", revision=revision, local_dir=folder
            )
        except EntryNotFoundError:
            return None
        return Path(path).read_text("utf-8")


def _reveal(token: str | SecretStr | None) -> str | None:
    if token is None or isinstance(token, str):
        return token
    return str(token.get_secret_value())


def _text(path: AnyPath) -> str:
    text = path if isinstance(path, str) else (getattr(path, "as_posix", None) or path.__fspath__)()
    return str(text)


def _path(path: AnyPath | None) -> Path | None:
    return None if path is None else Path(path)


def _is_folder(path: str) -> bool:
    filesystem, folder = fsspec.core.url_to_fs(path)
    return bool(filesystem.isdir(folder))
