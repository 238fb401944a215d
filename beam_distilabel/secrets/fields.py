"""Where a Step's or a model's fields hold secrets."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from beam_distilabel.dumping import KEYED_BY_COLUMN, KEYED_BY_PROPERTY, names_secret
from beam_distilabel.secret_texts import is_authorization, remember_secret, secrets_in_url
from beam_distilabel.secrets.references import NoSecret, SecretReference, plain_if_there, source_in

Replace = Callable[[str, Any], Any]
"""(path such as "default_headers.Authorization", the secret) to what stands in its place."""

STORAGE_OPTIONS = "storage_options"
"""Their names say which of them are secret."""

SECRETS = (Secret, SecretStr, SecretBytes)
"""pydantic's types of secrets."""

_DATA = frozenset(("data", "dataset", "examples", "rows"))
"""Fields that hold rows, whose columns may have any name."""

_NOTHING = object()

_WAYS = frozenset(("anon", "browser", "cache", "cloud", "google_default"))
"""What gcsfs takes as `token` that is none: where to find one."""


def replace_secrets(fields: Mapping[str, Any], replace: Replace) -> dict[str, Any]:
    """`fields` with every secret replaced.

    Secret are pydantic's `SecretStr`, `SecretBytes` and `Secret[...]`, texts under names that say
    so, "Bearer ..." in a dict, and addresses with a password or a key in them. Dicts are searched
    however deep, with lists, dataclasses and models in them; rows of data are not. What holds no
    secret is the same object as before.

    Example:
        >>> fields = {"api_key": "k", "options": {"headers": {"Authorization": "a", "Accept": "*"}}}
        >>> replace_secrets(fields, lambda path, secret: f"<{path}>")["options"]
        {'headers': {'Authorization': '<options.headers.Authorization>', 'Accept': '*'}}
    """
    search = _Search(replace)
    return {
        name: value if name in _DATA else search.made(name, name, value, _is_secret(name))
        for name, value in fields.items()
    }


def _is_secret(name: str) -> bool:
    return name != STORAGE_OPTIONS and names_secret(name)


class _Search:
    def __init__(self, replace: Replace) -> None:
        self._replace = replace
        self._within: set[int] = set()

    def made(self, path: str, name: str, value: Any, secret: bool) -> Any:
        """`value` with secrets replaced.

        Args:
            path: to it.
            name: that it has; empty where that says nothing.
            value: anything.
            secret: whether a name above says secret.
        """
        if isinstance(value, SECRETS):
            empty = isinstance(value, (SecretStr, SecretBytes)) and not value
            return value if isinstance(value, NoSecret) or empty else self._replace(path, value)
        if isinstance(value, str):
            return self._replace(path, value) if _is_one(path, value, secret) else value
        if not isinstance(value, (Mapping, list, tuple, BaseModel)) and not _is_dataclass(value):
            return value
        if id(value) in self._within:  # it refers to itself
            return value
        self._within.add(id(value))
        try:
            if isinstance(value, Mapping):
                return self._mapping(path, name, value, secret)
            if isinstance(value, (list, tuple)):
                return self._items(path, value, secret)
            return self._object(path, value, secret)
        finally:
            self._within.discard(id(value))

    def _mapping(self, path: str, name: str, value: Mapping[Any, Any], secret: bool) -> Any:
        # Names of columns and of a JSON schema's properties are data: a column may be "token".
        if name in KEYED_BY_COLUMN:
            return value
        by_property = name in KEYED_BY_PROPERTY and all(
            isinstance(item, (bool, Mapping)) for item in value.values()
        )
        made = {
            key: self.made(
                f"{path}.{key}",
                "" if by_property else str(key),
                item,
                not by_property and (secret or _is_secret(str(key))),
            )
            for key, item in value.items()
        }
        return made if any(made[key] is not value[key] for key in made) else value

    def _items(self, path: str, value: list[Any] | tuple[Any, ...], secret: bool) -> Any:
        items = [self.made(f"{path}.{i}", "", item, secret) for i, item in enumerate(value)]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)

    def _object(self, path: str, value: Any, secret: bool) -> Any:
        """A model or a dataclass; those that seal their own secrets are left to that."""
        if getattr(value, "seals_secrets", False):
            return value
        names = (
            list(type(value).model_fields)
            if isinstance(value, BaseModel)
            else [field.name for field in dataclasses.fields(value)]
        )
        made = {
            name: self.made(f"{path}.{name}", name, item, secret or _is_secret(name))
            for name in names
            if (item := getattr(value, name, _NOTHING)) is not _NOTHING
        }
        changed = {name: item for name, item in made.items() if item is not getattr(value, name)}
        if not changed:
            return value
        copied = copy.copy(value)
        for name, item in changed.items():
            object.__setattr__(copied, name, item)  # whatever is frozen or validated
        return copied


def _is_one(path: str, text: str, secret: bool) -> bool:
    if secret:
        return bool(text) and text not in _WAYS
    if "." in path and is_authorization(text):
        return True
    return bool(secrets_in_url(text))


def _is_dataclass(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def remember_secrets(fields: Mapping[str, Any]) -> None:
    """Have messages not repeat the secrets in `fields`; named ones follow when they are read."""
    replace_secrets(fields, _remember)


def _remember(path: str, secret: Any) -> Any:
    if isinstance(secret, str):
        for text in secrets_in_url(secret) or [secret]:
            if source_in(text) is None:
                remember_secret(text)
    elif not isinstance(secret, SecretReference):
        plain = secret.get_secret_value()
        if isinstance(plain, (str, bytes)):
            remember_secret(plain)
    return secret


def covered(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a filesystem whose secrets are `SecretStr`s.

    Example:
        >>> covered({"secret": "s", "anon": False})
        {'secret': SecretStr('**********'), 'anon': False}
    """
    return _each(options, lambda text: text if isinstance(text, SecretStr) else _secret(text))


def uncovered(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a filesystem with secrets as plain text, for the filesystem alone."""
    return _each(
        options,
        lambda secret: plain_if_there(_secret(secret) if isinstance(secret, str) else secret),
    )


def _each(options: Mapping[str, Any], replace: Callable[[Any], Any]) -> dict[str, Any]:
    fields = replace_secrets({STORAGE_OPTIONS: options}, lambda _, secret: replace(secret))
    return dict(fields[STORAGE_OPTIONS])


def _secret(text: str) -> SecretStr:
    source = source_in(text)
    return SecretReference(source[1]) if source and not source[0] else SecretStr(text)


def read_references(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `fields` that are dicts with references in them, with what these name.

    Raises:
        SecretNotFoundError: it isn't there.

    Example:
        >>> import os
        >>> os.environ["DOC_KEY"] = "s3cret"
        >>> read_references({"headers": {"Authorization": "Bearer env:DOC_KEY"}, "model": "m"})
        {'headers': {'Authorization': 'Bearer s3cret'}}
    """

    def read(path: str, secret: Any) -> Any:
        source = source_in(secret) if isinstance(secret, str) else None
        if source is None:
            return secret
        return source[0] + SecretReference(source[1]).get_secret_value() + source[2]

    dicts = {name: value for name, value in fields.items() if isinstance(value, Mapping)}
    read_ones = replace_secrets(dicts, read)
    return {name: value for name, value in read_ones.items() if value is not dicts[name]}
