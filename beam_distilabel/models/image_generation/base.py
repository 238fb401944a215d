"""Base classes of image generation models."""

from __future__ import annotations

import asyncio
from typing import Any

from beam_distilabel.errors import DistilabelNotImplementedError
from beam_distilabel.models.base import Model
from beam_distilabel.models.engine import Engine
from beam_distilabel.models.user_engine import AsyncLLMEngine, run_coroutine


class ImageGenerationModel(Model):
    """A model that makes images of a prompt; subclasses define `model_name` and `generate`."""

    def generate(
        self, inputs: list[str], num_generations: int = 1, **kwargs: Any
    ) -> list[list[dict[str, Any]]]:
        """For every prompt, one dict per generation (usually `{"images": [base64, ...]}`)."""
        raise DistilabelNotImplementedError(f"{type(self).__name__} has to define `generate`.")

    def generate_outputs(
        self, inputs: list[str], num_generations: int = 1, **kwargs: Any
    ) -> list[list[dict[str, Any]]]:
        """`generate`, for use outside of a pipeline; call `load()` first."""
        return self.generate(inputs=inputs, num_generations=num_generations, **kwargs)


class AsyncImageGenerationModel(ImageGenerationModel):
    """An image model that answers one prompt at a time; subclasses define `agenerate`."""

    async def agenerate(
        self, input: str, num_generations: int = 1, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """One dict per generation of one prompt."""
        raise DistilabelNotImplementedError(f"{type(self).__name__} has to define `agenerate`.")

    def _generation_function(self) -> Any:
        return self.agenerate

    def make_engine(self) -> Engine:
        return AsyncLLMEngine(self)

    def generate(
        self, inputs: list[str], num_generations: int = 1, **kwargs: Any
    ) -> list[list[dict[str, Any]]]:
        """Answer every prompt, all at once."""

        async def answer_all() -> list[list[dict[str, Any]]]:
            return await asyncio.gather(
                *(
                    self.agenerate(input=one, num_generations=num_generations, **kwargs)
                    for one in inputs
                )
            )

        return run_coroutine(answer_all)
