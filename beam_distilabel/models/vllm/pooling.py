"""vLLM's pooling engine inside this process: texts in, vectors out."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from beam_distilabel.errors import EngineError, GenerationError, PromptTooLongError
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.vllm.embedded import EmbeddedEngine
from beam_distilabel.typing import GenerateOutput

_LONG_TEXT = 100_000
"""Characters from which on a text is tokenized in a thread, not on the engine's loop."""


class PoolingEngine(EmbeddedEngine):
    """Answers texts with vectors, batched continuously.

    Args:
        spec: the `vLLMEmbeddings` whose fields say which engine.
    """

    async def start(self) -> None:
        await super().start()
        tasks = await self._llm.get_supported_tasks()
        if "embed" not in tasks:
            raise EngineError(
                f"The model {self._spec.model!r} gives no vector per text, only "
                f"{', '.join(tasks)}; `extra_kwargs={{'convert': 'embed'}}` may make it do so."
            )

    def _prepare(self, config: Any) -> None:
        # Without a limit here: vLLM would cut the tokens at it, and the true length be lost.
        self._tokens = dataclasses.replace(
            self._llm.renderer.default_cmpl_tok_params, max_total_tokens=None, max_output_tokens=0
        )

    async def _answer(self, llm: Any, request: GenerateRequest) -> GenerateOutput:
        from vllm import PoolingParams

        text = request.input
        if not isinstance(text, str):
            raise GenerationError(
                f"only texts can be embedded, not {type(text).__name__}.", "render"
            )
        engine_input = await self._rendered(text)
        length = len(engine_input["prompt_token_ids"])
        if length > self._max_model_len:
            raise PromptTooLongError(
                f"the text has {length} tokens, the model's context holds {self._max_model_len}."
            )
        self._requests += 1
        params = PoolingParams(task="embed")
        name = f"{self._incarnation}-{self._requests}"
        (result,) = [output async for output in llm.encode(engine_input, params, name)]
        vector: Any = result.outputs.data.tolist()
        return {
            "generations": [vector],
            "statistics": {"input_tokens": [length], "output_tokens": [0]},
        }

    async def _rendered(self, text: str) -> Any:
        try:
            if len(text) > _LONG_TEXT:
                return await asyncio.to_thread(self._render, text)
            return self._render(text)
        except Exception as error:
            raise GenerationError(
                f"the text could not be tokenized: {type(error).__name__}: {error}", "render"
            ) from error

    def _render(self, text: str) -> Any:
        return self._llm.renderer.render_cmpl([{"prompt": text}], self._tokens)[0]
