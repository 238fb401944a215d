"""Chats in the form that this package has them, taken apart for other protocols."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from beam_distilabel.errors import GenerationError

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Image:
    """An image in a message: at an address, or itself.

    Attributes:
        url: where it is; None if it is here.
        media_type: such as "image/png"; None if it is at an address.
        data: its bytes in base64; None if it is at an address.
    """

    url: str | None = None
    media_type: str | None = None
    data: str | None = None


def parts_of(content: Any) -> list[str | Image]:
    """A message's texts and images.

    Args:
        content: a text, or a list of parts (`{"type": "text", "text": ...}`,
            `{"type": "image_url", "image_url": {"url": ...}}`).

    Raises:
        GenerationError: a part is neither; costs the row.

    Example:
        >>> parts_of("Hi")
        ['Hi']
        >>> url = {"url": "data:image/png;base64,aGk="}
        >>> parts_of([{"type": "image_url", "image_url": url}])
        [Image(url=None, media_type='image/png', data='aGk=')]
    """
    if content is None:
        return []
    parts: list[str | Image] = []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            parts.append(part["text"])
        elif isinstance(part, dict) and part.get("type") == "image_url":
            parts.append(_image_of(part.get("image_url")))
        else:
            raise GenerationError(
                f"a message has a part that is neither text nor image: {str(part)[:200]}", "refused"
            )
    return parts


def split_system(chat: list[Any]) -> tuple[str | None, list[Any]]:
    """The text of a chat's system messages, and its other messages.

    For protocols in which the system prompt isn't a message.

    Example:
        >>> split_system([{"role": "system", "content": "Be kind."}])
        ('Be kind.', [])
    """
    system = [
        part
        for message in chat
        if message["role"] in ("system", "developer")
        for part in parts_of(message.get("content"))
        if isinstance(part, str)
    ]
    others = [message for message in chat if message["role"] not in ("system", "developer")]
    return "\n\n".join(system) if system else None, others


def _image_of(value: Any) -> Image:
    url = value.get("url") if isinstance(value, dict) else value
    if not isinstance(url, str):
        raise GenerationError(
            f"a message has an image without `url`: {str(value)[:200]}", "refused"
        )
    match = _DATA_URL.match(url)
    if match is not None:
        return Image(media_type=match.group(1), data=url[match.end() :])
    if not url.startswith(("http://", "https://", "gs://")):
        raise GenerationError(
            f"a message has an image whose `url` is neither an address nor base64 data: "
            f"{url[:100]!r}",
            "refused",
        )
    return Image(url=url)
