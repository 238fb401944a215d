"""ImageGeneration: an image for each prompt."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import io
from pathlib import Path
from typing import Any

import pyarrow as pa

from beam_distilabel.errors import ParseError
from beam_distilabel.layout import ARTIFACTS_FOLDER
from beam_distilabel.row import Row
from beam_distilabel.task import Generate, ImageTask
from beam_distilabel.transforms.tasks.answers import text_of
from beam_distilabel.typing import StepColumns


class ImageGeneration(ImageTask):
    """Has an image generation model make an image for each prompt.

    Attributes:
        image_generation_model: the model.
        save_artifacts: whether images are kept as files of the run too, see `save_artifact`; by
            default not. An image that is no base64 of a picture is a failure then.
        image_format: the form of those files, as Pillow names it; "JPEG" by
            default.

    Input columns: `prompt`.
    Output columns: `image`, as the model gives it, usually in base64; `image_path`, the file in the
        run directory, with `save_artifacts`; `model_name`.

    Example:
        >>> from beam_distilabel.models.image_generation import AsyncImageGenerationModel
        >>> class Painter(AsyncImageGenerationModel):
        ...     @property
        ...     def model_name(self): return "painter"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return [{"images": ["iVBORw0="]} for _ in range(num_generations)]
        >>> task = ImageGeneration(image_generation_model=Painter())
        >>> task.load()
        >>> next(task.process([{"prompt": "A red square."}]))[0]["image"]
        'iVBORw0='
    """

    save_artifacts: bool = False
    image_format: str = "JPEG"

    @property
    def inputs(self) -> StepColumns:
        return ["prompt"]

    @property
    def outputs(self) -> StepColumns:
        paths = {"image_path": True} if self.save_artifacts else {}
        return {"image": True, **paths, "model_name": True}

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"image": pa.string(), "image_path": pa.string()})

    def load(self) -> None:
        """Loads the model, and looks for Pillow where files are to be written.

        Raises:
            ImportError: Pillow is missing.
        """
        super().load()
        if self.save_artifacts:
            _pillow()

    def format_input(self, input: Row) -> str:
        """The prompt."""
        return text_of(input, "prompt")

    def format_output(self, output: Any, input: Row | None = None) -> dict[str, Any]:
        """The first image of one answer."""
        images = output.get("images") if isinstance(output, dict) else None
        image = images[0] if isinstance(images, (list, tuple)) and images else None
        if not isinstance(image, str) or not image:
            raise ParseError("the model gave no image")
        if self.save_artifacts:
            _opened(image)
            return {"image": image, "image_path": None}
        return {"image": image}

    async def rollout(self, row: Row, generate: Generate) -> list[Row]:
        """Asks once, and keeps each image as a file where that is wanted."""
        rows = await super().rollout(row, generate)
        if not self.save_artifacts:
            return rows
        return [await asyncio.to_thread(self._with_file, made) for made in rows]

    def _with_file(self, row: Row) -> Row:
        image = row["image"]
        if isinstance(image, list):  # grouped
            return {**row, "image_path": [one and self._keep(one) for one in image]}
        return {**row, "image_path": image and self._keep(image)}

    def _keep(self, image: str) -> str:
        """Save an image under a name of its own, and return the file's path in the run directory.

        Each is an artifact by itself: saving an artifact again replaces it as a whole.
        """
        name = f"image-{hashlib.sha256(image.encode()).hexdigest()[:32]}"
        file = f"image.{self.image_format.lower()}"

        def write(folder: Path) -> None:
            picture = _opened(image)
            if self.image_format.upper() in ("JPEG", "JPG") and picture.mode != "RGB":
                picture = picture.convert("RGB")  # it has no transparency
            picture.save(folder / file, format=self.image_format)

        self.save_artifact(name, write, metadata={"type": "image"})
        return f"{ARTIFACTS_FOLDER}/{self.name}/{name}/{file}"


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "ImageGeneration: save_artifacts=True needs Pillow; install it with `pip install "
            "pillow`."
        ) from error
    return Image


def _opened(image: str) -> Any:
    """The picture in a base64 text, or a data URL.

    Raises:
        ParseError: there is none in it.
    """
    data = image.partition(",")[2] if image.startswith("data:") else image
    try:
        picture = _pillow().open(io.BytesIO(base64.b64decode(data, validate=True)))
        picture.load()
    except ImportError:
        raise
    except (binascii.Error, OSError, ValueError, SyntaxError) as error:
        raise ParseError(f"the image is no base64 of a picture: {error}") from None
    return picture
