"""Jobs that nobody waits for: a worker writes what the waiting process writes in a run.

The in-memory runner is done when it has launched a job; on Dataflow, see test_dataflow_jobs.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.distiset import create_distiset
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from tests.fakes import Ask, FakeLLM
from tests.hub.server import HubServer


def asking(*texts: Any, **llm: Any) -> Pipeline:
    with Pipeline(name="launched") as pipeline:
        load = LoadDataFromDicts(data=[{"text": text} for text in texts])
        _ = load >> Ask(llm=FakeLLM(**llm), name="ask")
    return pipeline


def launch(pipeline: Pipeline, folder: Path, **more: Any) -> dict[str, Any]:
    """The record of a launched job that is over."""
    pipeline.launch(output_dir=folder, runner="direct", **more)
    record: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return record


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def test_what_it_leaves_is_what_a_run_leaves(tmp_path: Path) -> None:
    record = launch(asking("a", "b"), tmp_path / "launched")
    assert record["state"] == "done"
    asking("a", "b").run(output_dir=tmp_path / "run", logging_handlers=[])
    launched, run = (
        {
            str(path.relative_to(tmp_path / name))
            for path in (tmp_path / name).rglob("*")
            if path.is_file() and path.parts[len(tmp_path.parts) + 1] not in _OF_THE_RUN
        }
        for name in ("launched", "run")
    )
    assert launched == run
    assert "distiset/README.md" in launched
    reports = [report_of(tmp_path / name) for name in ("launched", "run")]
    for part in ("pipeline", "subsets", "failures", "input_tokens", "output_tokens", "sources"):
        assert reports[0][part] == reports[1][part], part
    assert reports[0].keys() == reports[1].keys()
    distiset = create_distiset(tmp_path / "launched")
    assert sorted(distiset["default"]["train"]["answer"]) == ["a", "b"]


_OF_THE_RUN = ("pipeline.log", "progress", "checkpoint", ".run.lock")
"""The log of the process that waits, and what has other names in every run."""


def test_it_goes_on_where_another_has_ended(tmp_path: Path) -> None:
    launch(asking("a", "b"), tmp_path)
    launch(asking("a", "b", "c"), tmp_path)
    assert report_of(tmp_path)["steps"]["ask"]["requests"] == 1
    assert report_of(tmp_path)["subsets"] == {"default": {"rows": 3}}
    launch(asking("a", "b", "c"), tmp_path, use_cache=False)
    assert report_of(tmp_path)["steps"]["ask"]["requests"] == 3
    launch(asking("a", "b", "c"), tmp_path)
    assert report_of(tmp_path)["steps"]["ask"]["requests"] == 0


def test_a_result_of_no_use(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="All 2 rows"):
        asking(1, 2).launch(output_dir=tmp_path, runner="direct")
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["state"] == "failed"
    assert report_of(tmp_path)["failures"] == 2


def test_it_is_published(tmp_path: Path, hub: HubServer, hub_client: Path) -> None:
    repo_id = f"{hub.namespace}/launched"
    record = launch(asking("a"), tmp_path, push_to_hub=repo_id)
    assert record["state"] == "done"
    assert report_of(tmp_path)["published"]["repo_id"] == repo_id


def test_a_runner_that_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(DistilabelUserError, match="no-such"):
        asking("a").launch(output_dir=tmp_path, runner="no-such")
    assert not list(tmp_path.iterdir())


def test_another_pipelines_directory(tmp_path: Path) -> None:
    launch(asking("a"), tmp_path)
    with Pipeline(name="other") as other:
        LoadDataFromDicts(data=[{"a": 1}])
    with pytest.raises(DistilabelUserError, match="'launched', this one is 'other'"):
        other.launch(output_dir=tmp_path, runner="direct")
