"""What settings there are: from the fields, and from what the docstrings say of them."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import ByteSize, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from beam_distilabel.runners.settings import RunnerSettings, closest


class Setting(NamedTuple):
    """A setting of a runner, in words.

    Attributes:
        name: of the field.
        type: what it may be.
        default: as Python writes it; "required" where there is none.
        description: what it means.
    """

    name: str
    type: str
    default: str
    description: str


def settings_of(kind: type[RunnerSettings]) -> list[Setting]:
    """The settings of a runner, its own first.

    Example:
        >>> from beam_distilabel.runners.direct import DirectSettings
        >>> settings_of(DirectSettings)[0][:3]
        ('parallelism', 'int above 0', '1')
    """
    said = descriptions(kind)
    own = [name for name in kind.model_fields if name not in RunnerSettings.model_fields]
    names = [*own, *(name for name in kind.model_fields if name not in own)]
    return [
        Setting(
            name,
            type_text(kind.model_fields[name]),
            _default_text(kind.model_fields[name]),
            kind.model_fields[name].description or said.get(name, ""),
        )
        for name in names
    ]


def summary(kind: type[RunnerSettings]) -> str:
    """The first sentence of what a runner's settings say of themselves."""
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]


def markdown_table(kind: type[RunnerSettings]) -> str:
    """The settings as a Markdown table."""
    lines = ["| setting | what it may be | default | meaning |", "|---|---|---|---|"]
    for setting in settings_of(kind):
        cells = (f"`{setting.name}`", setting.type, f"`{setting.default}`", setting.description)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


_ENTRY = re.compile(r"(?P<name>\w+): (?P<text>.+)")


def descriptions(kind: type[RunnerSettings]) -> dict[str, str]:
    """Field to what the `Attributes:` of the class, or of those that it extends, say of it."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        lines = inspect.cleandoc(base.__dict__.get("__doc__") or "").splitlines()
        if "Attributes:" not in lines:
            continue
        name = ""
        for line in lines[lines.index("Attributes:") + 1 :]:
            if line and not line.startswith(" "):
                break
            entry = _ENTRY.fullmatch(line[4:]) if not line.startswith(" " * 5) else None
            if entry is not None:
                name = entry["name"]
                found[name] = entry["text"]
            elif name and line.strip():
                found[name] += f" {line.strip()}"
    return found


def type_text(field: FieldInfo) -> str:
    """What a field may be, for a person."""
    limits = [
        f"{words} {getattr(constraint, name):g}"
        for constraint in field.metadata
        for name, words in _LIMITS.items()
        if getattr(constraint, name, None) is not None
    ]
    return " ".join([_annotation_text(field.annotation), *limits])


_LIMITS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def _annotation_text(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(repr(part) for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(_annotation_text(part) for part in parts)
    if annotation is types.NoneType:
        return "None"
    if annotation is ByteSize:
        return "bytes, such as '8GiB',"
    if origin is not None and hasattr(annotation, "__metadata__"):  # Annotated
        constraint = FieldInfo.from_annotation(annotation)
        return type_text(constraint)
    if origin is not None:
        inner = ", ".join("..." if part is ... else _annotation_text(part) for part in parts)
        return f"{getattr(origin, '__name__', origin)}[{inner}]"
    return str(getattr(annotation, "__name__", annotation))


def _default_text(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    return "required" if default is PydanticUndefined else repr(default)


def explained(runner: str, kind: type[RunnerSettings], error: ValidationError) -> str:
    """Why settings can't be: the first setting that is wrong, its value, and what is expected.

    Args:
        runner: its name.
        kind: its settings.
        error: of pydantic.
    """
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if not where:  # settings that don't go together
        return f"options: the runner {runner!r}: {_reason(first)}."
    name = where[0]
    if name not in kind.model_fields:
        return (
            f"options: the runner {runner!r} has no setting {name!r}."
            f"{closest(name, kind.model_fields)} Its settings: {', '.join(kind.model_fields)}. "
            "Beam's own options are given as flags: options=['--name=value'], on the command line "
            "after `--`."
        )
    field = kind.model_fields[name]
    if first["type"] == "missing" and len(where) == 1:
        return f"options: the runner {runner!r} needs its setting {name!r}: {type_text(field)}."
    # Of several values only one is wrong, and others may be secrets.
    given = first["input"]
    harmless = isinstance(given, (int, float)) or (
        isinstance(given, str) and len(where) == 1 and "{" not in given
    )
    shown = f" is {_short(given)}:" if harmless and not _is_secret(field) else ":"
    return (
        f"options: the setting {name!r} of the runner {runner!r}{shown} {_reason(first)}. It is "
        f"{type_text(field).rstrip(',')}; default {_default_text(field)}."
    )


def _reason(error: Mapping[str, Any]) -> str:
    """Pydantic's reason without its prefix, and without a full stop."""
    return str(error["msg"]).removeprefix("Value error, ").rstrip(".")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _is_secret(field: FieldInfo) -> bool:
    return "Secret" in str(field.annotation)


__all__ = [
    "Setting",
    "descriptions",
    "explained",
    "markdown_table",
    "settings_of",
    "summary",
    "type_text",
]
