"""The Tasks of APIGen, and the Step between them that calls functions."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, strategies as st
from pydantic import ValidationError

from beam_distilabel.errors import DistilabelUserError, ParseError
from beam_distilabel.steps.tasks import (
    APIGenExecutionChecker,
    APIGenGenerator,
    APIGenSemanticChecker,
)
from beam_distilabel.steps.tasks.apigen.utils import load_module_from_path
from beam_distilabel.transforms.tasks.function_calls import FunctionCalls
from tests.fakes import new_name, run_with_failures
from tests.tasks.judging import HOSTILE, ScriptedLLM, user_message

LIBRARY = '''
import os
import subprocess
import time
from os import getcwd, system


def area(width, height=1):
    """The area of a rectangle."""
    return width * height


def first(items, /, default=None):
    return items[0] if items else default


def fail():
    raise ValueError


def environment():
    return sorted(os.environ)


def here():
    return os.listdir(".")


def loud():
    print("not an answer")
    os.write(1, b"neither is this")
    return "said"


def slow():
    time.sleep(600)


def stays():
    import signal
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGTERM])
    time.sleep(600)


def closes():
    import signal
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.closerange(0, 100)
    time.sleep(600)


def ends():
    os.kill(os.getpid(), 9)


def deletes(path):
    os.remove(path)


def runs(command):
    return subprocess.run(command)


def exits():
    raise SystemExit(3)


_hidden = area
square = lambda side: side * side
'''
FUNCTION: dict[str, Any] = {"examples": "E.", "func_name": "area", "func_desc": "Multiplies."}


@pytest.fixture
def library(tmp_path: Path) -> str:
    path = tmp_path / "library.py"
    path.write_text(LIBRARY)
    return str(path)


def make(cls: Any, **fields: Any) -> Any:
    llm = ScriptedLLM(
        tag=new_name(), answer=fields.pop("answer", ""), script=fields.pop("script", {})
    )
    return cls(name="task", llm=llm, **fields)


# ---------------------------------------------------------------------------------- questions

ANSWERS = st.one_of(
    st.none(),
    HOSTILE,
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "query": HOSTILE | st.none(),
                "answers": st.lists(st.none() | st.dictionaries(st.just("name"), HOSTILE)),
            },
        )
    ).map(json.dumps),
)


@given(ANSWERS)
@example('{"pairs": []}')
@example('[{"query": "?", "answers": [{"name": "f", "arguments": []}]}]')
def test_reading_questions_is_total(text: str | None) -> None:
    try:
        found = make(APIGenGenerator).format_output(text)
    except ParseError as error:
        assert str(error)
    else:
        assert found["query"].strip()
        assert all(isinstance(call["name"], str) for call in json.loads(found["answers"]))


DRAFT = '<think>[{"query": "Draft", "answers": [{"name": "f"}]}]</think>{}'


@pytest.mark.parametrize(
    "form",
    ["{}", "```json\n{}\n```", "Sure.\n{}", '{"pairs": {}}', "Sure: [1] here {} [2]", DRAFT],
)
def test_a_question_and_its_calls(form: str) -> None:
    calls = [{"name": "area", "arguments": {"width": 2}}]
    pair = {"query": "How big?", "answers": calls}
    text = form.replace("{}", json.dumps([pair, {"query": "Other"}]))
    found = make(APIGenGenerator).format_output(text)
    assert found["query"] == "How big?"
    assert json.loads(found["answers"]) == calls


def test_one_pair_needs_no_list() -> None:
    pair = {"query": "How big?", "answers": [{"name": "area", "arguments": {}}]}
    assert make(APIGenGenerator).format_output(json.dumps(pair))["query"] == "How big?"


@given(HOSTILE, HOSTILE)
def test_a_function_is_described_as_it_is(description: str, examples: str) -> None:
    row = {**FUNCTION, "func_desc": description, "examples": examples, "tools": [{"name": "w"}]}
    prompt = user_message(make(APIGenGenerator), row)
    assert f"\n{examples}\n\nThe function `area`:\n{description}\n" in prompt
    assert '[{"name": "w"}]' in prompt
    assert '[{"name": "w"}]' not in user_message(make(APIGenGenerator, use_tools=False), row)


@pytest.mark.parametrize("number", [[2, 3], {2: 0.5, 3: 0.5}])
def test_how_many_questions_is_drawn_by_the_row(number: Any) -> None:
    rows = [{**FUNCTION, "id": index} for index in range(30)]
    asked = [user_message(make(APIGenGenerator, number=number), row) for row in rows]
    assert asked == [user_message(make(APIGenGenerator, number=number), row) for row in rows]
    assert {("2 different" in prompt, "3 different" in prompt) for prompt in asked} == {
        (True, False),
        (False, True),
    }


@pytest.mark.parametrize("number", [0, [], {}, {1: -1.0}, {1: 0.0}, [0]])
def test_numbers_that_cannot_be_drawn(number: Any) -> None:
    with pytest.raises(ValidationError):
        make(APIGenGenerator, number=number)


def test_rows_of_questions() -> None:
    pair = json.dumps([{"query": "How big?", "answers": [{"name": "area", "arguments": {}}]}])
    step = make(APIGenGenerator, script={"Multiplies": pair, "Nothing": "No."})
    rows = [FUNCTION, {**FUNCTION, "func_desc": "Nothing."}, {**FUNCTION, "examples": 3}]
    done, failures = run_with_failures(rows, step)
    assert sorted(str(row["query"]) for row in done) == ["How big?", "None", "None"]
    assert {failure.kind for failure in failures} == {"parse", "render"}


# ---------------------------------------------------------------------------------- calls


def test_calls_of_a_file(library: str) -> None:
    calls = FunctionCalls(library)
    try:
        expected = {
            ("area", '{"width": 3, "height": 2}'): (True, "6"),
            ("area", '{"width": "[1, 2]", "height": "2"}'): (True, "[1, 2, 1, 2]"),
            ("area", '{"width": "os.getcwd()"}'): (True, "os.getcwd()"),
            ("first", '{"items": ["a"], "default": "b"}'): (True, "a"),
            ("fail", "null"): (False, "ValueError"),
            ("loud", "{}"): (True, "said"),
            ("exits", "{}"): (False, "Function 'exits' isn't called: it uses SystemExit."),
            ("here", "{}"): (True, "[]"),
            ("deletes", '{"path": "x"}'): (
                False,
                "Function 'deletes' isn't called: it uses os.remove.",
            ),
            ("runs", '{"command": "ls"}'): (
                False,
                "Function 'runs' isn't called: it uses subprocess.run.",
            ),
        }
        found = {call: calls.call(call[0], json.loads(call[1])) for call in expected}
        assert found == expected
        keep, text = calls.call("area", {"depth": 3})
        assert not keep and "unexpected keyword argument 'depth'" in text
        keep, text = calls.call("area", [3])
        assert not keep and "arguments by name, got list" in text
    finally:
        calls.close()


@pytest.mark.parametrize(
    "name", ["nothing", "system", "getcwd", "_hidden", "os", "__builtins__", "", "a b", None, 3, {}]
)
def test_only_functions_of_the_file_are_called(library: str, name: Any) -> None:
    calls = FunctionCalls(library, check=False)
    try:
        assert calls.call(name, {}) == (False, f"Function {name!r} not found.")
    finally:
        calls.close()


def test_the_workers_environment_stays_here(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "a secret")
    calls = FunctionCalls(library, check=False)
    try:
        keep, text = calls.call("environment", None)
    finally:
        calls.close()
    assert keep and "PATH" in text and "SOME_API_KEY" not in text


def test_a_call_that_takes_too_long_or_ends_its_process(library: str) -> None:
    calls = FunctionCalls(library, check=False, timeout_seconds=0.5)
    try:
        for name in ("slow", "stays", "closes"):
            assert calls.call(name, {}) == (False, "The call took longer than 0.5 s.")
    finally:
        calls.close()
    patient = FunctionCalls(library, check=False, timeout_seconds=600)
    try:
        assert patient.call("ends", {}) == (
            False,
            f"The call ended its process (exit code {-signal.SIGKILL}).",
        )
        assert patient.call("exits", {}) == (False, "3")
        assert patient.call("area", {"width": 2}) == (True, "2")
        process = patient._process
        assert process is not None
    finally:
        patient.close()
    assert process.returncode is not None


def test_a_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "twice.py").write_text("from helper import double\ndef twice(x): return double(x)")
    (tmp_path / "helper.py").write_text("def double(x): return 2 * x")
    (tmp_path / "broken.py").write_text("def broken(:")
    calls = FunctionCalls(str(tmp_path))
    try:
        assert calls.call("twice", {"x": 4}) == (True, "8")
        assert calls.call("double", {"x": 4}) == (False, "Function 'double' not found.")
        assert calls.call("../twice", {"x": 4}) == (False, "Function '../twice' not found.")
        keep, text = calls.call("broken", {})
        assert not keep and text.startswith("The file can't be loaded: SyntaxError")
    finally:
        calls.close()


def test_a_file_of_functions_as_a_module(library: str, tmp_path: Path) -> None:
    assert load_module_from_path(library).area(2, 3) == 6
    (tmp_path / "library.txt").touch()
    with pytest.raises(ImportError, match="library.txt' is no Python file"):
        load_module_from_path(str(tmp_path / "library.txt"))
    with pytest.raises(FileNotFoundError):
        load_module_from_path(str(tmp_path / "missing.py"))


@pytest.mark.parametrize("name", ["missing.py", "missing"])
def test_a_library_that_is_not_there(name: str, tmp_path: Path) -> None:
    step = APIGenExecutionChecker(libpath=str(tmp_path / name))
    message = f"{name}' is neither a Python file nor a folder"
    for kind in (DistilabelUserError, FileNotFoundError):
        with pytest.raises(kind, match=message):
            step.load()


def test_rows_of_calls(library: str) -> None:
    area = {"name": "area", "arguments": {"width": 2, "height": 3}}
    rows: list[dict[str, Any]] = [
        {"id": 0, "answers": json.dumps([area])},
        {"id": 1, "answers": [area, {"name": "lost"}]},
        {"id": 2, "answers": None},
        {"id": 3, "answers": "[null]"},
        {"id": 4, "answers": "no JSON"},
        {"id": 5, "answers": '"text"'},
        {"id": 6, "answers": [3]},
    ]
    done, failures = run_with_failures(rows, APIGenExecutionChecker(name="check", libpath=library))
    found = {
        row["id"]: (row["keep_row_after_execution_check"], row["execution_result"]) for row in done
    }
    assert found == {
        0: (True, ["6"]),
        1: (False, ["6", "Function 'lost' not found."]),
        2: (False, ["No answers were provided."]),
        3: (False, ["Function None not found."]),
        **dict.fromkeys((4, 5, 6), (None, None)),
    }
    assert sorted(failure.row["id"] for failure in failures) == [4, 5, 6]
    assert {failure.kind for failure in failures} == {"column"}
    assert all("the column 'answers'" in failure.message for failure in failures)


# ---------------------------------------------------------------------------------- verdicts


@given(st.none() | HOSTILE | st.dictionaries(st.sampled_from(["passes", "thought"]), HOSTILE))
@example({"passes": True, "thought": None})
@example({"passes": "YES ", "thought": "Fine."})
@example({"passes": 1, "thought": ""})
def test_reading_verdicts_is_total(answer: Any) -> None:
    text = json.dumps(answer) if isinstance(answer, dict) else answer
    try:
        found = make(APIGenSemanticChecker).format_output(text)
    except ParseError as error:
        assert str(error)
    else:
        assert isinstance(found["keep_row_after_semantic_check"], bool)
        assert isinstance(found["thought"], str)


def test_the_verdict_is_what_follows_the_thoughts() -> None:
    draft, verdict = '{"thought": "Bad.", "passes": "no"}', '{"thought": "", "passes": "yes"}'
    step = make(APIGenSemanticChecker)
    for text in (f"<think>If so: {draft}.</think>{verdict}", f"{draft}? No: {verdict} {{}}"):
        assert step.format_output(text)["keep_row_after_semantic_check"] is True


def test_rows_of_verdicts() -> None:
    row = {
        "func_desc": "Multiplies.",
        "query": "How big?",
        "answers": '[{"name": "area", "arguments": {"width": 2}}]',
        "execution_result": ["2"],
        "keep_row_after_execution_check": True,
    }
    answer = '```\n{"thought": "The height is missing.", "passes": "no"}\n```'
    step = make(APIGenSemanticChecker, script={"How big": answer, "How": "Yes."})
    done, failures = run_with_failures(
        [row, {**row, "query": "How?"}, {**row, "query": None}], step
    )
    found = {row["query"]: row["keep_row_after_semantic_check"] for row in done}
    assert found == {"How big?": False, "How?": None, None: None}
    assert {failure.kind for failure in failures} == {"parse", "render"}
    prompt = user_message(step, row)
    assert 'returned:\n["2"]\n' in prompt and row["answers"] in prompt
