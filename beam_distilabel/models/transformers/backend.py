"""A causal language model of `transformers` that answers batches."""

from __future__ import annotations

import gc
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from beam_distilabel.errors import (
    DistilabelError,
    EngineError,
    GenerationError,
    PromptTooLongError,
)
from beam_distilabel.models.answer_schema import AnswerSchema, answer_schema
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.local.chat import load_tokenizer, rendered
from beam_distilabel.models.local.constraint import Constraints
from beam_distilabel.models.local.outputs import Answer, output_of
from beam_distilabel.models.structured_output import plain_structure
from beam_distilabel.models.transformers.arguments import GenerationArguments, parse_arguments
from beam_distilabel.models.transformers.processors import processors
from beam_distilabel.models.vllm.arguments import check_model_path
from beam_distilabel.models.vllm.prompts import read_chat_template
from beam_distilabel.row import seed_from
from beam_distilabel.secrets.references import plain_if_there
from beam_distilabel.typing import GenerateOutput

if TYPE_CHECKING:
    from beam_distilabel.models.transformers.llm import TransformersLLM

_UNBOUNDED = 1 << 30


class _Sequence(NamedTuple):
    """One answer to be made.

    Attributes:
        owner: the number of its request in the batch.
        tokens: of the prompt.
        limit: its greatest length.
        seed: of its sampling.
        structure: what it has to be like.
    """

    owner: int
    tokens: list[int]
    limit: int
    seed: int
    structure: dict[str, Any] | None


class TransformersBackend:
    """The model and the tokenizer of a `TransformersLLM`.

    Args:
        spec: the LLM.

    Raises:
        EngineError: they can't be loaded.
    """

    def __init__(self, spec: TransformersLLM) -> None:
        try:
            import torch
            import transformers
        except ImportError as error:
            raise EngineError(
                f"TransformersLLM needs the packages `torch` and `transformers` ({error}). Install "
                "them with `pip install 'beam-distilabel[hf-transformers]'`."
            ) from error
        check_model_path(spec.model, "TransformersLLM")
        self._spec = spec
        self.description = f"transformers {transformers.__version__}"
        self.batch_size = spec.batch_size or 1
        self.fitting = self.batch_size
        token = plain_if_there(spec.token)
        self.tokenizer = load_tokenizer(
            "TransformersLLM",
            spec.tokenizer or spec.model,
            # The revision of the model says nothing about another repository.
            revision=spec.revision if spec.tokenizer in (None, spec.model) else None,
            trust_remote_code=spec.trust_remote_code,
            use_fast=spec.use_fast,
            token=token,
        )
        template = read_chat_template(spec.chat_template)
        if template is not None:
            self.tokenizer.chat_template = template
        device_map = spec.placement(torch.cuda.is_available())
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(
                spec.model,
                **{
                    "revision": spec.revision,
                    "dtype": spec.torch_dtype,
                    "trust_remote_code": spec.trust_remote_code,
                    "token": token,
                    **device_map.from_pretrained,
                    **(spec.model_kwargs or {}),
                },
            )
            if device_map.device is not None:
                model = model.to(device_map.device)
        except Exception as error:
            raise EngineError(
                f"TransformersLLM can't load {spec.model!r}: {type(error).__name__}: {error}"
            ) from error
        self.model = model.eval()
        config = model.config.get_text_config()
        self.context = getattr(config, "max_position_embeddings", None) or _UNBOUNDED
        self._vocabulary = max(int(config.vocab_size), len(self.tokenizer))
        self.ends = self._end_tokens()
        pad = self.tokenizer.pad_token_id
        self._pad = pad if pad is not None else next(iter(self.ends), 0)
        self._constraints: Constraints | None = None

    def _end_tokens(self) -> list[int]:
        """The tokens that end an answer: the model's, else the tokenizer's."""
        ends = self.model.generation_config.eos_token_id
        if ends is None:
            ends = self.tokenizer.eos_token_id
        if ends is None:
            return []
        return [int(end) for end in (ends if isinstance(ends, (list, tuple)) else [ends])]

    def close(self) -> None:
        """Free the model's memory."""
        import torch

        del self.model, self.tokenizer
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    # -- answering -------------------------------------------------------------------------------

    def answer(
        self, requests: Sequence[GenerateRequest]
    ) -> Sequence[GenerateOutput | DistilabelError]:
        """Answer requests with equal arguments."""
        arguments = parse_arguments(requests[0].generation_kwargs)
        prompts: list[list[int]] = []
        schemas: list[AnswerSchema | None] = []
        results: list[GenerateOutput | DistilabelError | None] = [None] * len(requests)
        sequences: list[_Sequence] = []
        for number, request in enumerate(requests):
            tokens: list[int] = []
            schema = None
            try:
                prompt, own = (
                    request.input if isinstance(request.input, tuple) else (request.input, None)
                )
                structure = plain_structure(own or arguments.structured_output)
                schema = answer_schema(structure)
                if structure is not None:
                    self._constraint(structure)
                tokens = self.tokens(prompt)
                sequences += self._sequences(number, request, tokens, arguments, structure)
            except DistilabelError as error:
                results[number] = error
            prompts.append(tokens)
            schemas.append(schema)
        answers = self._answers(sequences, arguments)
        for number, prompt_tokens in enumerate(prompts):
            if results[number] is None:
                own_answers = [
                    made
                    for sequence, made in zip(sequences, answers, strict=True)
                    if sequence.owner == number
                ]
                count = requests[number].num_generations
                results[number] = output_of(
                    own_answers * (count // len(own_answers)), len(prompt_tokens), schemas[number]
                )
        return [result for result in results if result is not None]

    def tokens(self, prompt: Any) -> list[int]:
        """The tokens of a chat or a raw prompt.

        Raises:
            PromptTooLongError: the context doesn't hold it and one token more.
            GenerationError: it can't be made.
        """
        text, special = rendered(self._spec, self.tokenizer, prompt)
        tokens: list[int] = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        if not tokens:
            raise GenerationError("the prompt has no tokens.", "render")
        if len(tokens) + 1 > self.context:
            raise PromptTooLongError(
                f"the prompt has {len(tokens)} tokens, the model's context holds {self.context} "
                "and the answer needs at least one of them."
            )
        return tokens

    def _sequences(
        self,
        owner: int,
        request: GenerateRequest,
        tokens: list[int],
        arguments: GenerationArguments,
        structure: dict[str, Any] | None,
    ) -> list[_Sequence]:
        limit = min(arguments.max_new_tokens, self.context - len(tokens))
        seed = request.seed if request.seed is not None else secrets.randbits(32)
        # Without chance all answers are the same one.
        count = request.num_generations if arguments.samples else 1
        return [
            # torch's generator on the CPU knows the lower 32 bits of a seed only.
            _Sequence(owner, tokens, limit, seed_from(seed, nth), structure)
            for nth in range(count)
        ]

    def _answers(
        self, sequences: Sequence[_Sequence], arguments: GenerationArguments
    ) -> list[Answer]:
        """An answer per sequence; in batches of equal greatest length and similar prompts."""
        order = sorted(
            range(len(sequences)), key=lambda i: (sequences[i].limit, len(sequences[i].tokens))
        )
        answers: dict[int, Answer] = {}
        while order:
            limit = sequences[order[0]].limit
            size = 1
            while size < min(self.fitting, len(order)) and sequences[order[size]].limit == limit:
                size += 1
            made = self._batch([sequences[i] for i in order[:size]], arguments)
            if made is None:  # it doesn't fit into memory; `fitting` is smaller now
                continue
            answers.update(zip(order[:size], made, strict=True))
            order = order[size:]
        return [answers[i] for i in range(len(sequences))]

    def _batch(
        self, sequences: Sequence[_Sequence], arguments: GenerationArguments
    ) -> list[Answer] | None:
        import torch

        try:
            return self._generated(sequences, arguments)
        except torch.OutOfMemoryError as error:
            if len(sequences) == 1:
                raise GenerationError(
                    f"the device's memory doesn't hold a prompt of {len(sequences[0].tokens)} "
                    f"tokens and its answer: {error}"
                ) from error
            self.fitting = len(sequences) // 2
        # Outside of the handler: the error's traceback holds the tensors.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None

    def _generated(
        self, sequences: Sequence[_Sequence], arguments: GenerationArguments
    ) -> list[Answer]:
        import torch
        from transformers import GenerationConfig

        ids, mask = self.padded([sequence.tokens for sequence in sequences])
        constraints = [
            self._constraint(sequence.structure)
            for sequence in sequences
            if sequence.structure is not None
        ]
        config = GenerationConfig(
            max_new_tokens=sequences[0].limit,
            do_sample=False,  # the last processor chooses
            num_beams=1,
            repetition_penalty=1.0,
            pad_token_id=self._pad,
            eos_token_id=self.ends or None,
        )
        chosen = processors(
            arguments, mask, constraints, self.ends, [sequence.seed for sequence in sequences]
        )
        with torch.inference_mode():
            made = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=config,
                logits_processor=chosen,
            )
        return [self._read(row) for row in made[:, ids.shape[1] :].tolist()]

    def padded(self, prompts: Sequence[list[int]]) -> tuple[Any, Any]:
        """The tokens of several prompts as a tensor, padded on the left, and its mask."""
        import torch

        width = max(map(len, prompts))
        ids = [[self._pad] * (width - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        device = self.model.device
        return torch.tensor(ids, device=device), torch.tensor(mask, device=device)

    def _read(self, tokens: list[int]) -> Answer:
        ends = [position for position, token in enumerate(tokens) if token in self.ends]
        if ends:
            tokens = tokens[: ends[0] + 1]
        text = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return Answer(str(text), len(tokens), "stop" if ends else "length")

    def _constraint(self, structure: dict[str, Any]) -> Any:
        if self._constraints is None:
            self._constraints = Constraints("TransformersLLM", "hf-transformers", self._known)
        return self._constraints.constraint(structure)

    def _known(self) -> Any:
        from llguidance.hf import from_tokenizer

        return from_tokenizer(self.tokenizer, n_vocab=self._vocabulary, eos_token=self.ends)

    # -- hidden states ---------------------------------------------------------------------------

    def hidden_states(self, inputs: Sequence[Any]) -> list[Any]:
        """The last hidden states of each input: (token, dimension), float32."""
        import torch

        prompts = [self.tokens(input[0] if isinstance(input, tuple) else input) for input in inputs]
        states: list[Any] = []
        for start in range(0, len(prompts), self.fitting):
            ids, mask = self.padded(prompts[start : start + self.fitting])
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            with torch.inference_mode():
                output = self.model.base_model(
                    input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False
                )
            for row, of_row in zip(output.last_hidden_state, mask, strict=True):
                states.append(row[of_row.bool()].float().cpu().numpy())
        return states
