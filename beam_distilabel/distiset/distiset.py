"""The Distiset: subset name to `datasets.DatasetDict`, and what people do with it."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from beam_distilabel.card import build_card
from beam_distilabel.distiset.disk import (
    CONFIGS_FOLDER,
    load_subsets,
    local_files,
    save_files,
    save_subsets,
)
from beam_distilabel.distiset.images import with_images
from beam_distilabel.distiset.lazy_dict import LazyDict
from beam_distilabel.distiset.shards import WriteOptions, stored_subsets
from beam_distilabel.distiset.subset import Subset
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.hub import (
    CommitRecord,
    HubTarget,
    Publication,
    as_target,
    commit_once,
    open_destination,
    upload,
)
from beam_distilabel.hub.publication import digest_of
from beam_distilabel.hub.target import DEFAULT_MESSAGE
from beam_distilabel.layout import (
    CARD_FILE,
    LOG_FILE,
    PIPELINE_FILE,
    REPORT_FILE,
    AnyPath,
    artifact_names,
    check_names,
    find_artifacts,
    path_text,
)
from beam_distilabel.problems import closest
from beam_distilabel.summary import SubsetSummary, summarize_dataset

if TYPE_CHECKING:
    from pydantic import SecretStr


class _LocalPath:
    """An attribute that is a `Path` or None, and can be set to any path."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, distiset: Any, owner: type | None = None) -> Path | None:
        return None if distiset is None else distiset.__dict__.get(self._name)

    def __set__(self, distiset: Any, path: AnyPath | None) -> None:
        distiset.__dict__[self._name] = None if path is None else Path(path)


class Distiset(LazyDict):
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
        report_path: the run's report, if there is one.
        artifacts_path: the folder `<step>/<artifact>/` of the Steps' artifacts, if there is one.
        citations: BibTeX entries for the card.

    Example:
        >>> from datasets import Dataset, DatasetDict
        >>> train = Dataset.from_list([{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}])
        >>> distiset = Distiset({"default": DatasetDict({"train": train})})
        >>> distiset.train_test_split(0.75, shuffle=False)["default"]["test"].to_list()
        [{'a': 4}]
    """

    pipeline_path = _LocalPath()
    log_filename_path = _LocalPath()
    report_path = _LocalPath()
    artifacts_path = _LocalPath()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.citations: list[str] = []

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
        self.update(with_images(self, names))
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
        path = path_text(distiset_path)
        save_subsets(
            self,
            path,
            max_shard_size=max_shard_size,
            num_shards=num_shards,
            num_proc=num_proc,
            storage_options=storage_options,
        )
        files: dict[str, Path | bytes] = {}
        if save_card:
            files[CARD_FILE] = self._card(path, saved_to_disk=True).encode()
        wanted = {
            PIPELINE_FILE: save_pipeline_config,
            REPORT_FILE: save_pipeline_config,
            LOG_FILE: save_pipeline_log,
        }
        files |= {name: file for name, file in self._texts().items() if wanted[name]}
        configs = {f"{CONFIGS_FOLDER}/{name}": file for name, file in files.items()}
        save_files({**configs, **self._artifacts()}, path, storage_options)

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
        path = path_text(distiset_path)
        distiset = cls(
            load_subsets(path, keep_in_memory=keep_in_memory, storage_options=storage_options)
        )
        download = None if download_dir is None else path_text(download_dir)
        distiset.find_files(*local_files(path, storage_options, download))
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
    ) -> CommitRecord:
        """Publish on the Hub what this holds and what made it, in one commit.

        Files go up first, then one commit names them all: every subset as a config, the card,
        `pipeline.yaml`, `report.json`, `pipeline.log` and the artifacts. A subset that lies on disk
        as its run wrote it is sent as it is. What a config of the same name had before is replaced.

        Args:
            repo_id: `namespace/name`; created if it doesn't exist.
            private: whether a new repo is private.
            token: of the Hub; the one of `hf auth login` or `HF_TOKEN` if None. It is written
                nowhere.
            generate_card: write our section of the card; what people wrote around it stays.
            include_script: also push the script that runs now.
            commit_message: of the commit.
            revision: the branch to push to, made if need be; `main` if None.
            create_pr: open one pull request with everything instead.
            kwargs: how subsets are written that don't lie on disk as Parquet: `max_shard_size`,
                `num_shards`, `num_proc`, `embed_external_files`, as in `push_to_hub` of `datasets`.

        Returns:
            The commit: `repo_id`, `commit`, `url` and, with `create_pr`, `pull_request`.

        Raises:
            DistilabelUserError: there is nothing to push, the token can't write there, the script
                can't be found or contains what looks like a secret, or an argument is unknown.
            DistilabelError: the Hub stayed unreachable or busy; nothing was published.
        """
        if not self:
            raise DistilabelUserError("push_to_hub: the Distiset has no subset.")
        options = _write_options(kwargs)
        target = as_target(
            {
                "repo_id": repo_id,
                "private": private,
                "token": token,
                "generate_card": generate_card,
                "include_script": include_script,
                "commit_message": commit_message or DEFAULT_MESSAGE,
                "revision": revision,
                "create_pr": create_pr,
            },
            "push_to_hub",
        )
        return self._push(target, options)

    def _push(
        self, target: HubTarget, options: WriteOptions, splits: frozenset[str] | None = None
    ) -> CommitRecord:
        """Publish; `splits` are the only ones that are replaced, None replaces whole configs."""
        for name, subset in self.raw().items():
            check_names("push_to_hub", name)
            for split in subset if isinstance(subset, dict) else ():
                check_names("push_to_hub", name, str(split))
        destination = open_destination(target)
        with tempfile.TemporaryDirectory(prefix="distiset-") as folder:
            files, summaries = stored_subsets(self.raw(), folder, options)
            texts = {
                name: path.read_text("utf-8", "replace") for name, path in self._texts().items()
            }
            make_card = partial(
                self._card,
                target.repo_id,
                summaries,
                revision=target.revision,
                keep_other_splits=splits is not None,
                with_section=target.generate_card,
            )
            publication = Publication(
                files=files,
                replaces=dict.fromkeys(self, splits),
                content=digest_of(files, texts),
                texts={**texts, **destination.script},
                artifacts={name: str(path) for name, path in self._artifacts().items()},
                make_card=make_card,
            )
            upload(destination, files)
            return commit_once(destination, publication)

    def find_files(self, configs: Path, artifacts: Path) -> None:
        """Take the paths of the pipeline, the log and the artifacts from where they lie."""
        if (configs / PIPELINE_FILE).is_file():
            self.pipeline_path = configs / PIPELINE_FILE
        if (configs / LOG_FILE).is_file():
            self.log_filename_path = configs / LOG_FILE
        if (configs / REPORT_FILE).is_file():
            self.report_path = configs / REPORT_FILE
        if artifacts.is_dir():
            self.artifacts_path = artifacts

    def _texts(self) -> dict[str, Path]:
        paths = {
            PIPELINE_FILE: self.pipeline_path,
            REPORT_FILE: self.report_path,
            LOG_FILE: self.log_filename_path,
        }
        return {name: path for name, path in paths.items() if path is not None and path.is_file()}

    def _artifacts(self) -> dict[str, Path]:
        root = self.artifacts_path
        found = {} if root is None else find_artifacts(str(root.absolute()))
        return {name: Path(path) for name, path in found.items()}

    def _card(
        self,
        location: str,
        summaries: Sequence[SubsetSummary] | None = None,
        **options: Any,
    ) -> str:
        if summaries is None:
            summaries = [
                value.summary() if isinstance(value, Subset) else summarize_dataset(name, value)
                for name, value in self.raw().items()
            ]
        texts = self._texts()
        return build_card(
            summaries,
            location=location,
            definition=_read_mapping(texts.get(PIPELINE_FILE)),
            report=_read_mapping(texts.get(REPORT_FILE)),
            artifacts=artifact_names(self._artifacts()),
            citations=self.citations,
            **options,
        )


def _read_mapping(path: Path | None) -> dict[str, Any] | None:
    """The content of a YAML or JSON file, if it is a mapping."""
    if path is None:
        return None
    loaded = yaml.safe_load(path.read_text("utf-8"))
    return loaded if isinstance(loaded, dict) else None


def _write_options(kwargs: dict[str, Any]) -> WriteOptions:
    known = [field.name for field in dataclasses.fields(WriteOptions)]
    for name in kwargs:
        if name not in known:
            raise DistilabelUserError(
                f"push_to_hub: there is no argument {name!r}.{closest(name, known)} Beside the "
                f"named ones it takes {', '.join(known)}."
            )
    return WriteOptions(**kwargs)
