"""PushToHub: publish the rows that come by as a dataset on the Hub."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from pydantic import Field, PrivateAttr, SecretStr

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.hub import HubTarget, as_target
from beam_distilabel.hub.target import DEFAULT_MESSAGE
from beam_distilabel.progress import step_progress
from beam_distilabel.row import RESERVED, Row
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.step import GlobalStep, StepResult
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset
from beam_distilabel.typing import StepInput, StepOutput


class PushToHub(GlobalStep):
    """Publish all rows as one split of a dataset on the Hub, and pass them on.

    In the middle of a pipeline or at its end. Workers write and send the rows in parallel, and one
    of them makes one commit; the rows go on without waiting for it. Files are kept in the run
    directory (in plain Beam, in a temporary folder of this machine). Nothing is published by
    `Pipeline.dry_run`. Of unbounded, windowed rows each window is one commit, see `WriteDistiset`.

    Attributes:
        repo_id: `namespace/name`; created if it doesn't exist.
        split: the split that the rows become; it is replaced, others of the dataset stay.
        config: the configuration (subset) that the split belongs to.
        private: whether a new repository is private.
        revision: the branch to commit to, made if it doesn't exist; `main` if None.
        create_pr: open a pull request instead.
        commit_message: of the commit.
        token: of the Hub; None (the default) takes that of `HF_TOKEN` or `hf auth login`. It is
            never serialized.

    Input columns:
        any.

    Output columns:
        the same.

    Raises:
        DistilabelUserError: (before anything runs) the token can't write to the repository.

    Example:
        >>> push = PushToHub(repo_id="org/answers", split="test")
        >>> push.config
        'default'
    """

    repo_id: RuntimeParameter[str] = Field(
        default=None, description="The dataset repository on the Hugging Face Hub."
    )
    split: RuntimeParameter[str] = Field(
        default="train", description="The split that the rows become."
    )
    config: RuntimeParameter[str] = Field(
        default="default", description="The configuration (subset) that the split belongs to."
    )
    private: RuntimeParameter[bool] = Field(
        default=False, description="Whether a new repository is private."
    )
    revision: RuntimeParameter[str] | None = Field(
        default=None, description="The branch to commit to; the main one by default."
    )
    create_pr: RuntimeParameter[bool] = Field(
        default=False, description="Whether to open a pull request instead."
    )
    commit_message: RuntimeParameter[str] | None = Field(
        default=None, description="The commit's message."
    )
    token: RuntimeParameter[SecretStr] | None = Field(
        default=None,
        description="The token to write with; by default the one of HF_TOKEN or `hf auth login`.",
        exclude=True,
    )

    _schema: Any = PrivateAttr(None)

    def expect(self, schema: Any) -> None:
        """Tell the types of the columns that will come, as an Arrow schema, where known."""
        self._schema = schema

    def target(self) -> HubTarget:
        """Where the rows are published.

        Raises:
            DistilabelUserError: `repo_id` is missing or isn't one.
        """
        return as_target(
            {
                "repo_id": self.repo_id,
                "private": self.private,
                "token": self.token,
                "revision": self.revision,
                "create_pr": self.create_pr,
                "commit_message": self.commit_message or DEFAULT_MESSAGE,
            },
            self._described(),
        )

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        """Publish `inputs` now, and yield them."""
        from datasets import Dataset, DatasetDict

        from beam_distilabel.distiset import Distiset
        from beam_distilabel.distiset.shards import WriteOptions

        rows = [{k: v for k, v in row.items() if k not in RESERVED} for row in inputs]
        target = self.target()
        assert self.split is not None
        distiset = Distiset({self.config: DatasetDict({self.split: Dataset.from_list(rows)})})
        distiset._push(target, WriteOptions(), frozenset((self.split,)))
        yield inputs

    def apply_to(self, rows: Any) -> StepResult:
        """Write and publish `rows`, and pass them on."""
        context = self._context
        assert self.split is not None and self.config is not None
        if not context.dry_run:
            if context.run_dir:
                folder = push_folder(context.run_dir, self.unique_name)
            elif not rows.is_bounded:
                raise DistilabelUserError(
                    f"{self._described()}: its rows are unbounded, so a job that runs again has to "
                    "find what was published; name a folder: `step.with_checkpoint(folder)`, or "
                    "`pipeline.with_checkpoint(folder)`."
                )
            else:
                folder = tempfile.mkdtemp(prefix="push-to-hub-")
                atexit.register(shutil.rmtree, folder, ignore_errors=True)
            write = WriteDistiset(
                folder,
                overwrite=rows.is_bounded,  # windows are never overwritten, and replace no split
                split=self.split,
                schemas=None if self._schema is None else {self.config: self._schema},
                hub=self.target(),
                keep_other_splits=rows.is_bounded,
                who=self._described(),
            )
            _ = {self.config: rows} | "Publish" >> write
        passed = rows | "Pass on" >> beam.ParDo(_PassOn(self.unique_name, context.run_dir))
        return StepResult(passed, rows | "No failures" >> beam.FlatMap(_nothing))


def push_folder(run_dir: str, step: str) -> str:
    """Where the files of a run's PushToHub are kept."""
    return f"{run_dir.rstrip('/')}/hub/{step}"


class _PassOn(beam.DoFn):
    """Counts rows for the display of progress."""

    def __init__(self, step: str, run_dir: str | None) -> None:
        self._step = step
        self._run_dir = run_dir

    def setup(self) -> None:
        self._progress = step_progress(self._run_dir, self._step)

    def process(self, row: Row) -> Iterator[Row]:
        self._progress.rows_in += 1
        self._progress.rows_out += 1
        self._progress.rows_passed += 1
        yield row

    def finish_bundle(self) -> None:
        self._progress.flush()


def _nothing(row: Row) -> tuple[()]:
    return ()


__all__ = ["PushToHub"]
