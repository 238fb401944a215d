"""Structured output: what is asked for, and what passes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st
from pydantic import BaseModel

from beam_distilabel.errors import GenerationError
from beam_distilabel.models.answer_schema import answer_schema, schema_name, tightened


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
        ('{"name": "Ada"}', "the answer doesn't have the form of the schema: $: 'age' is a requi"),
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


def test_a_schema_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib.request

    def opened(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(urllib.request, "urlopen", opened)
    schema = answer_schema({"schema": {"$ref": "http://example.com/schema.json"}})
    assert schema is not None
    assert "refers to something that isn't in it" in str(schema.problem("{}"))


@pytest.mark.parametrize(
    "structure",
    [
        {"schema": {"type": "nothing"}},
        {"format": "regex", "schema": "("},
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
