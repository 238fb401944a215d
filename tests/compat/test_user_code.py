"""Steps, Tasks and LLMs that a user wrote for distilabel (`user_code.py`) run here unchanged.

Each runs outside of a pipeline, applied to rows in plain Beam, and in a pipeline. The rows that
distilabel 1.5.3 makes of the same file are in `user_code_rows.json`.
"""

import json
import os
import pathlib
import subprocess
import sys
import types
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that

from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from tests.compat import run_user_code, table, verdicts
from tests.compat.run_user_code import (
    GENERATORS,
    MODULE,
    NORMAL,
    TEXTS,
    TOPICS,
    Case,
    copies,
    plain,
)

Rows = list[dict[str, Any]]
ROWS_OF_DISTILABEL: dict[str, Rows] = json.loads(
    pathlib.Path(__file__).with_name("user_code_rows.json").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def user() -> Iterator[types.ModuleType]:
    """The user's module, with only the prefix of its imports changed."""
    yield run_user_code.load_user_code("beam_distilabel")
    del sys.modules[MODULE]


def run_pipeline(make: Any, rows: Rows | None, folder: pathlib.Path, **run: Any) -> Any:
    """Run a Step in a pipeline, after a loader of `rows` if there are any."""
    with Pipeline(name="user-code", cache_dir=folder) as pipeline:
        case = make()
        if rows is not None:
            LoadDataFromDicts(name="load", data=copies(rows)) >> case
    return pipeline.run(use_cache=False, **run)


def written(distiset: Any) -> Rows:
    """The rows of the only subset."""
    assert list(distiset) == ["default"]
    return plain(distiset["default"]["train"].to_list())


def same(actual: Rows, expected: Rows) -> None:
    assert plain(actual) == plain(expected)


def test_everything_that_user_code_imports_is_there() -> None:
    assert run_user_code.missing_imports("beam_distilabel") == []


@pytest.mark.parametrize("name", NORMAL)
def test_outside_of_a_pipeline(name: str, user: types.ModuleType) -> None:
    same(run_user_code.run_alone(NORMAL[name], user), ROWS_OF_DISTILABEL[name])


@pytest.mark.parametrize("name", NORMAL)
def test_rows_piped_into_it(name: str, user: types.ModuleType) -> None:
    case = NORMAL[name]
    same(copies(case.rows) | case.make(user), ROWS_OF_DISTILABEL[name])


@pytest.mark.parametrize("name", NORMAL)
def test_in_a_pipeline(name: str, user: types.ModuleType, tmp_path: pathlib.Path) -> None:
    case = NORMAL[name]
    distiset = run_pipeline(lambda: case.make(user), case.rows, tmp_path)
    assert written(distiset) == plain(ROWS_OF_DISTILABEL[name])


@pytest.mark.parametrize("name", GENERATORS)
def test_generator_outside_of_a_pipeline(name: str, user: types.ModuleType) -> None:
    same(run_user_code.generate_alone(GENERATORS[name], user), ROWS_OF_DISTILABEL[name])


@pytest.mark.parametrize("name", GENERATORS)
def test_generator_applied_in_plain_beam(name: str, user: types.ModuleType) -> None:
    def check(rows: Rows) -> None:
        same(rows, ROWS_OF_DISTILABEL[name])

    with TestPipeline() as pipeline:
        assert_that(pipeline | GENERATORS[name].make(user), check)


@pytest.mark.parametrize("name", GENERATORS)
def test_generator_in_a_pipeline(name: str, user: types.ModuleType, tmp_path: pathlib.Path) -> None:
    distiset = run_pipeline(lambda: GENERATORS[name].make(user), None, tmp_path)
    assert written(distiset) == plain(ROWS_OF_DISTILABEL[name])


def test_mappings_in_a_pipeline(user: types.ModuleType, tmp_path: pathlib.Path) -> None:
    distiset = run_pipeline(
        lambda: user.Length(input_mappings={"text": "topic"}, output_mappings={"length": "size"}),
        TOPICS,
        tmp_path,
    )
    assert written(distiset) == plain(
        [{**row, "size": len(row["topic"])} for row in TOPICS],
    )


def test_runtime_parameters_of_the_constructor_count_in_a_pipeline(
    user: types.ModuleType, tmp_path: pathlib.Path
) -> None:
    distiset = run_pipeline(lambda: user.Length(extra=100), TEXTS, tmp_path)
    assert sorted(row["length"] for row in written(distiset)) == [105, 107, 112]


@pytest.mark.parametrize(
    ("make", "parameters", "column", "values"),
    [
        (lambda user: user.Length(name="case"), {"extra": 10}, "length", [15, 17, 22]),
        (
            lambda user: user.Translate(name="case", words={"one": "uno"}),
            {"fallback": "-"},
            "translation",
            ["-", "- - uno", "uno -"],
        ),
        (lambda user: user.Rank(name="case"), {"descending": True}, "rank", [0, 1, 2]),
    ],
    ids=["function", "field", "global"],
)
def test_runtime_parameters_of_the_run(
    make: Any,
    parameters: dict[str, Any],
    column: str,
    values: list[Any],
    user: types.ModuleType,
    tmp_path: pathlib.Path,
) -> None:
    distiset = run_pipeline(lambda: make(user), TEXTS, tmp_path, parameters={"case": parameters})
    rows = written(distiset)
    assert sorted(row[column] for row in rows) == values
    if column == "rank":
        assert max(rows, key=lambda row: len(row["text"]))["rank"] == 0


def test_generation_arguments_of_the_run(user: types.ModuleType, tmp_path: pathlib.Path) -> None:
    distiset = run_pipeline(
        lambda: user.Explain(name="case", llm=user.Shout(generation_kwargs={"repeat": 2})),
        TOPICS,
        tmp_path,
        parameters={"case": {"limit": 9, "llm": {"generation_kwargs": {"repeat": 4}}}},
    )
    assert {row["explanation"] for row in written(distiset)} == {"(PLAIN) R", "(PLAIN) S"}
    metadata = [row["distilabel_metadata"] for row in distiset["default"]["train"]]
    assert {entry["raw_output_case"][-5:] for entry in metadata} == {"N!!!!", "E!!!!"}


def test_generator_starts_where_the_run_says(
    user: types.ModuleType, tmp_path: pathlib.Path
) -> None:
    distiset = run_pipeline(
        lambda: user.Countdown(name="case"), None, tmp_path, parameters={"case": {"start": 2}}
    )
    assert [row["number"] for row in written(distiset)] == [2, 1]


def test_missing_runtime_parameter_is_named_before_the_run(
    user: types.ModuleType, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(ValueError, match=r"(?s)case.*start"):
        run_pipeline(lambda: user.Countdown(name="case"), None, tmp_path)


def test_metadata_of_a_task(user: types.ModuleType) -> None:
    case = NORMAL["task-subclass"]
    for rows in (run_user_code.run_alone(case, user), copies(case.rows) | case.make(user)):
        row = next(row for row in rows if row["topic"] == "Rain")
        metadata = row["distilabel_metadata"]
        assert metadata["raw_output_case"] == "(BRIEF) RAIN??"
        assert metadata["raw_input_case"][-1] == {"role": "user", "content": "(brief) Rain"}
        assert metadata["statistics_case"] == {"input_tokens": 2, "output_tokens": 14}


def test_prompts_of_a_decorated_task(user: types.ModuleType) -> None:
    rows = run_user_code.run_alone(NORMAL["task"], user)
    row = next(row for row in rows if row["topic"] == "Rain")
    assert row["distilabel_metadata"]["raw_input_case"] == [
        {"role": "system", "content": "You write headlines for sailors."},
        {"role": "user", "content": "A headline about Rain"},
    ]


def test_several_predecessors(user: types.ModuleType, tmp_path: pathlib.Path) -> None:
    with Pipeline(name="user-code", cache_dir=tmp_path) as pipeline:
        load = LoadDataFromDicts(data=copies(TEXTS))
        length = user.Length()
        translate = user.Translate(words={"one": "uno"})
        load >> [length, translate] >> user.Zip()
    assert written(pipeline.run(use_cache=False)) == plain(
        [
            {"text": "one two", "length": 7, "translation": "uno ?", "merged": 2},
            {"text": "three", "length": 5, "translation": "?", "merged": 2},
            {"text": "a longer one", "length": 12, "translation": "? ? uno", "merged": 2},
        ]
    )


def test_artifact_of_a_step(user: types.ModuleType, tmp_path: pathlib.Path) -> None:
    distiset = run_pipeline(lambda: user.Report(name="case"), TEXTS, tmp_path)
    folder = pathlib.Path(distiset.artifacts_path) / "case" / "texts"
    assert (folder / "texts.txt").read_text() == "a longer one\none two\nthree"
    assert json.loads((folder / "metadata.json").read_text()) == {"kind": "text"}


@pytest.mark.parametrize(
    "make",
    [
        lambda user: user.Translate(words={"one": "uno"}),
        lambda user: user.Explain(llm=user.Shout()),
        lambda user: user.Explain(llm=user.Whisper()),
    ],
    ids=["step", "task", "async-task"],
)
def test_what_load_made_is_never_pickled(make: Any, user: types.ModuleType) -> None:
    loaded = make(user)
    rows: Rows = copies(TEXTS if isinstance(loaded, user.Translate) else TOPICS)
    expected = plain(copies(rows) | make(user))

    loaded.load()
    again = pickler.loads(pickler.dumps(loaded))
    assert getattr(again, "_lock", None) is None
    if isinstance(again, user.Explain):
        assert again._prefix == ""
    again.load()
    assert plain(next(again.process(copies(rows)))) == expected
    assert plain(copies(rows) | loaded) == expected
    again.unload()
    loaded.unload()


def test_llm_outside_of_a_task(user: types.ModuleType) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    for llm, expected in ((user.Shout(), "HELLO!"), (user.Whisper(), "hello...")):
        llm.load()
        (output,) = llm.generate_outputs(inputs=[messages], num_generations=2)
        assert output["generations"] == [expected, expected]
        llm.unload()


def test_llm_as_a_model_handler(user: types.ModuleType) -> None:
    from apache_beam.ml.inference.base import RunInference

    prompts = [[{"role": "user", "content": text}] for text in ("Hello", "Bye")]

    def check(results: list[Any]) -> None:
        texts = [result.inference["generations"] for result in results]
        assert sorted(texts) == [["bye..."], ["hello..."]]

    with TestPipeline() as pipeline:
        results = pipeline | beam.Create(prompts) | RunInference(user.Whisper())
        assert_that(results, check)


def test_distilabel_makes_the_same_rows_of_the_same_file() -> None:
    python = os.environ.get(table.VARIABLE)
    if not python:
        pytest.skip(f"{table.VARIABLE} names no python with distilabel (see `make compat`)")
    done = subprocess.run(
        [python, "-m", "tests.compat.run_user_code", "distilabel"],
        capture_output=True,
        text=True,
        cwd=verdicts.ROOT,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == ROWS_OF_DISTILABEL


def test_every_case_has_rows_of_distilabel() -> None:
    cases: dict[str, Case] = {**NORMAL, **GENERATORS}
    assert set(cases) == set(ROWS_OF_DISTILABEL)
