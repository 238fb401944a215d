"""The structure that answers have to have: how it is asked for, and the check when they arrive."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from beam_distilabel.errors import GenerationError
from beam_distilabel.models.structured_output import SCHEMA_MAPS, VALUES, plain_structure

_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NAME = 64

ENDED_IN_REASONING = (
    "the answer ended while the model was still reasoning (finish reason 'length'); raise "
    "max_new_tokens"
)
"""Why there is no answer to check."""

ONLY_REASONING = "the model ended its answer without leaving its reasoning"
"""The same, where nothing was cut."""


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
    except (ValueError, TypeError, RecursionError) as error:
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
    import jsonschema_rs

    try:
        _compiled(schema)
        validator = _compiled(_walked(schema, placed=False))
        placing = _compiled(_walked(schema, placed=True))
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "message", None) or str(error)
        raise GenerationError(
            f"structured_output's schema is no JSON schema: {reason}", "refused"
        ) from None
    # Double negations hide what was evaluated.
    placeable = '"unevaluated' not in json.dumps(schema)

    def check(text: str) -> str | None:
        try:
            value = _json_value(text)
        except (ValueError, RecursionError) as error:
            return f"the answer is no JSON ({error})"
        try:
            if validator.is_valid(value):
                return None
            if placeable and _shallow(value, _MAX_PLACED_DEPTH):
                placing.validate(value)
        except jsonschema_rs.ValidationError as error:
            return f"{_WRONG_FORM}: {_place(error.instance_path)}: {_reason(error)[:300]}"
        except (ValueError, RecursionError) as error:
            return f"the answer can't be checked ({error})"
        return _WRONG_FORM

    return check


_WRONG_FORM = "the answer doesn't have the form of the schema"

_MAX_PLACED_DEPTH = 10
"""Finding the place takes a time that may double per level; telling right from wrong doesn't."""

_BACKTRACKS = 100_000
"""Steps that a regular expression with lookarounds may take; those without need no limit."""


def _compiled(schema: Any) -> Any:
    """A validator that fetches nothing.

    Raises:
        ValueError: the schema is none, nests too deeply, or refers to what isn't in it.
    """
    import jsonschema_rs

    return jsonschema_rs.validator_for(
        schema,
        offline=True,
        validate_formats=False,
        pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACKS),
    )


_BRANCHES = ("anyOf", "oneOf")


def _walked(schema: Any, placed: bool) -> Any:
    """`schema` with its patterns in the dialect of `_unicode`.

    Args:
        schema: a valid one.
        placed: also negate alternatives twice: the validator doesn't collect then, for a message,
            the errors of all alternatives of all alternatives.
    """
    if isinstance(schema, list):
        return [_walked(item, placed) for item in schema]
    if not isinstance(schema, dict):
        return schema
    walked: dict[str, Any] = {}
    for key, value in schema.items():
        if key in SCHEMA_MAPS and isinstance(value, dict):
            walked[key] = {
                _unicode(name) if key == "patternProperties" else name: _walked(inner, placed)
                for name, inner in value.items()
            }
        elif key == "pattern" and isinstance(value, str):
            walked[key] = _unicode(value)
        else:
            walked[key] = value if key in VALUES else _walked(value, placed)
    if placed:
        hidden = [{"not": {"not": {key: walked.pop(key)}}} for key in _BRANCHES if key in walked]
        if hidden:
            walked["allOf"] = [*walked.get("allOf", ()), *hidden]
    return walked


_WORD = r"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}"
_OTHER = r"\p{No}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}\p{S}\p{Z}\p{C}"
_CLASSES = {
    r"\d": r"\p{Nd}",
    r"\D": r"\P{Nd}",
    r"\s": r"\p{White_Space}",
    r"\S": r"\P{White_Space}",
    r"\w": _WORD,
    r"\W": _OTHER,
}
_POSIX = {
    "[:alnum:]": "0-9A-Za-z",
    "[:alpha:]": "A-Za-z",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:space:]": r"\t-\r ",
    "[:upper:]": "A-Z",
    "[:word:]": "0-9A-Za-z_",
    "[:xdigit:]": "0-9A-Fa-f",
}
_TOKEN = re.compile(rf"\\.|{'|'.join(map(re.escape, _POSIX))}|[\[\]]", re.DOTALL)


def _unicode(pattern: str) -> str:
    r"""A regular expression whose `\d`, `\s` and `\w` are Unicode's, as in guidance and pydantic.

    Without this they are ECMAScript's, which engines' answers don't keep to.

    Example:
        >>> print(_unicode(r"[\d,]\d"))
        [\p{Nd},]\p{Nd}
    """
    within = False

    def replaced(found: re.Match[str]) -> str:
        nonlocal within
        token = found[0]
        if within and token in _POSIX:
            return _POSIX[token]
        if not token.startswith("\\"):
            within = token[0] == "[" and len(token) == 1
            return token
        if not within and token in (r"\w", r"\W"):
            return f"[{_WORD}]" if token == r"\w" else f"[^{_WORD}]"
        return _CLASSES.get(token, token)

    return _TOKEN.sub(replaced, pattern)


def _json_value(text: str) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is none; so are NaN, numbers beyond floats and halves of surrogate pairs.
        RecursionError: it nests too deeply.
    """
    value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:100]} is too large")
    return number


def _shallow(value: Any, depth: int) -> bool:
    if not isinstance(value, (dict, list)):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_shallow(item, depth - 1) for item in inner)


def _place(path: list[str | int]) -> str:
    return "$" + "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in path)


def _reason(error: Any) -> str:
    """The message, with the double negation of `_walked` undone."""
    refused = getattr(error.kind, "schema", None)
    hidden = refused.get("not") if isinstance(refused, dict) else None
    if isinstance(hidden, dict) and len(hidden) == 1:
        (key,) = hidden
        if key in _BRANCHES:
            return f"{json.dumps(error.instance)[:200]} fits " + (
                "no schema of 'anyOf'" if key == "anyOf" else "none, or more than one, of 'oneOf'"
            )
    return str(error.message)


def _regex_check(pattern: str) -> Callable[[str], str | None]:
    try:
        # On its own first: in the group "a)|(b" would be right.
        _compiled({"pattern": pattern})
        # Engines let a dot stand for a line break as well.
        validator = _compiled({"pattern": rf"\A(?s:{_unicode(pattern)})\z"})
    except ValueError:
        raise GenerationError(
            f"structured_output's schema {pattern!r} is no regular expression, or not one of "
            "those that can be matched here",
            "refused",
        ) from None

    def check(text: str) -> str | None:
        try:
            if validator.is_valid(text):
                return None
        except ValueError as error:
            return f"the answer can't be checked ({error})"
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
