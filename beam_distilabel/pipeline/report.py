"""What a run tells of itself: its report, and what is published beside its rows."""

from __future__ import annotations

import datetime
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import apache_beam
import pyarrow.parquet as pq

from beam_distilabel.card import build_card
from beam_distilabel.errors import RunCancelled, RunFailedError
from beam_distilabel.filesystems import open_file, url_to_fs
from beam_distilabel.layout import (
    ARTIFACTS_FOLDER,
    LOG_FILE,
    PIPELINE_FILE,
    REPORT_FILE,
    artifact_names,
    find_artifacts,
)
from beam_distilabel.manifest import Manifest
from beam_distilabel.pipeline.failure_watch import FailureLimit, all_failed, too_many_failed
from beam_distilabel.pipeline.serialization.documents import yaml_text
from beam_distilabel.progress import (
    combined_load,
    is_stopping,
    mean_latency,
    read_progress,
    settle,
)
from beam_distilabel.summary import summarize_manifest
from beam_distilabel.transforms.sinks.publishing import Companions
from beam_distilabel.version import __version__


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run when it starts; small, and on every worker.

    Attributes:
        pipeline: the pipeline's name.
        run_dir: the run directory.
        definition: the pipeline's dump, with the run's parameters.
        steps: the names of the Steps, predecessors first.
        citations: BibTeX entries of the Steps.
        sources: loader to what it reads (see `described_source`).
        seed: of the run.
        finished_only: whether nothing is asked, so that rows may be missing.
        began: when it started, in seconds since the epoch.
        failure_limit: how many rows may fail; None where it doesn't matter, also if all do.
    """

    pipeline: str
    run_dir: str
    definition: Mapping[str, Any]
    steps: tuple[str, ...]
    citations: tuple[str, ...] = ()
    sources: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    finished_only: bool = False
    began: float = field(default_factory=time.time)
    failure_limit: FailureLimit | None = field(default_factory=FailureLimit)

    def file(self, name: str) -> str:
        """The full path of a file or folder in the run directory."""
        return f"{self.run_dir}/{name}"

    def report(self, manifest: Manifest, failed: Manifest) -> dict[str, Any]:
        """The run's report: numbers of rows by the files, other counts by the workers' records.

        Args:
            manifest: of the Distiset.
            failed: of the failures.
        """
        files = [file for subset in failed.values() for file in subset["files"]]
        kinds = failure_kinds([self.file(file["path"]) for file in files])
        counts = read_progress(self.run_dir)
        steps = {
            name: {**told_counts(counts[name]), "failed": dict(kinds.get(name, {}))}
            for name in self.steps
            if name in counts
        }
        started = datetime.datetime.fromtimestamp(self.began, datetime.timezone.utc)
        part = {"partial": unfinished_rows(counts)} if self.finished_only else {}
        return {
            "pipeline": self.pipeline,
            **{name: value for name, value in part.items() if value},
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.time() - self.began, 3),
            "seed": self.seed,
            "versions": {"beam-distilabel": __version__, "apache-beam": apache_beam.__version__},
            "sources": dict(self.sources),
            "subsets": {name: {"rows": subset["rows"]} for name, subset in manifest.items()},
            "failures": sum(subset["rows"] for subset in failed.values()),
            "engines": sorted({own["engine"] for own in steps.values() if own.get("engine")}),
            "input_tokens": sum(own["input_tokens"] for own in steps.values()),
            "output_tokens": sum(own["output_tokens"] for own in steps.values()),
            "steps": steps,
        }

    def verdict(self) -> str | None:
        """Why the run's result is of no use, None if it is; by the workers' records."""
        if self.failure_limit is None:
            return None
        counts = read_progress(self.run_dir)
        return all_failed(counts, self.steps) or too_many_failed(
            counts, self.steps, self.failure_limit
        )

    def definition_text(self) -> str:
        """The content of `pipeline.yaml`."""
        return yaml_text(dict(self.definition))

    def companions(
        self, repo_id: str, revision: str | None, manifest: Manifest, failed: Manifest
    ) -> Companions:
        """What is published beside the rows.

        Raises:
            RunFailedError: too many rows failed; what nobody can use isn't published.
            RunCancelled: the run was interrupted meanwhile.
        """
        if is_stopping(self.run_dir):
            raise RunCancelled("the run was interrupted before its result was published")
        settle(self.run_dir)
        verdict = self.verdict()
        if verdict is not None:
            raise RunFailedError(f"{verdict} Nothing is published.")
        report = self.report(manifest, failed)
        texts = {
            PIPELINE_FILE: self.definition_text(),
            REPORT_FILE: json.dumps(report, indent=2, default=str),
        }
        log = _read_text(self.file(LOG_FILE))
        if log is not None:
            texts[LOG_FILE] = log
        artifacts = find_artifacts(self.file(ARTIFACTS_FOLDER))
        return Companions(
            texts=texts,
            artifacts=artifacts,
            make_card=partial(
                _card, self, repo_id, revision, manifest, report, artifact_names(artifacts)
            ),
            content={PIPELINE_FILE: texts[PIPELINE_FILE]},
        )


def unfinished_rows(counts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Step to how many rows it has finished of how many it knows, where rows are missing.

    A Task that makes rows of its own knows none.
    """
    return {
        step: {"finished": max(0, own["rows_in"] - own["unfinished"]), "known": own["rows_in"]}
        for step, own in counts.items()
        if own.get("unfinished")
    }


def told_counts(counts: Mapping[str, Any]) -> dict[str, Any]:
    """A Step's counts as the report has them: sums over engines, and requests as means."""
    told = {
        name: value
        for name, value in counts.items()
        if name not in ("kinds", "loads", "latency_seconds", "in_flight", "reasons")
    }
    latency = mean_latency(dict(counts))
    if latency is not None:
        told["mean_latency_seconds"] = round(latency, 4)
    load = combined_load(counts.get("loads", {}))
    if load is not None:
        told["engine_load"] = {k: v for k, v in load.items() if k not in _GAUGES}
    return told


_GAUGES = ("running", "waiting", "kv_cache_usage")
"""What is of interest while the run goes on only."""


def _card(
    facts: RunFacts,
    repo_id: str,
    revision: str | None,
    manifest: Manifest,
    report: Mapping[str, Any],
    artifacts: Mapping[str, list[str]],
    **options: Any,
) -> str:
    return build_card(
        summarize_manifest(manifest),
        location=repo_id,
        revision=revision,
        definition=facts.definition,
        report=report,
        artifacts=artifacts,
        citations=facts.citations,
        **options,
    )


def failure_kinds(files: list[str]) -> dict[str, Counter[str]]:
    """Step to how often each kind of failure occurred, by the files of failures."""
    kinds: dict[str, Counter[str]] = {}
    for path in files:
        with open_file(path) as file:
            parquet = pq.ParquetFile(file)
            for batch in parquet.iter_batches(columns=["step", "kind"]):
                for row in batch.to_pylist():
                    kinds.setdefault(row["step"], Counter())[row["kind"]] += 1
    return kinds


def _read_text(path: str) -> str | None:
    filesystem, name = url_to_fs(path)
    if not filesystem.exists(name):
        return None
    with filesystem.open(name, "rb") as file:
        return str(file.read().decode("utf-8", "replace"))
