"""A model in MLX that answers one prompt after the other."""

from __future__ import annotations

import gc
import secrets
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from beam_distilabel.errors import DistilabelError, EngineError, GenerationError
from beam_distilabel.models.answer_schema import AnswerSchema, answer_schema
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.local.chat import rendered
from beam_distilabel.models.local.constraint import Constraint, Constraints
from beam_distilabel.models.local.outputs import Answer, output_of
from beam_distilabel.models.mlx.arguments import GenerationArguments, parse_arguments
from beam_distilabel.row import seed_from
from beam_distilabel.typing import GenerateOutput

if TYPE_CHECKING:
    from beam_distilabel.models.mlx.llm import MlxLLM

_STEP_ARGUMENTS = (
    "max_kv_size",
    "prompt_cache",
    "prefill_step_size",
    "kv_bits",
    "kv_group_size",
    "quantized_kv_start",
)
_SAMPLER_ARGUMENTS = ("temp", "top_p", "min_p", "min_tokens_to_keep", "top_k")


class MlxBackend:
    """The model and the tokenizer of an `MlxLLM`.

    Args:
        spec: the LLM.

    Raises:
        EngineError: this isn't macOS and has no MLX, or the model can't be loaded.
    """

    batch_size = 1

    def __init__(self, spec: MlxLLM) -> None:
        try:
            import mlx.core  # noqa: F401
            import mlx_lm
        except ImportError as error:
            if sys.platform != "darwin":
                raise EngineError(
                    f"MlxLLM needs Apple's MLX, which is for macOS on Apple silicon; this is "
                    f"{sys.platform} ({error}). Use `vLLM`, `TransformersLLM` or `LlamaCppLLM` "
                    "here."
                ) from error
            raise EngineError(
                f"MlxLLM needs the package `mlx-lm` ({error}). Install it with `pip install "
                "'beam-distilabel[mlx]'`."
            ) from error
        self._spec = spec
        self.description = f"mlx-lm {mlx_lm.__version__}"
        try:
            self._model, self._tokenizer = mlx_lm.load(
                spec.path_or_hf_repo,
                tokenizer_config=dict(spec.tokenizer_config),
                model_config=dict(spec.mlx_model_config),
                adapter_path=spec.adapter_path,
            )
        except Exception as error:
            raise EngineError(
                f"MlxLLM can't load {spec.path_or_hf_repo!r}: {type(error).__name__}: {error}"
            ) from error
        self._constraints: Constraints | None = None

    def close(self) -> None:
        """Free the model's memory."""
        import mlx.core as mx

        del self._model, self._tokenizer
        gc.collect()
        mx.clear_cache()

    def answer(
        self, requests: Sequence[GenerateRequest]
    ) -> Sequence[GenerateOutput | DistilabelError]:
        """Answer requests with equal arguments."""
        arguments = parse_arguments(requests[0].generation_kwargs)
        return [self._answer(request, arguments) for request in requests]

    def _answer(
        self, request: GenerateRequest, arguments: GenerationArguments
    ) -> GenerateOutput | DistilabelError:
        seed = request.seed if request.seed is not None else secrets.randbits(31)
        # Without chance all answers are the same one.
        count = request.num_generations if arguments.temp > 0 else 1
        try:
            prompt, structure = (
                request.input if isinstance(request.input, tuple) else (request.input, None)
            )
            schema = answer_schema(structure or arguments.structured_output)
            text, special = rendered(self._spec, self._tokenizer, prompt)
            tokens = self._tokenizer.encode(text, add_special_tokens=special)
            answers = [
                self._generated(tokens, arguments, seed_from(seed, nth), schema)
                for nth in range(count)
            ]
        except DistilabelError as error:
            return error
        except Exception as error:
            return GenerationError(f"{type(error).__name__}: {error}")
        return output_of(answers * (request.num_generations // count), len(tokens), schema)

    def _generated(
        self,
        tokens: list[int],
        arguments: GenerationArguments,
        seed: int,
        schema: AnswerSchema | None,
    ) -> Answer:
        import mlx.core as mx
        from mlx_lm import stream_generate
        from mlx_lm.sample_utils import make_sampler

        mx.random.seed(seed)
        logits_processors = list(arguments.logits_processors or ())
        if schema is not None:
            logits_processors.append(_Structure(self._constraint(schema), len(tokens)))
        settings = {name: getattr(arguments, name) for name in _STEP_ARGUMENTS}
        if arguments.prompt_progress_callback is not None:
            settings["prompt_progress_callback"] = arguments.prompt_progress_callback
        text, count, reason = "", 0, "length"
        for response in stream_generate(
            self._model,
            self._tokenizer,
            tokens,
            max_tokens=arguments.max_tokens,
            sampler=make_sampler(**{name: getattr(arguments, name) for name in _SAMPLER_ARGUMENTS}),
            logits_processors=logits_processors or None,
            **settings,
        ):
            text += response.text
            count = response.generation_tokens
            reason = response.finish_reason or reason
        return Answer(text, count, reason)

    def _constraint(self, schema: AnswerSchema) -> Constraint:
        if self._constraints is None:
            self._constraints = Constraints("MlxLLM", "mlx", self._known)
        return self._constraints.constraint(schema.structure)

    def _known(self) -> Any:
        from llguidance.hf import from_tokenizer

        return from_tokenizer(
            self._tokenizer._tokenizer, eos_token=sorted(self._tokenizer.eos_token_ids)
        )


class _Structure:
    """Leaves the tokens that the structure of an answer allows; a logits processor of MLX.

    Args:
        constraint: of the answer.
        prompt_tokens: how many tokens aren't the answer's.
    """

    def __init__(self, constraint: Constraint, prompt_tokens: int) -> None:
        self._constraint = constraint
        self._seen = prompt_tokens

    def __call__(self, tokens: Any, logits: Any) -> Any:
        import mlx.core as mx
        import numpy as np

        for token in tokens[self._seen :].tolist():
            self._constraint.accept(token)
        self._seen = max(self._seen, tokens.shape[0])
        flags = np.zeros(logits.shape[-1], dtype=bool)
        allowed = np.frombuffer(self._constraint.allowed(), dtype=np.uint8)[: len(flags)]
        flags[: len(allowed)] = allowed != 0
        return mx.where(mx.array(flags), logits, -float("inf"))
