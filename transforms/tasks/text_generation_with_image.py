"""TextGenerationWithImage: a template filled from the row, and the row's image."""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any, Literal

from pydantic import Field

from beam_distilabel.row import Row
from beam_distilabel.transforms.tasks.text_generation import TextGeneration
from beam_distilabel.typing import ChatType, StepColumns

_SIGNATURES = {b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp", b"\xff\xd8": "jpeg"}
_HEAD = 24


class TextGenerationWithImage(TextGeneration):
    """Asks a model that sees images, with a template filled from the row's columns and an image.

    Attributes:
        image_type: what the column `image` holds: "url", an address that the engine fetches;
            "base64", an encoded file (JPEG, PNG, GIF or WebP); "PIL", an image of PIL, or the
            encoded file as bytes or as `datasets` has it (`{"bytes": ...}`).

    See `TextGeneration` for the other attributes; a row's `system_prompt` isn't used.

    Input columns: those of `columns`, and `image`.
    Output columns: `generation`, `model_name`.

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Blind(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "blind"
        ...     async def agenerate(self, input, num_generations=1):
        ...         text, image = input[-1]["content"]
        ...         return {"generations": [image["image_url"]["url"]] * num_generations}
        >>> task = TextGenerationWithImage(llm=Blind())
        >>> task.load()
        >>> row = {"instruction": "What is it?", "image": "https://example.com/cat.png"}
        >>> next(task.process([row]))[0]["generation"]
        'https://example.com/cat.png'
    """

    image_type: Literal["url", "base64", "PIL"] = Field(
        default="url", description="What the column `image` holds."
    )

    @property
    def inputs(self) -> StepColumns:
        return {**dict.fromkeys(self.columns, True), "image": True}

    def format_input(self, input: Row) -> ChatType:
        """The chat: an optional system message, the filled template and the image."""
        without_system = {name: input[name] for name in input if name != "system_prompt"}
        messages = super().format_input(without_system)
        text = messages[-1]["content"]
        url = image_url(input["image"], self.image_type)
        messages[-1]["content"] = [
            {"type": "text", "text": text},
            {"type": "image_url", "image_url": {"url": url}},
        ]
        return messages


def image_url(image: Any, image_type: Literal["url", "base64", "PIL"]) -> str:
    """Where the image is: its address, or itself as a `data:` URL.

    Raises:
        ValueError: `image` isn't what `image_type` says.

    Example:
        >>> image_url("iVBORw0KGgo=", "base64")
        'data:image/png;base64,iVBORw0KGgo='
    """
    if image_type == "PIL":
        encoded = _encoded(image)
    elif not isinstance(image, str) or not image:
        raise ValueError(
            f"the column 'image' has {type(image).__name__}, expected a text that isn't empty, "
            f"since image_type={image_type!r}"
        )
    elif image_type == "url" or image.startswith("data:"):
        return image
    else:
        encoded = image
    return f"data:image/{_kind(encoded)};base64,{encoded}"


def _encoded(image: Any) -> str:
    file = image.get("bytes") if isinstance(image, dict) else image
    if isinstance(file, bytes):
        return base64.b64encode(file).decode("ascii")
    if not hasattr(image, "save") or not hasattr(image, "convert"):
        raise ValueError(
            f"the column 'image' has {type(image).__name__}, expected an image of PIL, bytes or "
            "{'bytes': ...}, since image_type='PIL'"
        )
    buffer = io.BytesIO()
    # JPEG has neither a palette nor transparency.
    (image if image.mode in ("RGB", "L") else image.convert("RGB")).save(buffer, format="JPEG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _kind(encoded: str) -> str:
    """The type of the encoded file, by its first bytes."""
    try:
        head = base64.b64decode(encoded[:_HEAD], validate=False)
    except (binascii.Error, ValueError):
        raise ValueError("the column 'image' has no base64") from None
    for signature, kind in _SIGNATURES.items():
        if head.startswith(signature):
            return kind
    return "jpeg"
