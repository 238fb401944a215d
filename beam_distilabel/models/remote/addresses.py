"""Addresses without secrets: they are dumped, logged and shown."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from beam_distilabel.dumping import names_secret
from beam_distilabel.errors import DistilabelUserError


def check_query(url: str, field: str, whose: str) -> None:
    """Raise where an address has a key in its query.

    Args:
        url: the address.
        field: that has it, for the message.
        whose: the class, for the message.

    Raises:
        DistilabelUserError: names the parameter.

    Example:
        >>> check_query("http://localhost/v1?api-version=2", "base_url", "OpenAILLM")
    """
    for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if names_secret(name) or name.lower() in ("key", "sig"):
            raise DistilabelUserError(
                f"{whose}: {field} has {name!r} in its query, which would be dumped and logged "
                "with it; give a key as `api_key`, and anything else as a header where the class "
                "has `default_headers`."
            )
