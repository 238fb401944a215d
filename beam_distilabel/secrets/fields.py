"""Where a Step's or a model's fields hold secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import SecretBytes, SecretStr

from beam_distilabel.dumping import KEYED_BY_COLUMN, KEYED_BY_PROPERTY, names_secret
from beam_distilabel.secrets.references import NoSecret, SecretReference, plain_if_there, source_in

Replace = Callable[[str, Any], Any]
"""(path such as "default_headers.Authorization", the secret) to what stands in its place."""

STORAGE_OPTIONS = "storage_options"
"""Their names say which of them are secret."""

_WAYS = frozenset(("anon", "browser", "cache", "cloud", "google_default"))
"""What gcsfs takes as `token` that is none: where to find one."""


def replace_secrets(fields: Mapping[str, Any], replace: Replace) -> dict[str, Any]:
    """`fields` with every secret replaced: `SecretStr`s, and texts under names that say secret.

    Dicts are searched however deep, and lists in them; other lists are data. What holds no secret
    is the same object as before.

    Example:
        >>> fields = {"api_key": "k", "options": {"headers": {"Authorization": "a", "Accept": "*"}}}
        >>> replace_secrets(fields, lambda path, secret: f"<{path}>")["options"]
        {'headers': {'Authorization': '<options.headers.Authorization>', 'Accept': '*'}}
    """
    return {
        name: _replaced(name, name, value, replace, _is_secret(name))
        if isinstance(value, (str, Mapping, SecretStr, SecretBytes))
        else value
        for name, value in fields.items()
    }


def _is_secret(name: str) -> bool:
    return name != STORAGE_OPTIONS and names_secret(name)


def _replaced(path: str, name: str, value: Any, replace: Replace, secret: bool) -> Any:
    if isinstance(value, (SecretStr, SecretBytes)):
        return value if isinstance(value, NoSecret) or not value else replace(path, value)
    if isinstance(value, str):
        return replace(path, value) if secret and value and value not in _WAYS else value
    if isinstance(value, Mapping):
        # Names of columns and of a JSON schema's properties are data: a column may be "token".
        if name in KEYED_BY_COLUMN:
            return value
        by_property = name in KEYED_BY_PROPERTY and all(
            isinstance(item, (bool, Mapping)) for item in value.values()
        )
        made = {
            key: _replaced(
                f"{path}.{key}",
                "" if by_property else str(key),
                item,
                replace,
                not by_property and (secret or _is_secret(str(key))),
            )
            for key, item in value.items()
        }
        return made if any(made[key] is not value[key] for key in made) else value
    if isinstance(value, (list, tuple)):
        items = [
            _replaced(f"{path}.{i}", "", item, replace, secret) for i, item in enumerate(value)
        ]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else type(value)(items)
    return value


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
