"""Structured output: what is asked for, and what passes."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from hypothesis import given, strategies as st
from pydantic import BaseModel

from beam_distilabel.errors import GenerationError
from beam_distilabel.models.answer_schema import answer_schema, schema_name, tightened


def nested(depth: int) -> Any:
    schema: Any = {"type": "integer"}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


def problem(structure: Any, text: str) -> str | None:
    schema = answer_schema(structure)
    assert schema is not None
    return schema.problem(text)


class Person(BaseModel):
    name: str
    age: int


class Team(BaseModel):
    lead: Person
    members: list[Person]
    motto: str | None


class Loose(BaseModel):
    name: str = "nobody"


def test_a_pydantic_class_is_asked_for_strictly() -> None:
    schema = answer_schema({"schema": Team})
    assert schema is not None
    asked = schema.response_format["json_schema"]
    assert (asked["name"], asked["strict"]) == ("Team", True)
    assert asked["schema"]["additionalProperties"] is False
    assert asked["schema"]["$defs"]["Person"]["additionalProperties"] is False
    assert "additionalProperties" not in schema.schema, "what is checked is the user's own"


def test_optional_properties_stay_optional() -> None:
    schema = answer_schema({"schema": Loose})
    assert schema is not None
    asked = schema.response_format["json_schema"]
    assert "strict" not in asked
    assert asked["schema"] == Loose.model_json_schema()
    assert schema.problem("{}") is None


def test_strict_can_be_chosen() -> None:
    never = answer_schema({"schema": Person, "strict": False})
    always = answer_schema({"schema": Loose, "strict": True})
    assert never is not None and always is not None
    assert "strict" not in never.response_format["json_schema"]
    assert always.response_format["json_schema"]["strict"] is True


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"name": "Ada", "age": 36}', None),
        ('{"name": "Ada"}', 'the answer doesn\'t have the form of the schema: $: "age" is a requ'),
        ('{"name": "Ada", "age": "36"}', "the answer doesn't have the form of the schema: $.age: "),
        ('{"name": "Ada", ', "the answer is no JSON"),
        ("", "the answer is no JSON"),
    ],
)
def test_answers_are_checked(text: str, problem: str | None) -> None:
    schema = answer_schema({"schema": Person})
    assert schema is not None
    found = schema.problem(text)
    assert found is None if problem is None else problem in str(found)


@pytest.mark.parametrize(
    "structure",
    [
        {"schema": {"type": "nothing"}},
        {"schema": {"$ref": "http://example.com/schema.json"}},
        {"schema": {"$ref": "file:///etc/hostname"}},
        {"schema": {"$ref": "#/$defs/none"}},
        {"schema": {"$schema": 5}},
        {"schema": {"type": "string", "pattern": "("}},
        {"schema": nested(300)},
        {"schema": nested(100_000)},
        {"format": "regex", "schema": "("},
        {"format": "regex", "schema": "a)|(b"},
        {"format": "yaml", "schema": "x"},
        {"format": "json"},
    ],
)
def test_a_structure_that_is_none_costs_the_row(structure: dict[str, Any]) -> None:
    with pytest.raises(GenerationError) as caught:
        answer_schema(structure)
    assert caught.value.kind == "refused"


@given(st.text(max_size=100))
def test_names_are_what_the_protocol_takes(title: str) -> None:
    name = schema_name({"title": title})
    assert 1 <= len(name) <= 64
    assert all(c.isascii() and (c.isalnum() or c in "_-") for c in name)


scalars = st.sampled_from([{"type": "string"}, {"type": "integer"}, {"enum": ["a", "b"]}])
schemas = st.recursive(
    scalars,
    lambda inner: st.one_of(
        inner.map(lambda one: {"type": "array", "items": one}),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1).map(
            lambda some: {"type": "object", "properties": some, "required": sorted(some)}
        ),
        st.lists(inner, min_size=1, max_size=2).map(lambda some: {"anyOf": some}),
    ),
    max_leaves=6,
)
values = st.recursive(
    st.sampled_from(["a", "b", "x", 1, None]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(schemas, values)
def test_what_fits_the_strict_form_fits_the_users(schema: Any, value: Any) -> None:
    strict, own = answer_schema({"schema": tightened(schema)}), answer_schema({"schema": schema})
    assert strict is not None and own is not None
    text = json.dumps(value)
    assert strict.problem(text) is not None or own.problem(text) is None


def deep(depth: int) -> str:
    return '{"a": ' * depth + '"x"' + "}" * depth


TREE = {
    "$ref": "#/$defs/n",
    "$defs": {
        "n": {
            "anyOf": [
                {"properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["a"], "type": "object"},
                {"properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["b"], "type": "object"},
                {"type": "integer"},
            ]
        }
    },
}
TWICE = {
    "allOf": [{"$ref": "#/$defs/n"}, {"maxProperties": 0}],
    "$defs": {
        "n": {
            "allOf": [
                {"properties": {"a": {"$ref": "#/$defs/n"}}},
                {"properties": {"a": {"$ref": "#/$defs/n"}}},
            ]
        }
    },
}


@pytest.mark.parametrize(
    ("structure", "text"),
    [
        ({"format": "regex", "schema": "(a+)+"}, "a" * 5000 + "!"),
        ({"format": "regex", "schema": r"(?=a)(a|aa)+\1b"}, "a" * 5000),
        ({"schema": {"pattern": "^(a+)+$"}}, json.dumps("a" * 5000 + "!")),
        (
            {"schema": {"patternProperties": {"^(a+)+$": False}, "maxProperties": 0}},
            json.dumps({"a" * 5000 + "!": 1}),
        ),
        (
            {"schema": {"uniqueItems": True}},
            json.dumps([{"a": i, "b": [i]} for i in range(3000)] + [{"a": 1, "b": [1]}]),
        ),
        ({"schema": TREE}, deep(10)),
        ({"schema": TREE}, deep(40)),
        ({"schema": TWICE}, deep(40)),
    ],
)
def test_no_answer_takes_long_to_check(structure: Any, text: str) -> None:
    """The old checks took from seconds to for ever."""
    start = time.process_time()
    assert problem(structure, text) is not None
    assert time.process_time() - start < 2


@given(st.integers(-(10**9), 10**9), st.integers(1, 6))
def test_decimal_multiples_are_exact(count: int, places: int) -> None:
    schema = {"schema": {"type": "number", "multipleOf": 10.0**-places}}
    assert problem(schema, str(Decimal(count).scaleb(-places))) is None
    assert problem(schema, str(Decimal(10 * count + 5).scaleb(-places - 1))) is not None


@pytest.mark.parametrize("step", [3, 0.1, 7])
def test_long_integers(step: float) -> None:
    schema = {"schema": {"type": "integer", "multipleOf": step}}
    assert problem(schema, "21" + "0" * 399) is None
    if step != 0.1:
        assert problem(schema, "1" + "0" * 400) is not None


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"\d+", "4\u0663"),
        (r"[\w.-]+", "\u00e4-\u0663_"),
        (r"\s", "\u3000"),
        (r"\p{L}+", "\u00e4\u00df"),
        ("(?i)\u00e9", "\u00c9"),
        (r"\\d", r"\d"),
        (r"[^\W\d]+", "ab"),
    ],
)
def test_the_dialect_of_regular_expressions_is_that_of_the_engine(pattern: str, text: str) -> None:
    assert problem({"format": "regex", "schema": pattern}, text) is None
    assert problem({"format": "regex", "schema": pattern}, text + "!") is not None
    assert problem({"schema": {"pattern": f"^(?:{pattern})$"}}, json.dumps(text)) is None
    names = {"patternProperties": {f"^(?:{pattern})$": True}, "additionalProperties": False}
    assert problem({"schema": names}, json.dumps({text: 1})) is None
    assert problem({"schema": names}, json.dumps({text + "!": 1})) is not None


@pytest.mark.parametrize(
    "pattern",
    [r"\d", r"\D", r"[^\d]", r"\w", r"\W", r"[\w-]", r"[^\w]", r"\s", r"\S", r"[^\s]", r"[^a\n]"]
    + [f"[[:{name}:]-]" for name in "alnum alpha digit lower space upper word xdigit".split()]
    + [r"\p{Greek}", "(?i)k", r"[\x41-\x43]", r"\u0042", r"[^\]]", r"\[", "^a$"],
)
def test_every_character_is_judged_as_by_the_engine(pattern: str) -> None:
    llguidance = pytest.importorskip("llguidance")
    matcher = llguidance.LLMatcher(
        llguidance.LLTokenizer("byte"), llguidance.LLMatcher.grammar_from_regex(pattern)
    )
    right = 0
    for char in map(chr, [*range(1, 0x700), *range(0x1F00, 0x2070), *range(0x24A0, 0x24E0)]):
        matcher.reset()
        encoded = list(char.encode())
        engine = matcher.try_consume_tokens(encoded) == len(encoded) and matcher.is_accepting()
        assert engine == (problem({"format": "regex", "schema": pattern}, char) is None), char
        right += engine
    assert right


@pytest.mark.parametrize(
    "text",
    ["NaN", "[Infinity]", "-Infinity", "1e400", r'"\ud800"', r'{"\udfff": 1}', "[" * 100_000],
)
def test_what_only_python_takes_for_json(text: str) -> None:
    assert "is no JSON" in str(problem({"schema": {"title": "any"}}, text))


def test_the_place_of_a_problem_is_named() -> None:
    schema = {"schema": Team}
    text = '{"lead": {"name": "A", "age": 1}, "members": [{"name": "B", "age": "2"}], "motto": "x"}'
    assert "$.members[0].age: " in str(problem(schema, text))
    text = '{"lead": {"name": "A", "age": 1}, "members": [], "motto": 3}'
    assert "$.motto: 3 fits no schema of 'anyOf'" in str(problem(schema, text))
    assert problem(schema, text.replace("3}", "null}")) is None


def test_properties_may_have_the_names_of_keywords() -> None:
    names = ["pattern", "anyOf", "const", "default", "enum", "examples"]
    schema = {
        "type": "object",
        "properties": {name: {"type": "string", "pattern": r"^\d$"} for name in names},
        "required": names,
    }
    assert problem({"schema": schema}, json.dumps(dict.fromkeys(names, "3"))) is None
    for name in names:
        assert f"$.{name}" in str(
            problem({"schema": schema}, json.dumps({**dict.fromkeys(names, "3"), name: "x"}))
        )


@pytest.mark.parametrize(
    "draft",
    [
        "http://json-schema.org/draft-04/schema#",
        "http://json-schema.org/draft-06/schema#",
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2020-12/schema",
    ],
)
def test_drafts(draft: str) -> None:
    schema = {
        "$schema": draft,
        "definitions": {"a": {"type": "integer"}},
        "items": {"$ref": "#/definitions/a"},
    }
    assert problem({"schema": schema}, "[1]") is None
    assert "$[0]" in str(problem({"schema": schema}, '["a"]'))


@given(schemas, values)
def test_what_passes_is_what_the_reference_implementation_passes(schema: Any, value: Any) -> None:
    found = problem({"schema": schema}, json.dumps(value))
    assert (found is None) == jsonschema.Draft202012Validator(schema).is_valid(value)
    assert found is None or ": $" in found
