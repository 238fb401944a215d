"""The structure that answers have to have: how it is asked for, and the check when they arrive."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from beam_distilabel.errors import GenerationError
from beam_distilabel.models.structured_output import plain_structure

_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NAME = 64

ENDED_IN_REASONING = (
    "the answer ended while the model was still reasoning (finish reason 'length'); raise "
    "max_new_tokens"
)
"""Why there is no answer to check."""


class AnswerSchema:
    """A `structured_output`, ready to be asked for and checked.

    Args:
        structure: of `plain_structure`: `{"format": "json", "schema": a JSON schema}`, with
            `"strict": bool` to choose OpenAI's strict mode (which takes a part of JSON Schema
            only) oneself, or the formats "regex", "choice" or "grammar".

    Attributes:
        structure: as it was given.
        format: its format.
        schema: its schema.

    Raises:
        GenerationError: the schema is no valid one, so nothing is asked.

    Example:
        >>> schema = AnswerSchema({"format": "regex", "schema": "yes|no"})
        >>> schema.problem("no")
        >>> schema.problem("maybe")
        "the answer doesn't match the regular expression 'yes|no'"
    """

    def __init__(self, structure: dict[str, Any]) -> None:
        self.structure = structure
        self.format: str = structure["format"]
        self.schema = structure["schema"]
        self._strict = structure.get("strict")
        self._check = _CHECKS[self.format](self.schema)

    @property
    def response_format(self) -> dict[str, Any]:
        """The `response_format` of a chat request, for JSON."""
        tight = tightened(self.schema) if self._strict is not False else None
        if self._strict and tight is None:
            tight = self.schema
        schema = {
            "name": schema_name(self.schema),
            "schema": tight if tight is not None else self.schema,
        }
        if tight is not None:
            schema["strict"] = True
        return {"type": "json_schema", "json_schema": schema}

    def problem(self, text: str) -> str | None:
        """What is wrong with an answer, None if nothing is.

        An answer in a grammar isn't checked: there is nothing to read it with but the engine.
        """
        return self._check(text)


def answer_schema(structure: Any) -> AnswerSchema | None:
    """The `AnswerSchema` of a `structured_output`; equal ones share it.

    Raises:
        GenerationError: it can't be used; costs the row.
    """
    try:
        plain = plain_structure(structure)
        return _known(json.dumps(plain)) if plain is not None else None
    except (ValueError, TypeError) as error:
        raise GenerationError(str(error), "refused") from error


@functools.lru_cache(maxsize=256)
def _known(text: str) -> AnswerSchema:
    return AnswerSchema(json.loads(text))


def schema_name(schema: Any) -> str:
    """The name that a request gives to a schema: its title, or "answer".

    Example:
        >>> schema_name({"title": "Pair[int, str]"}), schema_name({})
        ('Pair_int_str_', 'answer')
    """
    title = schema.get("title") if isinstance(schema, Mapping) else None
    return _NAME.sub("_", title)[:_MAX_NAME] if isinstance(title, str) and title else "answer"


def tightened(schema: Any) -> Any:
    """`schema` as OpenAI's strict mode wants it, None where that would mean something else.

    Objects that don't say whether they have further properties get none. Where properties may be
    left out, or have any name, there is no strict form.

    Example:
        >>> tightened({"properties": {"a": {}}, "required": ["a"]})
        {'properties': {'a': {}}, 'required': ['a'], 'additionalProperties': False}
        >>> tightened({"properties": {"a": {}}})
    """
    try:
        return _tightened(schema)
    except ValueError:
        return None


_LOOSE = frozenset(("allOf", "patternProperties", "not", "if", "dependentRequired", "oneOf"))


def _tightened(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_tightened(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    if _LOOSE.intersection(schema):
        raise ValueError("has no strict form")
    tight = {
        key: (
            {name: _tightened(inner) for name, inner in value.items()}
            if key in ("properties", "$defs", "definitions") and isinstance(value, Mapping)
            else _tightened(value)
            if key in ("items", "anyOf", "prefixItems")
            else value
        )
        for key, value in schema.items()
    }
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        if (
            set(properties) != set(schema.get("required", ()))
            or schema.get("additionalProperties", False) is not False
            or not properties
        ):
            raise ValueError("has no strict form")
        tight["additionalProperties"] = False
    return tight


def _json_check(schema: Any) -> Callable[[str], str | None]:
    import jsonschema
    import referencing

    make = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    try:
        make.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise GenerationError(
            f"structured_output's schema is no JSON schema: {error.message}", "refused"
        ) from None
    # With a registry of its own it fetches no schema from an address that a `$ref` names.
    validator = make(schema, registry=referencing.Registry())

    def check(text: str) -> str | None:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            return f"the answer is no JSON ({error})"
        try:
            problem = jsonschema.exceptions.best_match(validator.iter_errors(value))
        except RecursionError:
            return "the answer is nested too deeply"
        except referencing.exceptions.Unresolvable as error:
            return f"the schema refers to something that isn't in it ({error})"
        if problem is None:
            return None
        return (
            f"the answer doesn't have the form of the schema: {problem.json_path}: "
            + (problem.message[:300])
        )

    return check


def _regex_check(pattern: str) -> Callable[[str], str | None]:
    try:
        # Engines let a dot stand for a line break as well.
        compiled = re.compile(pattern, re.DOTALL)
    except re.error as error:
        raise GenerationError(
            f"structured_output's schema {pattern!r} is no regular expression: {error}", "refused"
        ) from None

    def check(text: str) -> str | None:
        if compiled.fullmatch(text):
            return None
        return f"the answer doesn't match the regular expression {pattern!r}"

    return check


def _choice_check(choices: list[str]) -> Callable[[str], str | None]:
    known = frozenset(choices)

    def check(text: str) -> str | None:
        return None if text in known else f"the answer {text[:100]!r} is none of the choices"

    return check


def _no_check(grammar: str) -> Callable[[str], str | None]:
    return lambda text: None


_CHECKS: dict[str, Callable[[Any], Callable[[str], str | None]]] = {
    "json": _json_check,
    "regex": _regex_check,
    "choice": _choice_check,
    "grammar": _no_check,
}
