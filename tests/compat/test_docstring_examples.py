"""distilabel's own docstring examples, taken from an installed distilabel, run here.

They need a python with distilabel 1.5.3 in an environment of its own, named by
BEAM_DISTILABEL_COMPAT_PYTHON (`make compat` creates one). Nothing of them is kept here but ids.
"""

import os

import pytest

from tests.compat import extract, table, verdicts
from tests.compat.verdicts import FAILS, NOT_RUNNABLE, PASS, WAITS, Verdict

EXPECTED = verdicts.read_expected()


@pytest.fixture(scope="module")
def found() -> dict[str, Verdict]:
    """The verdicts of this checkout."""
    python = os.environ.get(table.VARIABLE)
    if not python:
        pytest.skip(
            f"{table.VARIABLE} names no python with distilabel {verdicts.DISTILABEL_VERSION} "
            "(`make compat` installs one and runs this)"
        )
    version = verdicts.distilabel_version(python)
    if version != verdicts.DISTILABEL_VERSION:
        pytest.fail(
            f"{python} has distilabel {version}, needed is {verdicts.DISTILABEL_VERSION}; "
            f"correct {table.VARIABLE} or run `make compat`"
        )
    return verdicts.compute(python)


def test_all_examples_are_found(found: dict[str, Verdict]) -> None:
    assert len(found) == 178
    assert list(found) == list(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_example_does_what_the_table_says(found: dict[str, Verdict], name: str) -> None:
    assert found[name] == EXPECTED[name], (
        "if this is progress, run `python -m tests.compat.table --run` to update the table"
    )


def test_no_example_fails() -> None:
    assert {name: e.reason for name, e in EXPECTED.items() if e.verdict == FAILS} == {}


def test_table_in_the_documentation_is_that_of_the_verdicts() -> None:
    page = table.PAGE.read_text(encoding="utf-8")
    assert table.between_markers(page) == table.table(EXPECTED)


def test_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        table.with_table("# Migration\n", "the table")


MODULE = '''
"""Module text without an example."""

class A:
    """One example with a lost backslash, one that nobody closed, one in a heading.

    ```python
    text = "\\"quoted\\""
    ```

    ```python
    first = 1

    The next one:

    ```python
    second = 2
    ```
    """

    def method(self):
        """
        >>> not fenced

        ```json
        {}
        ```
        """
'''


def test_every_python_fence_of_a_docstring_is_an_example() -> None:
    assert list(extract.examples_of(MODULE)) == [
        ("A", 0, 'text = "\\"quoted\\""\n'),
        ("A", 1, "first = 1\n"),
        ("A", 2, "second = 2\n"),
    ]


def outcome(kind: str, detail: str = "", *missing: str) -> dict[str, object]:
    name = "steps:Task:0"
    return {"id": name, "kind": kind, "detail": detail, "missing": list(missing), "columns": []}


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (outcome("ok"), outcome("ok"), PASS),
        (outcome("ok"), outcome("network", "a.host"), PASS),
        (outcome("ok", "", "NewLLM"), outcome("ok"), WAITS),
        (outcome("missing", "NewStep", "NewStep"), outcome("ok"), WAITS),
        (outcome("missing", "NewStep", "NewStep"), outcome("network", "a.host"), WAITS),
        (outcome("missing", "Tpyo", "Tpyo"), outcome("missing", "Tpyo", "Tpyo"), NOT_RUNNABLE),
        (outcome("missing", "NewStep", "NewStep"), outcome("undefined", "x"), NOT_RUNNABLE),
        (outcome("undefined", "x"), outcome("undefined", "x"), NOT_RUNNABLE),
        (outcome("network", "a.host"), outcome("network", "a.host"), NOT_RUNNABLE),
        (outcome("network", "a.host"), outcome("ok"), FAILS),
        (outcome("undefined", "x"), outcome("ok"), FAILS),
        (outcome("error", "TypeError: a"), outcome("ok"), FAILS),
        (outcome("error", "TypeError: a"), outcome("undefined", "x"), FAILS),
        (outcome("error", "TypeError: a"), outcome("error", "TypeError: b"), NOT_RUNNABLE),
        (outcome("error", "TypeError: a"), outcome("error", "ValueError: a"), FAILS),
        (
            outcome("error", "DistilabelUserError: a"),
            outcome("error", "TypeError: b"),
            NOT_RUNNABLE,
        ),
        (outcome("error", "DistilabelUserError: a"), outcome("ok"), FAILS),
        (outcome("error", "TypeError: a", "NewLLM"), outcome("ok"), FAILS),
        (outcome("failed-rows", "user_code: a"), outcome("ok"), FAILS),
        (outcome("timeout"), outcome("timeout"), NOT_RUNNABLE),
        (outcome("died"), outcome("ok"), FAILS),
    ],
)
def test_verdict(ours: dict[str, object], theirs: dict[str, object], expected: str) -> None:
    assert verdicts.verdict_of(ours, theirs).verdict == expected


def test_other_columns_than_those_of_distilabel_are_a_failure() -> None:
    theirs = {**outcome("ok"), "columns": ["generation", "model_name"]}
    ours = {**outcome("ok"), "columns": ["generation"]}
    found = verdicts.verdict_of(ours, theirs)
    assert found.verdict == FAILS
    assert found.reason.endswith("distilabel makes generation, model_name")


def test_stand_in_for_the_class_that_an_example_is_about_shows_nothing() -> None:
    about_another = {**outcome("ok", "", "NewLLM"), "id": "steps:Task:0"}
    about_itself = {**outcome("ok", "", "NewLLM"), "id": "models:NewLLM:0"}
    reasons = [
        verdicts.verdict_of(ours, outcome("ok")).reason for ours in (about_another, about_itself)
    ]
    assert reasons == ["`NewLLM`; runs with a stand-in", "`NewLLM`"]


def test_every_waiting_name_is_counted() -> None:
    found = {
        "a:A:0": Verdict(WAITS, "`NewLLM`; runs with a stand-in"),
        "a:A:1": Verdict(WAITS, "`NewLLM`, `NewStep`"),
        "a:A:2": Verdict(PASS, ""),
    }
    assert table.waited_for(found) == ["`NewLLM` (2)", "`NewStep` (1)"]
    assert table.summary(found).startswith("3 examples: 1 pass, 0 fail, 2 wait")
