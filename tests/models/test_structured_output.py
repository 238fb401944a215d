"""The `structured_output` argument: what is taken, and what is refused when an LLM is made."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, strategies as st
from pydantic import BaseModel, ValidationError

from beam_distilabel.errors import DistilabelUserError, GenerationError
from beam_distilabel.models.answer_schema import answer_schema
from beam_distilabel.models.llms import ClientvLLM, OpenAILLM, vLLM
from beam_distilabel.models.structured_output import plain_structure, without_nulls


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.parametrize(
    "schema", [Person, Person.model_json_schema(), json.dumps(Person.model_json_schema())]
)
def test_a_json_schema_comes_in_three_forms(schema: Any) -> None:
    expected = {"format": "json", "schema": Person.model_json_schema()}
    assert plain_structure({"format": "json", "schema": schema}) == expected
    assert plain_structure({"schema": schema}) == expected


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_structure(nothing: Any) -> None:
    assert plain_structure(nothing) is None
    assert answer_schema(nothing) is None


def deep(depth: int) -> Any:
    schema: Any = {"type": "integer"}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


def test_a_schema_that_nests_for_ever_is_refused() -> None:
    llm = vLLM(model="m", generation_kwargs={"structured_output": {"schema": deep(100_000)}})
    with pytest.raises(DistilabelUserError, match="nested too deeply"):
        llm.check_generation_kwargs()
    with pytest.raises(GenerationError) as failure:
        answer_schema({"schema": deep(100_000)})
    assert failure.value.kind == "refused"


@pytest.mark.parametrize(
    "schema",
    [
        {"title": "nothing", "const": None},
        {"properties": {"a": {"description": "d", "const": None}}},
        {"properties": {"default": {"type": "string"}, "enum": {"enum": [None]}}},
    ],
)
def test_what_a_schema_says_is_kept(schema: Any) -> None:
    assert without_nulls(schema) == schema


def test_properties_named_like_keywords_lose_what_a_table_added() -> None:
    widened = {"properties": {"default": {"type": "string", "minimum": None}, "enum": None}}
    assert without_nulls(widened) == {"properties": {"default": {"type": "string"}}}


WRONG = [
    ({"format": "yaml", "schema": "a"}, "format is 'yaml'.*'choice'"),
    ({"format": "json"}, "pydantic class"),
    ({"format": "json", "schema": "{"}, "no JSON"),
    ({"format": "json", "schema": "[1]"}, "pydantic class"),
    ({"format": "json", "schema": {"type": "nothing"}}, "no JSON schema"),
    ({"format": "json", "schema": {"$schema": 5}}, "no JSON schema"),
    ({"format": "json", "schema": {"$ref": "#/$defs/none"}}, "no JSON schema: .*none"),
    ({"format": "json", "schema": deep(300)}, "no JSON schema"),
    ({"format": "regex", "schema": 3}, "a str"),
    ({"format": "regex", "schema": "("}, "no regular expression"),
    ({"format": "choice", "schema": []}, "one at least"),
    ({"format": "choice", "schema": "yes"}, "list of texts"),
    ({"format": "choice", "schema": ["a", "a"]}, "differ"),
    ({"format": "choice", "schema": ["a", 1]}, "list of texts"),
    ({"format": "grammar", "schema": " "}, "EBNF"),
]


@pytest.mark.parametrize(("structure", "message"), WRONG)
def test_an_llm_refuses_a_wrong_structure(structure: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=f"structured_output's.*{message}"):
        vLLM(model="some/model", structured_output=structure)
    llm = vLLM(model="some/model", generation_kwargs={"structured_output": structure})
    with pytest.raises(DistilabelUserError, match=message):
        llm.check_generation_kwargs()


@pytest.mark.parametrize(("structure", "message"), WRONG)
def test_a_row_with_a_wrong_structure_is_refused(structure: Any, message: str) -> None:
    with pytest.raises(GenerationError, match=message) as failure:
        answer_schema(structure)
    assert failure.value.kind == "refused"


@pytest.mark.parametrize(
    "structure",
    [
        {"format": "regex", "schema": "[a-z]+"},
        {"format": "choice", "schema": ["yes", "no"]},
        {"format": "grammar", "schema": 'root ::= "a"'},
    ],
)
def test_which_llm_takes_which_format(structure: Any) -> None:
    assert vLLM(model="some/model", structured_output=structure)
    assert ClientvLLM(structured_output=structure)
    with pytest.raises(ValidationError, match="OpenAILLM.*this LLM takes 'json'"):
        OpenAILLM(model="m", structured_output=structure)


def test_answers_are_checked_by_format() -> None:
    def problem(kind: str, schema: Any, text: str) -> str | None:
        known = answer_schema({"format": kind, "schema": schema})
        assert known is not None
        return known.problem(text)

    assert problem("choice", ["yes", "no"], "no") is None
    assert "none of the choices" in str(problem("choice", ["yes", "no"], "no "))
    assert problem("regex", "a.b", "a\nb") is None
    assert "doesn't match" in str(problem("regex", "a", "ab"))
    assert problem("grammar", 'root ::= "a"', "anything") is None
    nested = {"$ref": "#/$defs/list", "$defs": {"list": {"items": {"$ref": "#/$defs/list"}}}}
    assert problem("json", nested, "[" * 400 + "]" * 400) is None


names = st.sampled_from("abcdef")
schemas = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": "integer", "minimum": 3}, {"enum": ["x", None]}]),
    lambda inner: st.one_of(
        inner.map(lambda one: {"type": "array", "items": one}),
        st.dictionaries(names, inner, min_size=1).map(
            lambda some: {"type": "object", "properties": some, "required": sorted(some)}
        ),
    ),
    max_leaves=6,
)


@given(schemas, schemas)
def test_schemas_survive_a_table(one: Any, other: Any) -> None:
    """A table gives to each row the keys of all others, without values."""

    def widened(value: Any, model: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(model, dict):
            return value
        keys = [*value, *(key for key in model if key not in value)]
        return {key: widened(value.get(key), model.get(key)) for key in keys}

    found = plain_structure({"schema": widened(one, other)})
    assert found is not None and found["schema"] == without_nulls(one) == one
    jsonschema_rs.meta.validate(found["schema"])
