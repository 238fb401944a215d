"""`OpenAIImageGeneration`: image models behind endpoints that speak OpenAI's protocol."""

from __future__ import annotations

import asyncio
import base64
import binascii
import uuid
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from beam_distilabel.fetching import FetchError, fetch, origin_of
from beam_distilabel.models.arguments import given_arguments
from beam_distilabel.models.image_generation.remote import RemoteImageGeneration
from beam_distilabel.models.openai.endpoint import OpenAIEndpoint
from beam_distilabel.models.remote.answers import MalformedAnswer
from beam_distilabel.models.remote.errors import took_too_long
from beam_distilabel.models.remote.limits import Slot, endpoint, prompt_tokens
from beam_distilabel.models.remote.retries import Trouble, send_until_answered

MAX_IMAGE_BYTES = 50_000_000


@dataclass(config=ConfigDict(extra="forbid"))
class RequestArguments:
    """What `agenerate` takes besides the input; its docstring says what each one does."""

    quality: str | None = "standard"
    response_format: Literal["url", "b64_json"] | None = "url"
    size: str | None = None
    style: Literal["vivid", "natural"] | None = None


class OpenAIImageGeneration(RemoteImageGeneration, OpenAIEndpoint):
    """An image model of OpenAI, or of `base_url`, an endpoint that speaks its protocol.

    An image that comes as an address is fetched from there: at most 50 MB, by https where the
    endpoint is asked by https, without a key, and tried again as requests are; another try fetches
    the same image again and has no other one made.

    Attributes:
        model: the model's name at the endpoint, such as "dall-e-3".
        base_url: the endpoint, up to and with `/v1`; environment variable `OPENAI_BASE_URL`, else
            OpenAI's own.
        api_key: environment variable `OPENAI_API_KEY`; in no dump, log or message.
        default_headers: headers of every request. Those with names such as `Authorization` or
            `X-Api-Key` are left out of dumps, as the API key is.

    Raises:
        DistilabelUserError: by `load`, there is no API key.
        EngineError: by `load`, the package `openai` is missing; by the first request, the endpoint
            can't be used.

    Example:
        >>> model = OpenAIImageGeneration(model="dall-e-3", api_key="sk-...")
        >>> model.load()  # doctest: +SKIP
        >>> model.generate_outputs(["a white siamese cat"], size="1024x1024")  # doctest: +SKIP
        [[{'images': ['iVBORw0KGgoAAAANSUhEUgA...']}]]
        >>> "api_key" in model.dump()
        False
    """

    arguments: ClassVar[type] = RequestArguments

    async def agenerate(  # type: ignore[override]
        self,
        input: str,
        num_generations: int = 1,
        quality: str | None = "standard",
        response_format: Literal["url", "b64_json"] | None = "url",
        size: str | None = None,
        style: Literal["vivid", "natural"] | None = None,
    ) -> list[dict[str, Any]]:
        """Make images of one prompt; call `load()` first. None isn't sent.

        Args:
            input: what the image is to show.
            num_generations: how many images; the endpoint is asked once for each.
            quality: "standard" or "hd" for dall-e-3; other models have other ones.
            response_format: how the endpoint gives images: "url" is fetched from there, "b64_json"
                is in the answer. None for models that don't take it, such as gpt-image-1.
            size: such as "1024x1024"; the model's default if None.
            style: "vivid" or "natural", for dall-e-3.

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
        given = {name: value for name, value in vars(arguments).items() if value is not None}
        # The same for all attempts: a proxy that knows it answers a lost answer's request again
        # without asking, and charging for, another one.
        headers = {"Idempotency-Key": uuid.uuid4().hex}

        async def send(slot: Slot) -> Any:
            answer = await client.images.generate(
                model=self.model, prompt=prompt, n=1, **given, extra_headers=headers
            )
            return _first_image(answer)

        image = await self._until_answered(send, prompt_tokens(prompt))
        return image.b64_json or await self._fetched(image.url)

    async def _fetched(self, url: str) -> str:
        """The image at an address, in base64."""

        async def attempt(slot: Slot) -> str:
            if not url.startswith("https:") and self._url().startswith("https:"):
                raise FetchError("the endpoint gave an image's address that isn't https.")
            # Not the Hub's token, wherever the address leads.
            found = await asyncio.to_thread(fetch, url, token="", max_bytes=MAX_IMAGE_BYTES)
            if not found.content:
                raise FetchError("the image that the endpoint gave an address of is empty.")
            return base64.b64encode(found.content).decode()

        scheme, host, port = origin_of(url)
        server = endpoint(f"{scheme}://{host}:{port}", "")
        return await send_until_answered(attempt, _explain_fetching, server, 0, self._policy())


def _first_image(answer: Any) -> Any:
    """The image in an answer.

    Raises:
        MalformedAnswer: there is none.
    """
    images = getattr(answer, "data", None)
    image = images[0] if isinstance(images, list) and images else None
    text, url = getattr(image, "b64_json", None), getattr(image, "url", None)
    if isinstance(text, str) and text:
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise MalformedAnswer(f"the answer's image is no base64: {error}") from None
    elif not (isinstance(url, str) and url):
        raise MalformedAnswer("the answer has no image")
    return image


def _explain_fetching(error: Exception) -> Trouble:
    """What an error of one attempt to fetch an image means."""
    if isinstance(error, TimeoutError):
        return took_too_long(str(error))
    again = isinstance(error, FetchError) and error.may_pass
    return Trouble("engine", f"the image can't be fetched: {error}", again=again)
