"""A GGUF model in llama.cpp that answers one prompt after the other."""

from __future__ import annotations

import gc
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from beam_distilabel.errors import (
    DistilabelError,
    DistilabelUserError,
    EngineError,
    GenerationError,
    PromptTooLongError,
)
from beam_distilabel.models.answer_schema import AnswerSchema, answer_schema
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.llamacpp.arguments import GenerationArguments, parse_arguments
from beam_distilabel.models.local.chat import load_tokenizer, rendered
from beam_distilabel.models.local.constraint import Constraint, Constraints
from beam_distilabel.models.openai.answers import output_of
from beam_distilabel.row import seed_from
from beam_distilabel.typing import GenerateOutput

if TYPE_CHECKING:
    from beam_distilabel.models.llamacpp.llm import LlamaCppLLM

RANDOM_SEED = 4294967295
"""llama.cpp's name for a seed that is drawn."""

_TOO_LONG = "exceed context window"


class LlamaCppBackend:
    """The model of a `LlamaCppLLM`.

    Args:
        spec: the LLM.

    Raises:
        EngineError: it can't be loaded.
        DistilabelUserError: `model_path` is missing.
    """

    batch_size = 1

    def __init__(self, spec: LlamaCppLLM) -> None:
        try:
            import llama_cpp
        except ImportError as error:
            raise EngineError(
                f"LlamaCppLLM needs the package `llama-cpp-python` ({error}), which is compiled "
                "when it is installed. Install it with `pip install 'beam-distilabel[llama-cpp]'`."
            ) from error
        if spec.model_path is None:
            raise DistilabelUserError(
                "LlamaCppLLM has no `model_path`: give the path of a GGUF file, also as a runtime "
                "parameter."
            )
        self._spec = spec
        self.description = f"llama.cpp (llama-cpp-python {llama_cpp.__version__})"
        self._random = random.Random(spec.seed if spec.seed != RANDOM_SEED else None)
        self._tokenizer = None
        self._constraints: Constraints | None = None
        if spec.tokenizer_id is not None:
            self._tokenizer = load_tokenizer("LlamaCppLLM", spec.tokenizer_id)
        try:
            self._model = llama_cpp.Llama(
                **{
                    "model_path": str(spec.model_path),
                    "seed": spec.seed,
                    "n_ctx": spec.n_ctx,
                    "n_batch": spec.n_batch,
                    "chat_format": spec.chat_format,
                    "n_gpu_layers": spec.n_gpu_layers,
                    "verbose": bool(spec.verbose),
                    **(spec.extra_kwargs or {}),
                }
            )
        except Exception as error:
            raise EngineError(
                f"LlamaCppLLM can't load {str(spec.model_path)!r}: {type(error).__name__}: {error}"
            ) from error

    def close(self) -> None:
        """Free the model's memory."""
        self._model.close()
        del self._model
        gc.collect()

    def answer(
        self, requests: Sequence[GenerateRequest]
    ) -> Sequence[GenerateOutput | DistilabelError]:
        """Answer requests with equal arguments."""
        arguments = parse_arguments(requests[0].generation_kwargs)
        return [self._answer(request, arguments) for request in requests]

    def _answer(
        self, request: GenerateRequest, arguments: GenerationArguments
    ) -> GenerateOutput | DistilabelError:
        seed = request.seed if request.seed is not None else self._random.getrandbits(31)
        try:
            prompt, structure = (
                request.input if isinstance(request.input, tuple) else (request.input, None)
            )
            schema = answer_schema(structure or arguments.structured_output)
            answers = [
                self._completion(prompt, arguments, seed_from(seed, nth), schema)
                for nth in range(request.num_generations)
            ]
        except DistilabelError as error:
            return error
        return output_of(answers, request.num_generations, schema)

    def _completion(
        self,
        prompt: Any,
        arguments: GenerationArguments,
        seed: int,
        schema: AnswerSchema | None,
    ) -> dict[str, Any]:
        """One answer, in the form of OpenAI's protocol."""
        structure = _Structure(self._constraint(schema)) if schema is not None else None
        settings = {
            "max_tokens": arguments.max_new_tokens,
            "frequency_penalty": arguments.frequency_penalty,
            "presence_penalty": arguments.presence_penalty,
            "temperature": arguments.temperature,
            "top_p": arguments.top_p,
            "seed": seed,
            **(arguments.extra_generation_kwargs or {}),
        }
        if structure is not None:
            settings["logits_processor"] = [structure]
        answer = self._asked(prompt, settings)
        if structure is not None and structure.error is not None:
            raise structure.error
        return answer

    def _asked(self, prompt: Any, settings: dict[str, Any]) -> dict[str, Any]:
        try:
            if isinstance(prompt, str) or self._tokenizer is not None:
                text, special = rendered(self._spec, self._tokenizer, prompt)
                # As tokens: given a text it would add its own BOS to that of the template.
                tokens = self._model.tokenize(
                    text.encode("utf-8"), add_bos=special, special=not isinstance(prompt, str)
                )
                return dict(self._model.create_completion(prompt=tokens, **settings))
            return dict(self._model.create_chat_completion(messages=list(prompt), **settings))
        except DistilabelError:
            raise
        except TypeError as error:
            raise DistilabelUserError(
                f"LlamaCppLLM's extra_generation_kwargs are wrong: {error}"
            ) from error
        except ValueError as error:
            if _TOO_LONG in str(error):
                raise PromptTooLongError(
                    f"{error}; a longer one is set by `LlamaCppLLM(n_ctx=...)`."
                ) from error
            raise GenerationError(f"{type(error).__name__}: {error}") from error
        except Exception as error:
            raise GenerationError(f"{type(error).__name__}: {error}") from error

    def _constraint(self, schema: AnswerSchema) -> Constraint:
        if self._constraints is None:
            self._constraints = Constraints("LlamaCppLLM", "llama-cpp", self._known)
        return self._constraints.constraint(schema.structure)

    def _known(self) -> Any:
        import llama_cpp
        from llguidance.llamacpp import lltokenizer_from_vocab

        vocab = self._model._model.vocab
        ends = [
            token
            for token in range(self._model.n_vocab())
            if llama_cpp.llama_vocab_is_eog(vocab, token)
        ]
        return lltokenizer_from_vocab(vocab, eos_token=ends)


class _Structure:
    """Leaves the tokens that the structure of an answer allows; a logits processor.

    llama.cpp calls it, and drops what it raises: `error` has that.
    """

    def __init__(self, constraint: Constraint) -> None:
        self._constraint = constraint
        self._seen: int | None = None
        self.error: Exception | None = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import numpy as np

        if self.error is not None:
            return scores
        try:
            for token in input_ids[self._seen :] if self._seen is not None else ():
                self._constraint.accept(int(token))
            self._seen = len(input_ids)
            allowed = np.frombuffer(self._constraint.allowed(), dtype=np.uint8)
            scores[allowed[: len(scores)] == 0] = -np.inf
        except Exception as error:
            self.error = error
        return scores
