"""`InferenceEndpointsImageGeneration`: image models at Hugging Face's inference services."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Annotated, Any, ClassVar

from annotated_types import Gt
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from beam_distilabel.errors import EngineError
from beam_distilabel.models.arguments import given_arguments
from beam_distilabel.models.image_generation.remote import RemoteImageGeneration
from beam_distilabel.models.remote.answers import MalformedAnswer
from beam_distilabel.models.remote.hub import HubEndpoint, readable
from beam_distilabel.models.remote.limits import Slot, prompt_tokens


@dataclass(config=ConfigDict(extra="forbid"))
class RequestArguments:
    """What `agenerate` takes besides the input; its docstring says what each one does."""

    negative_prompt: str | None = None
    height: Annotated[int, Gt(0)] | None = None
    width: Annotated[int, Gt(0)] | None = None
    num_inference_steps: Annotated[int, Gt(0)] | None = None
    guidance_scale: float | None = None
    seed: int | None = None


class InferenceEndpointsImageGeneration(RemoteImageGeneration, HubEndpoint):
    """An image model of Hugging Face's inference services.

    One of `model_id` (serverless, by Hugging Face's inference providers), `endpoint_name` (a
    dedicated endpoint, woken where it sleeps) and `base_url` is needed; `base_url` counts for
    nothing beside one of the others. Images are JPEGs, whatever the endpoint gives. Needs Pillow.

    Attributes:
        model_id: the model's name on the Hub.
        endpoint_name: the dedicated endpoint.
        endpoint_namespace: the user or organization that it belongs to; the key's user if None.
        base_url: the address.
        api_key: environment variable `HF_TOKEN`, else the token that `hf auth login` saved; with
            `base_url` only what is given here or in `HF_TOKEN` is sent.
        tokenizer_id: is in distilabel's files, and counts for nothing.
        model_display_name: what the column `model_name` has.
        provider: the inference provider for `model_id`, such as "hf-inference" or "together"; the
            first of the account's settings if None.

    Raises:
        DistilabelUserError: not exactly one of `model_id`, `endpoint_name` and `base_url` is given;
            by `load`, there is no API key.
        EngineError: by `load`, Pillow is missing, or the dedicated endpoint can't be found or isn't
            ready in five minutes; by the first request, the endpoint can't be used.

    Example:
        >>> model = InferenceEndpointsImageGeneration(model_id="black-forest-labs/FLUX.1-schnell")
        >>> model.load()  # doctest: +SKIP
        >>> model.generate_outputs(["a white siamese cat"])  # doctest: +SKIP
        [[{'images': ['/9j/4AAQSkZJRgABAQAAAQABAAD...']}]]
        >>> model.model_name
        'black-forest-labs/FLUX.1-schnell'
    """

    arguments: ClassVar[type] = RequestArguments

    def load(self) -> None:
        try:
            import PIL.Image  # noqa: F401
        except ImportError as error:
            raise EngineError(
                f"{type(self).__name__} needs Pillow ({error}). Install it with "
                "`pip install pillow`."
            ) from error
        super().load()

    async def agenerate(  # type: ignore[override]
        self,
        input: str,
        negative_prompt: str | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        num_generations: int = 1,
        seed: int | None = None,
    ) -> list[dict[str, Any]]:
        """Make images of one prompt; call `load()` first. None isn't sent.

        Args:
            input: what the image is to show.
            negative_prompt: what it is not to show.
            height: in pixels.
            width: in pixels.
            num_inference_steps: of the denoising; more take longer, and usually give better images.
            guidance_scale: how closely the image keeps to the prompt.
            num_generations: how many images; the endpoint is asked once for each.
            seed: of the sampling; the endpoint's choice if None.

        Returns:
            One `{"images": [base64]}` per image.

        Raises:
            GenerationError: there is no image.
            EngineError: no prompt can be answered.
            DistilabelUserError: an argument is wrong.
        """
        arguments = given_arguments(locals())
        return await self._images(input, num_generations, arguments)

    async def image_of(self, prompt: str, arguments: RequestArguments) -> str:
        client = self._client()

        async def send(slot: Slot) -> str:
            picture = await readable(_picture(client, prompt, vars(arguments)))
            return await asyncio.to_thread(_as_jpeg, picture)

        return await self._until_answered(send, prompt_tokens(prompt))


async def _picture(client: Any, prompt: str, arguments: dict[str, Any]) -> Any:
    from PIL import UnidentifiedImageError

    try:
        return await client.text_to_image(prompt, **arguments)
    except UnidentifiedImageError as error:
        raise MalformedAnswer(f"the answer is no picture: {error}") from None


def _as_jpeg(picture: Any) -> str:
    """A picture of Pillow's as a JPEG in base64.

    Raises:
        MalformedAnswer: its data are broken.
    """
    file = io.BytesIO()
    try:
        # The format has no transparency.
        picture.convert("RGB").save(file, format="JPEG")
    except (OSError, SyntaxError) as error:
        raise MalformedAnswer(f"the answer's picture is broken: {error}") from None
    return base64.b64encode(file.getvalue()).decode()
