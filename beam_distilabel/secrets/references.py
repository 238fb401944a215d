"""Secrets by name: the environment variable or the file that has one."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from beam_distilabel.errors import DistilabelUserError, SecretNotFoundError
from beam_distilabel.secret_texts import TOKENS, remember_secret

HUB_LOGIN = "hub:login"
"""What `huggingface_hub` finds: `HF_TOKEN`, or what `hf auth login` has saved."""

_SOURCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:\S(?:.*\S)?")
_WRONG = re.compile(r"(?:env|file):")
_IN_TEXT = re.compile(rf"(?P<before>(?:[A-Za-z]+ )?)(?P<source>{_SOURCE.pattern})")


class SecretReference(SecretStr):
    """A secret that is named: it is read where and when it is needed, and never sent.

    Wherever this package takes a secret, the text alone means the same: `api_key="env:MY_KEY"`,
    also in a pipeline file and with `--param`.

    Args:
        source: "env:NAME" for an environment variable, "file:PATH" for a file, such as a secret
            that Kubernetes mounts. A line's end at the end is not part of it.
        value: what it is in this process, where that is known; it is never pickled.

    Raises:
        DistilabelUserError: `source` isn't of that form.

    Example:
        >>> import os
        >>> os.environ["DOC_KEY"] = "s3cret"
        >>> key = SecretReference("env:DOC_KEY")
        >>> key, key.get_secret_value()
        (SecretReference('env:DOC_KEY'), 's3cret')
    """

    def __init__(self, source: str, value: str | None = None) -> None:
        if source != HUB_LOGIN and (
            not _SOURCE.fullmatch(source) or TOKENS.fullmatch(source.partition(":")[2])
        ):
            # What stands there may be the secret itself.
            remember_secret(source.partition(":")[2])
            raise DistilabelUserError(
                "a text that begins with 'env:' or 'file:' and names no secret: write 'env:NAME' "
                "for an environment variable, or 'file:PATH' for a file that has it."
            )
        super().__init__(value or "")
        remember_secret(value)
        self.source = source

    def find(self) -> str | None:
        """The secret, None where it is missing."""
        return self._secret_value or read_source(self.source)

    def get_secret_value(self) -> str:
        """The secret.

        Raises:
            SecretNotFoundError: it isn't there.
        """
        found = self.find()
        if found is None:
            raise SecretNotFoundError(f"{missing(self.source)}.")
        return found

    def __len__(self) -> int:
        return len(self.find() or self.source)  # never 0: it is meant to be there

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SecretReference) and self.source == other.source:
            return True
        found = self.find()
        if found is None or not isinstance(other, SecretStr):
            return False
        return found == (other.find() if isinstance(other, SecretReference) else _plain(other))

    def __hash__(self) -> int:
        return hash(self.find() or self.source)

    def _display(self) -> str:
        return self.source

    def __reduce__(self) -> tuple[Any, ...]:
        from beam_distilabel.secrets.sealing import reduce_secret

        return reduce_secret(self)


class NoSecret(SecretStr):
    """What stands where a key is expected and none is needed; it is sent as it is."""


def as_reference(value: Any) -> Any:
    """`value`, or what it names where it is a text such as "env:NAME".

    Raises:
        DistilabelUserError: it begins so and isn't of that form.

    Example:
        >>> as_reference("env:MY_KEY"), as_reference("sk-1")
        (SecretReference('env:MY_KEY'), 'sk-1')
    """
    if type(value) is SecretStr:
        return as_reference(value.get_secret_value()) if _WRONG.match(_plain(value)) else value
    if isinstance(value, str) and _WRONG.match(value):
        return SecretReference(value)
    return value


def source_in(text: str) -> tuple[str, str, str] | None:
    """What stands before, in and after the reference in a header's or an option's text.

    Example:
        >>> source_in("Bearer env:MY_KEY"), source_in("Bearer sk-1")
        (('Bearer ', 'env:MY_KEY', ''), None)
    """
    match = _IN_TEXT.fullmatch(text)
    return (match["before"], match["source"], "") if match else None


def read_source(source: str) -> str | None:
    """The secret that `source` names, None where there is none here."""
    found = _read(source)
    remember_secret(found)
    return found


def _read(source: str) -> str | None:
    kind, _, name = source.partition(":")
    if source == HUB_LOGIN:
        import huggingface_hub

        return huggingface_hub.get_token()
    if kind == "env":
        return (os.getenv(name) or "").rstrip("\r\n") or None
    try:
        return Path(name).read_text(encoding="utf-8").rstrip("\r\n") or None
    except (OSError, UnicodeDecodeError):
        return None


def missing(source: str) -> str:
    """What is missing where, for messages."""
    kind, _, name = source.partition(":")
    host = socket.gethostname()
    if source == HUB_LOGIN:
        return f"there is no token of the Hugging Face Hub on {host}: set HF_TOKEN there"
    if kind == "env":
        return f"the environment variable {name} is not set on {host}: set it there"
    return f"the file {name} is not on {host}, is empty or can't be read: put it there"


def secret_from(variable: str) -> SecretStr | None:
    """The value of an environment variable, None if it is empty."""
    value = os.getenv(variable)
    return SecretReference(f"env:{variable}", value) if value else None


def hub_login() -> SecretStr | None:
    """The token in `HF_TOKEN`, None if it is empty; a worker uses whatever login it has."""
    value = os.getenv("HF_TOKEN")
    return SecretReference(HUB_LOGIN, value) if value else None


def plain_if_there(secret: SecretStr | None) -> str | None:
    """`secret` as text; None for a login of the Hub that a worker doesn't have.

    What is public is read without one.
    """
    if isinstance(secret, SecretReference) and secret.source == HUB_LOGIN:
        return secret.find()
    return secret.get_secret_value() if secret else None


def _plain(secret: SecretStr) -> str:
    return SecretStr.get_secret_value(secret)
