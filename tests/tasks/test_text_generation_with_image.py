"""TextGenerationWithImage: the messages that reach the LLM."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from beam_distilabel.transforms.tasks.text_generation_with_image import TextGenerationWithImage
from tests.fakes import FakeLLM, new_name, run_with_failures

URL = "https://example.com/cat.png"


def file_of(kind: str, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (4, 3), 1).save(buffer, format=kind)
    return buffer.getvalue()


def write(**fields: Any) -> TextGenerationWithImage:
    return TextGenerationWithImage(name="write", llm=FakeLLM(tag=new_name()), **fields)


def sent(image: Any, **fields: Any) -> str:
    """The URL that is sent for `image`."""
    (message,) = write(**fields).format_input({"instruction": "What?", "image": image})
    text, part = message["content"]
    assert message["role"] == "user" and text == {"type": "text", "text": "What?"}
    assert part["type"] == "image_url"
    return str(part["image_url"]["url"])


def image_in(url: str) -> Image.Image:
    head, encoded = url.split(",")
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert head == f"data:image/{str(image.format).lower()};base64"
    return image


def test_an_address_is_passed_on() -> None:
    assert sent(URL) == URL


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_files(kind: str) -> None:
    """Whatever type of file it is, the URL says so."""
    file = file_of(kind)
    encoded = base64.b64encode(file).decode()
    urls = {
        sent(encoded, image_type="base64"),
        sent(sent(encoded, image_type="base64"), image_type="base64"),
        sent(file, image_type="PIL"),
        sent({"bytes": file, "path": None}, image_type="PIL"),
    }
    (url,) = urls
    assert image_in(url).size == (4, 3)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "LA", "1"])
def test_images_of_pil(mode: str) -> None:
    assert image_in(sent(Image.new(mode, (4, 3)), image_type="PIL")).format == "JPEG"


def test_prompts() -> None:
    step = write(system_prompt="Look.", template="{{ a }}?", columns=["a"])
    system, user = step.format_input({"a": "Who", "image": URL, "system_prompt": "not used"})
    assert system == {"role": "system", "content": "Look."}
    assert user["content"][0]["text"] == "Who?"
    assert step.inputs == {"a": True, "image": True}


@pytest.mark.parametrize(
    ("image_type", "image", "message"),
    [
        ("url", None, "NoneType.*image_type='url'"),
        ("url", b"x", "bytes"),
        ("base64", "", "isn't empty"),
        ("base64", "a", "no base64"),
        ("PIL", "text", "an image of PIL"),
        ("PIL", {"bytes": None}, "an image of PIL"),
    ],
)
def test_what_is_no_image(image_type: str, image: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sent(image, image_type=image_type)


def test_a_row_without_an_image_fails_alone() -> None:
    rows = [{"instruction": "a", "image": URL}, {"instruction": "b", "image": None}]
    done, failures = run_with_failures(rows, write())
    assert len(done) == 2 and [failure.kind for failure in failures] == ["render"]
