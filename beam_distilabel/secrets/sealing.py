"""What a pickle has in place of a secret.

In the process that made the pickle, a sealed secret opens to what it was. Elsewhere it is read
again from where its name says; one without a name doesn't open.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets as standard_secrets
import socket
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from apache_beam.internal.cloudpickle import cloudpickle
from pydantic import Secret, SecretBytes, SecretStr

from beam_distilabel.dumping import names_secret
from beam_distilabel.errors import DistilabelUserError, SecretNotFoundError
from beam_distilabel.secret_texts import remember_secret
from beam_distilabel.secrets.references import (
    HUB_LOGIN,
    NoSecret,
    SecretReference,
    missing,
    read_source,
    source_in,
)

Source = tuple[str, str, str]
"""What stands before a reference, the reference, and what stands after it."""

_PROCESS = standard_secrets.token_hex(16)
_SCHEME = re.compile(r"[A-Za-z]{1,20} ")
"""What stands before a key in a header, such as "Bearer "."""

_SURE_LENGTH = 8
"""A shorter text may be in a variable, or in another text, by chance."""

_values: dict[str, Any] = {}
_keys: dict[str | bytes, str] = {}
_unnamed: ContextVar[list[str] | None] = ContextVar("unnamed", default=None)

SOMEONE = "a secret that code of the pipeline holds"


def source_of(value: str | bytes) -> Source | None:
    """The environment variable that has `value`, or what follows a "Bearer "; None without any.

    Example:
        >>> os.environ["DOC_TOKEN"] = "hf_abcdefgh"
        >>> source_of("Bearer hf_abcdefgh")
        ('Bearer ', 'env:DOC_TOKEN', '')
    """
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    # Names that say so first; of equal ones always the same.
    known = sorted(os.environ.items(), key=lambda item: (not names_secret(item[0]), item[0]))
    for name, secret in known:
        if secret.strip() == text.strip() and (names_secret(name) or len(text) >= _SURE_LENGTH):
            return "", f"env:{name}", ""
    for name, secret in known:
        secret = secret.strip()
        if len(secret) >= _SURE_LENGTH and names_secret(name) and secret in text:
            before, _, after = text.partition(secret)
            # What else stands there may be secret itself.
            if _SCHEME.fullmatch(before) and not after.strip():
                return before, f"env:{name}", ""
    return None


class SealedText:
    """A secret text of an option or a header; what comes out of a pickle is the plain text."""

    def __init__(self, text: str, owner: str) -> None:
        self.text = text
        self.owner = owner

    def __reduce__(self) -> tuple[Any, ...]:
        source = source_in(self.text) or source_of(self.text)
        return open_text, (_PROCESS, _key_of(self.text, source, self.owner), source, self.owner)


class SealedSecret:
    """A `SecretStr` or `SecretBytes` of a known owner; what comes out of a pickle is one too."""

    def __init__(self, secret: SecretStr | SecretBytes | Secret[Any], owner: str) -> None:
        self.secret = secret
        self.owner = owner

    def __reduce__(self) -> tuple[Any, ...]:
        return reduce_secret(self.secret, self.owner)


def reduce_secret(
    secret: SecretStr | SecretBytes | Secret[Any], owner: str = SOMEONE
) -> tuple[Any, ...]:
    """How `secret` is pickled."""
    if isinstance(secret, SecretReference):
        value = secret._secret_value
        key = _key_of(value, ("", secret.source, ""), owner) if value else None
        return open_reference, (_PROCESS, key, secret.source, owner)
    plain = secret.get_secret_value()
    kind = type(secret)
    if isinstance(secret, NoSecret) or plain in ("", b""):
        return kind, (plain,)
    if not isinstance(plain, (str, bytes)):
        return open_secret, (kind, _PROCESS, _key_of_other(plain, owner), None, owner)
    source = source_of(plain)
    return open_secret, (kind, _PROCESS, _key_of(plain, source, owner), source, owner)


def open_reference(process: str, key: str | None, source: str, owner: str) -> SecretReference:
    """A reference again; in another process what it names has to be there."""
    if process == _PROCESS:
        return SecretReference(source, str(_values[key]) if key else None)
    if source != HUB_LOGIN:  # without one, public repositories can still be read
        _read(source, owner)
    return SecretReference(source)


def open_secret(kind: type[Any], process: str, key: str, source: Source | None, owner: str) -> Any:
    """The secret again, in another process by what it is called there."""
    if process == _PROCESS:
        return kind(_values[key])
    if source is not None and source[0] == source[2] == "" and issubclass(kind, SecretStr):
        return open_reference(process, None, source[1], owner)
    text = _text(source, owner)
    return kind(text.encode() if issubclass(kind, SecretBytes) else text)


def open_text(process: str, key: str, source: Source | None, owner: str) -> str:
    """The plain text again."""
    if process == _PROCESS:
        return str(_values[key])  # `load` reads what it names
    return _text(source, owner)


def _text(source: Source | None, owner: str) -> str:
    if source is None:
        raise DistilabelUserError(
            f"{owner} was given as it is, and secrets aren't sent to other processes, such as this "
            f"one on {socket.gethostname()}. {how_to_name()}"
        )
    before, name, after = source
    text = f"{before}{_read(name, owner)}{after}"
    remember_secret(text)
    return text


def _read(source: str, owner: str) -> str:
    found = read_source(source)
    if found is None:
        raise SecretNotFoundError(
            f"{owner}: {missing(source)}, where the workers run; secrets aren't sent to them."
        )
    return found


def how_to_name(variable: str = "MY_SECRET") -> str:
    """What to do about a secret that is given as it is."""
    return (
        "Put it into an environment variable, here and on the workers; it may also be named in its "
        f"place, 'env:{variable}', or a file that the workers have, 'file:/run/secrets/name'."
    )


def _key_of(value: str | bytes, source: Source | None, owner: str) -> str:
    remember_secret(value)
    unnamed = _unnamed.get()
    if source is None and unnamed is not None:
        unnamed.append(owner)
    key = _keys.get(value)
    if key is None:
        # The value first: who finds a key opens it.
        key = standard_secrets.token_hex(16)
        _values[key] = value
        key = _keys.setdefault(value, key)
    return key


def _key_of_other(value: Any, owner: str) -> str:
    """`_key_of`, for secrets that are no text, such as a date."""
    unnamed = _unnamed.get()
    if unnamed is not None:
        unnamed.append(owner)
    key = standard_secrets.token_hex(16)
    _values[key] = value
    return key


def sealed_here() -> list[str]:
    """The secrets that this process has pickled so far, as plain texts."""
    return [text if isinstance(text, str) else text.decode("latin-1") for text in list(_keys)]


@contextlib.contextmanager
def noting_unnamed() -> Iterator[list[str]]:
    """A list of the owners of what is pickled in the `with` block and has no name."""
    owners: list[str] = []
    token = _unnamed.set(owners)
    try:
        yield owners
    finally:
        _unnamed.reset(token)


# What Beam pickles, closures and objects of any kind; other pickles of the process are not ours.
# Kinds of secrets that users derive are found only where every object is asked for its type.
_override = cloudpickle.CloudPickler.reducer_override


def _reducer_override(pickler: Any, value: Any) -> Any:
    if issubclass(type(value), (Secret, SecretStr, SecretBytes)):
        return reduce_secret(value)
    return _override(pickler, value)


cloudpickle.CloudPickler.reducer_override = _reducer_override  # type: ignore[method-assign]
