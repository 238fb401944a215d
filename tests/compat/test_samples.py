"""Files that distilabel 1.5.3 dumped of its documentation's samples load, validate and run here.

`samples/recorded/` has the files, and the rows that distilabel made of them with models that answer
from a script (`python -m tests.compat.samples` writes both). Here the same files run with the same
answers and make the same rows, but for the differences listed below.
"""

import json
import os
import pathlib
import sys
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from beam_distilabel.pipeline import Pipeline
from tests.compat import table, verdicts
from tests.compat.samples import recording, running
from tests.compat.samples.running import METADATA, NAMES

ALWAYS = {METADATA}
"""Columns that differ in every sample: here the metadata is kept, by KeepColumns and CombineOutputs
too, with more in it."""


class Difference(NamedTuple):
    """Rows that differ from distilabel's on purpose.

    Attributes:
        subset: where they are.
        has: a text that only these rows of the subset have.
        here: the columns that differ, as they are here.
        why: what distilabel does, and why it isn't done here.
    """

    subset: str
    has: str
    here: dict[str, Any]
    why: str


DIFFERENCES = {
    "sentence_pairs": [
        Difference(
            "reranking",
            "A Task asks",
            {"positive": None},
            "distilabel keeps half of a triplet. Here an answer without its negative is a failure, "
            "which has a reason and can be asked again.",
        )
    ],
    "social_network": [
        Difference(
            "sft-absent",
            "Fresh bread!",
            {"follower": None, "prompt": None, "prompt_id": None, "messages": None},
            "distilabel trains a model to answer nothing where there is no answer. Here a row "
            "without an answer is a failure, for the Task and for the Step that formats it.",
        )
    ],
}
"""Sample to what of it differs on purpose."""

READ_AS = {
    "instruction_response": {
        "pipeline/steps/0/step/llm/magpie_pre_query_template": "distilabel writes the template "
        "itself where the script names it"
    }
}
"""Sample to what its file says in other words than its script."""

CONFIRMED = {"apigen": {"execution": {"libpath": "tests/compat/samples/data/functions.py"}}}
"""Sample to the code that its file names, which only runs where the run's parameters name it."""

EXPECTED: dict[str, Any] = recording.read_expected()


@pytest.fixture
def script(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[types.ModuleType]:
    """The script of a sample; its classes are known as long as a test runs."""
    monkeypatch.chdir(verdicts.ROOT)  # what the scripts name is there
    name = request.param
    try:
        yield running.load_script(name, "beam_distilabel")
    finally:
        del sys.modules[running.module_name(name)]


each_sample = pytest.mark.parametrize(
    ("script", "name"), [(name, name) for name in NAMES], indirect=["script"], ids=NAMES
)


def test_every_sample_was_recorded() -> None:
    assert list(EXPECTED) == NAMES
    assert sorted(path.stem for path in running.RECORDED.glob("*.yaml")) == NAMES


@each_sample
def test_its_file_loads_as_its_script_is_written(script: types.ModuleType, name: str) -> None:
    loaded = Pipeline.from_yaml(recording.dump_path(name))
    differing = set(_differing(loaded.dump(), running.pipeline_of(script).dump()))
    assert differing == READ_AS.get(name, {}).keys()


def _differing(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """The paths of what two dumps don't have in common."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from _differing(one[key], other[key], f"{path}/{key}".lstrip("/"))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (item, its) in enumerate(zip(one, other, strict=True)):
            yield from _differing(item, its, f"{path}/{number}")
    elif one != other:
        yield path


@each_sample
def test_its_file_makes_the_same_rows(
    script: types.ModuleType, name: str, tmp_path: pathlib.Path
) -> None:
    pipeline = Pipeline.from_yaml(recording.dump_path(name))
    confirmed = CONFIRMED.get(name)
    distiset = running.run(script, pipeline, tmp_path, confirmed, output_dir=tmp_path / "run")
    found = running.subsets(script, distiset)
    assert list(found) == list(EXPECTED[name])
    for subset, expected in EXPECTED[name].items():
        columns = found[subset]["columns"]
        assert set(columns) - ALWAYS == set(expected["columns"]) - ALWAYS, subset
        assert len(found[subset]["rows"]) == len(expected["rows"]), subset
        assert found[subset]["rows"] == _as_here(name, subset, expected["rows"])


def _as_here(name: str, subset: str, rows: running.Rows) -> running.Rows:
    """distilabel's rows with what differs on purpose."""
    changed = [dict(row) for row in rows]
    for difference in DIFFERENCES.get(name, ()):
        for row in changed:
            if difference.subset == subset and difference.has in json.dumps(row):
                row.update(difference.here)
    return running.in_order(changed)


def test_distilabel_writes_the_same_files_and_makes_the_same_rows() -> None:
    python = os.environ.get(table.VARIABLE)
    if not python:
        pytest.skip(f"{table.VARIABLE} names no python with distilabel (see `make compat`)")
    recorded = recording.record_all(python)
    for name, found in recorded.items():
        assert found["dump"] == recording.read_dump(name), name
        assert found["subsets"] == EXPECTED[name], name
