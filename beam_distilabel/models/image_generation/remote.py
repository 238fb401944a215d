"""`RemoteImageGeneration`: image models behind endpoints."""

from __future__ import annotations

from typing import Any, ClassVar

from beam_distilabel.errors import DistilabelUserError, GenerationError
from beam_distilabel.models.arguments import adapter_of, checked_arguments
from beam_distilabel.models.engine import gather_or_cancel
from beam_distilabel.models.image_generation.base import AsyncImageGenerationModel
from beam_distilabel.models.remote.model import RemoteModel
from beam_distilabel.models.user_engine import agenerate_many, failed_output, run_coroutine


class RemoteImageGeneration(RemoteModel, AsyncImageGenerationModel):
    """An image model that is asked once per image; see `RemoteModel` for limits, retries and
    failures.

    Subclasses define `arguments`, `image_of` and an `agenerate` that calls `_images`, besides what
    `RemoteModel` asks for.

    Attributes:
        structured_output: is in distilabel's files; images have no structure, so it has to be None.

    Example:
        >>> from beam_distilabel.models.image_generation import OpenAIImageGeneration
        >>> isinstance(OpenAIImageGeneration(model="dall-e-3"), RemoteImageGeneration)
        True
    """

    arguments: ClassVar[type]
    """A pydantic dataclass: what `agenerate` takes besides the input."""

    _num_generations_param_supported: ClassVar[bool] = False

    def _check_fields(self) -> None:
        super()._check_fields()
        if self.structured_output is not None:
            raise DistilabelUserError(
                f"{type(self).__name__}: structured_output is {self.structured_output!r}; images "
                "have no structure. Leave it None."
            )

    async def image_of(self, prompt: str, arguments: Any) -> str:
        """One image of a prompt, in base64.

        Args:
            prompt: what it is to show.
            arguments: an object of the class `arguments`.

        Raises:
            GenerationError: there is none.
            EngineError: no prompt can be answered.
        """
        raise NotImplementedError

    def check_arguments(self, arguments: dict[str, Any]) -> Any:
        """`arguments` as an object of the class `arguments`.

        Raises:
            DistilabelUserError: names the argument, its value and what is expected.
        """
        kind = type(self).arguments
        return checked_arguments(adapter_of(kind), kind, arguments, type(self).__name__)

    def check_generation_kwargs(self) -> None:
        super().check_generation_kwargs()
        self.check_arguments(self.get_generation_kwargs())

    async def _images(
        self, prompt: Any, num_generations: int, arguments: dict[str, Any]
    ) -> list[dict[str, Any]]:
        parsed = self.check_arguments(arguments)
        if not isinstance(prompt, str):
            raise GenerationError(
                f"{type(self).__name__} takes texts; got {type(prompt).__name__!r}.", "refused"
            )
        images = await gather_or_cancel(
            self.image_of(prompt, parsed) for _ in range(num_generations)
        )
        return [{"images": [image]} for image in images]

    def generate(
        self, inputs: list[str], num_generations: int = 1, **kwargs: Any
    ) -> list[list[dict[str, Any]]]:
        """Make images of every prompt; for use outside of a pipeline, after `load()`.

        An image that can't be had is `{"images": [], "failure": why}`: what the others cost isn't
        lost.

        Raises:
            EngineError: no prompt can be answered.
            DistilabelUserError: an argument is wrong.
        """

        async def answer_one(one: str) -> list[dict[str, Any]]:
            output: Any  # an image's dict is where an LLM has a text
            try:
                output = await agenerate_many(self, one, num_generations, kwargs)
            except GenerationError as error:
                output = failed_output(error, num_generations)
            failures = output.get("failures") or [None] * num_generations
            return [
                {"images": [], "failure": failure} if failure else made
                for made, failure in zip(output["generations"], failures, strict=True)
            ]

        async def answer_all() -> list[list[dict[str, Any]]]:
            try:
                return await gather_or_cancel(map(answer_one, inputs))
            finally:
                await self.aclose()

        return run_coroutine(answer_all)
