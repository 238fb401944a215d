"""Files that distilabel 1.5.3 dumped of its documentation's samples load, validate and run here.

`samples/recorded/` has the files, and the rows that distilabel made of them with models that answer
from a script (`python -m tests.compat.samples` writes both). Here the same files run with the same
answers and make the same rows, but for the differences listed below.
"""

import os
import pathlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from beam_distilabel.pipeline import Pipeline
from tests.compat import table, verdicts
from tests.compat.samples import recording, running
from tests.compat.samples.running import METADATA, NAMES

WAITS_FOR = frozenset(
    """APIGenExecutionChecker APIGenGenerator APIGenSemanticChecker CLAIR CombineOutputs
    ComplexityScorer ConversationTemplate DataSampler DeitaFiltering EvolInstruct EvolQuality
    ExpandColumns FormatPRM FormatTextGenerationDPO FormatTextGenerationSFT
    GenerateEmbeddings GenerateSentencePair GenerateTextClassificationData GroupColumns
    ImageGeneration InferenceEndpointsImageGeneration InstructionBacktranslation
    InstructionResponsePipeline MathShepherdCompleter MathShepherdGenerator MergeColumns
    PrepareExamples QualityScorer UltraFeedback""".split()
)
"""The classes that samples need and that aren't here yet."""

ALWAYS = {METADATA}
"""Columns that differ in every sample: here the metadata is kept, by KeepColumns and CombineOutputs
too, with more in it."""

DIFFERENCES: dict[str, dict[str, str]] = {}
"""Sample to its columns whose values differ from distilabel's, and why."""

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
    except ImportError as error:
        missing = str(error).split("'")[1]  # "cannot import name 'X' from ..."
        if missing not in WAITS_FOR:
            raise
        pytest.skip(f"waits for {missing}")
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
    assert loaded.dump() == running.pipeline_of(script).dump()


@each_sample
def test_its_file_makes_the_same_rows(
    script: types.ModuleType, name: str, tmp_path: pathlib.Path
) -> None:
    pipeline = Pipeline.from_yaml(recording.dump_path(name))
    distiset = running.run(script, pipeline, tmp_path, output_dir=tmp_path / "run")
    found = running.subsets(script, distiset)
    assert list(found) == list(EXPECTED[name])
    differs = ALWAYS | DIFFERENCES.get(name, {}).keys()
    for subset, expected in EXPECTED[name].items():
        columns = found[subset]["columns"]
        assert set(columns) - ALWAYS == set(expected["columns"]) - ALWAYS, subset
        assert len(found[subset]["rows"]) == len(expected["rows"]), subset
        assert _without(found[subset]["rows"], differs) == _without(expected["rows"], differs)


def _without(rows: running.Rows, columns: set[str]) -> running.Rows:
    return running.in_order({k: v for k, v in row.items() if k not in columns} for row in rows)


def test_distilabel_writes_the_same_files_and_makes_the_same_rows() -> None:
    python = os.environ.get(table.VARIABLE)
    if not python:
        pytest.skip(f"{table.VARIABLE} names no python with distilabel (see `make compat`)")
    recorded = recording.record_all(python)
    for name, found in recorded.items():
        assert found["dump"] == recording.read_dump(name), name
        assert found["subsets"] == EXPECTED[name], name
