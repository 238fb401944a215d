"""Steps and models as JSON-like data, without secrets."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import ipaddress
import json
import re
import uuid
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Secret,
    SecretBytes,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_core import to_jsonable_python

from beam_distilabel.row import fingerprint
from beam_distilabel.secret_texts import (
    HIDDEN,
    TOKENS,
    hide_in_url,
    is_authorization,
    remember_secret,
)
from beam_distilabel.secrets.references import as_reference

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORDS = re.compile(
    r"(password|passwd|passphrase|pwd|secret|credential|authorization|cookie)s?"
    r"|.*(apikey|accesskey|secretkey|privatekey|authtoken|accesstoken|apitoken|password)s?"
)
_SECRET_PHRASES = re.compile(
    r"\b(api|access|account|auth|encryption|license|master|private|service|shared|signing|storage"
    r"|subscription|anthropic|argilla|aws|azure|cohere|gcp|google|groq|hf|huggingface|mistral"
    r"|openai|together|wandb) keys?\b"
    r"|\bconnection string\b"
    r"|\b(api|access|auth|bearer|hf|refresh|session) tokens\b"
    r"|\b(auth|sas)$"
)
_TOKENS_OF_MODELS = frozenset(
    "added any assistant audio begin blank bos class close cls decoder each empty end eos eot every"
    " fake first forced image input last mask max middle min new next number object open output pad"
    " per prefix prompt reasoning sep special start step stop suffix system think thinking time"
    " tool total trigger unk user video word".split()
)
"""What stands before "token" in names of parts of text; any other kind of token may be a secret."""

KEYED_BY_COLUMN = ("columns", "input_mappings", "output_mappings")
KEYED_BY_PROPERTY = ("$defs", "definitions", "patternProperties", "properties")


class Dumpable(BaseModel):
    """A pydantic model that can be written to a file and made anew from it.

    Unknown fields are refused, and values are checked whenever they are set.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        extra="forbid",
        protected_namespaces=(),
        validate_assignment=True,
        validate_default=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _may_name_secret(cls, value: Any, info: ValidationInfo) -> Any:
        """Fields of secrets take the name of one, such as "env:MY_KEY"."""
        name = info.field_name
        if name in cls.model_fields and is_secret(cls.model_fields[name].annotation):
            value = as_reference(value)
            if isinstance(value, (str, bytes)):
                remember_secret(value)
            elif type(value) in (SecretStr, SecretBytes):
                remember_secret(value.get_secret_value())
            elif isinstance(value, (Mapping, list, tuple)) and _takes_texts(
                cls.model_fields[str(name)].annotation
            ):
                return _Hidden()  # errors tell what they were given
        return value

    def dump(self) -> dict[str, Any]:
        """The fields and the class; secrets and fields excluded from serialization are left out.

        Secret is what has the type `SecretStr` or a name like "api_key" (see `names_secret`).
        """
        return {**dump_fields(self), "type_info": type_info(type(self))}

    @property
    def signature(self) -> str:
        """Equal for objects of the same class with the same fields."""
        return fingerprint(self.dump())


class _Hidden:
    """What stands for a value that no secret can have, and that may hold one."""

    def __repr__(self) -> str:
        return "hidden"


def _takes_texts(annotation: Any) -> bool:
    """Whether a field of this type takes a secret text, or None, and nothing else."""
    kinds = getattr(annotation, "__args__", ())
    if kinds:
        return all(map(_takes_texts, kinds))
    return annotation in (SecretStr, SecretBytes, type(None))


def type_info(cls: type) -> dict[str, str]:
    """The module and name of a class."""
    return {"module": cls.__module__, "name": cls.__qualname__}


def dump_fields(model: BaseModel) -> dict[str, Any]:
    """A model's fields as JSON-like data."""
    return without_secrets(
        {
            name: getattr(model, name)
            for name, field in type(model).model_fields.items()
            if not field.exclude and not is_secret(field.annotation)
        }
    )


def is_secret(annotation: Any) -> bool:
    """Whether a field of this type holds a secret."""
    kind = getattr(annotation, "__origin__", annotation)  # of `Secret[str]`
    if isinstance(kind, type) and issubclass(kind, (Secret, SecretStr, SecretBytes)):
        return True
    return any(is_secret(argument) for argument in getattr(annotation, "__args__", ()))


def names_secret(name: str) -> bool:
    """Whether a field, a dict's key or a header of this name holds a secret.

    Options of filesystems count as a whole: what is secret in them depends on the filesystem.

    Example:
        >>> [names_secret(name) for name in ("hf_token", "X-Api-Key", "storage_options")]
        [True, True, True]
        >>> [names_secret(name) for name in ("eos_token", "max_new_tokens", "primary_key")]
        [False, False, False]
    """
    words = [word.lower() for word in _WORD.findall(name)]
    text = " ".join(words)
    if text == "storage options" or _SECRET_PHRASES.search(text):
        return True
    if any(_SECRET_WORDS.fullmatch(word) for word in words):
        return True
    return words[-1:] == ["token"] and not _TOKENS_OF_MODELS.intersection(words[-2:-1])


def without_secrets(values: Mapping[Any, Any]) -> dict[str, Any]:
    """`values` as JSON-like data, without those under names that say secret, however deep.

    True and False are kept under any name: they say whether, not what.

    Example:
        >>> without_secrets({"hf_token": "x", "headers": {"Authorization": "y", "Accept": "*"}})
        {'headers': {'Accept': '*'}}
    """
    return {
        str(key): _encode_under(str(key), value)
        for key, value in values.items()
        if isinstance(value, bool)
        or not (names_secret(str(key)) or (isinstance(value, str) and _is_token(value)))
    }


def _is_token(text: str) -> bool:
    """Whether a text is a token and nothing else, but for a word such as "Bearer" before it."""
    words = text.split()
    return is_authorization(text) or (0 < len(words) < 3 and bool(TOKENS.fullmatch(words[-1])))


def _encode_under(key: str, value: Any) -> Any:
    """`encode`, for the value of a field or a dict's key."""
    # Names of columns and of a JSON schema's properties are data: a column may well be "token".
    if isinstance(value, Mapping):
        if key in KEYED_BY_COLUMN or (
            key in KEYED_BY_PROPERTY
            and all(isinstance(item, (bool, Mapping)) for item in value.values())
        ):
            return {str(name): encode(item) for name, item in value.items()}
    return encode(value)


_AS_PYDANTIC_DOES = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    re.Pattern,
    uuid.UUID,
)
"""Texts in JSON, of which pydantic makes the same values again."""


def encode(value: Any) -> Any:
    """A field's value as JSON-like data, without secrets.

    What JSON has no form for is written as pydantic reads it: dates and the like as texts, paths
    too, sets as sorted lists. Bytes are `{"_type": "bytes", ...}`, and classes of enumerations
    `{"_type": "enum", ...}` as in distilabel's files.

    Example:
        >>> encode({"when": datetime.date(2024, 1, 2), "tags": {"b", "a"}, "header": b"ab"})
        {'when': '2024-01-02', 'tags': ['a', 'b'], 'header': {'_type': 'bytes', '_base64': 'YWI='}}
    """
    if isinstance(value, Dumpable):
        return value.dump()
    if isinstance(value, (Secret, SecretStr, SecretBytes)):
        return None
    if isinstance(value, type):
        return _encode_class(value)
    if isinstance(value, BaseModel):
        return dump_fields(value)
    if isinstance(value, enum.Enum):
        return encode(value.value)
    if dataclasses.is_dataclass(value):
        return without_secrets(
            {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        )
    if isinstance(value, Mapping):
        return without_secrets(value)
    if isinstance(value, (set, frozenset)):
        return sorted(map(encode, value), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(value, (list, tuple)):
        return _encode_items(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, str):
        return TOKENS.sub(HIDDEN, hide_in_url(value))
    if isinstance(value, (bytes, bytearray)):
        return {"_type": "bytes", "_base64": base64.b64encode(value).decode()}
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if hasattr(value, "unicode_string"):  # pydantic's addresses
        return encode(str(value))
    if isinstance(value, _AS_PYDANTIC_DOES):
        return to_jsonable_python(value)
    if hasattr(value, "tolist"):  # numpy
        return encode(value.tolist())
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"  # a `repr` tells its address, too
    return repr(value)


def _encode_class(value: type) -> Any:
    if issubclass(value, BaseModel):
        return value.model_json_schema()
    if issubclass(value, enum.Enum) and len(value):
        members = {member.name: encode(member.value) for member in value}
        return {
            "_type": "enum",
            "_enum_type": type(next(iter(members.values()))).__name__,
            "_name": value.__name__,
            "_values": members,
        }
    return f"{value.__module__}.{value.__qualname__}"


def _encode_items(items: list[Any] | tuple[Any, ...]) -> list[Any]:
    """A list, without the (name, value) pairs in it, such as headers, that hold a secret."""
    if _is_secret_pair(items):
        return [items[0], HIDDEN]
    return [encode(item) for item in items if not _is_secret_pair(item)]


def _is_secret_pair(item: Any) -> bool:
    if not isinstance(item, (list, tuple)) or len(item) != 2:
        return False
    name, value = item
    return (
        isinstance(name, str)
        and isinstance(value, str)
        and (_is_token(value) if names_secret(name) else bool(TOKENS.fullmatch(value)))
    )
