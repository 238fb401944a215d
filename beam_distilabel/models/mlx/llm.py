"""The `MlxLLM` language model: Apple's MLX."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from beam_distilabel.models.arguments import given_arguments
from beam_distilabel.models.engine import Engine
from beam_distilabel.models.local.engine import BatchEngine
from beam_distilabel.models.local.llm import LocalLLM
from beam_distilabel.models.magpie import MagpieChatTemplateMixin
from beam_distilabel.models.mlx.arguments import GenerationArguments, parse_arguments
from beam_distilabel.runtime_parameters import RUNTIME_PARAMETER_MARKER
from beam_distilabel.typing import FormattedInput, GenerateOutput


class MlxLLM(LocalLLM, MagpieChatTemplateMixin):
    """A language model that Apple's MLX runs in the worker's own process, on Apple silicon.

    Prompts are answered one after the other. In a pipeline every row has a seed of its own. LLMs
    with equal fields share the model.

    Attributes:
        path_or_hf_repo: the name on the Hugging Face Hub, or a folder.
        tokenizer_config: arguments of the tokenizer.
        mlx_model_config: what to change in the model's configuration.
        adapter_path: the folder of a LoRA adapter.
        structured_output: the structure of all answers: `{"format": "json", "schema": a pydantic
            class or JSON schema}` or `{"format": "regex", "schema": a regular expression}`; kept by
            `llguidance`, and checked when an answer is there.
        use_magpie_template: whether to let the model write the user's turn next.
        magpie_pre_query_template: what the model's chat template puts before a user's message, or
            "llama3" or "qwen2".

    Raises:
        EngineError: by `load` or the first row: this isn't macOS, or the model can't be loaded.

    Example:
        >>> llm = MlxLLM(path_or_hf_repo="mlx-community/Qwen2.5-0.5B-Instruct-4bit")
        >>> llm.load()  # doctest: +SKIP
        >>> llm.generate_outputs([[{"role": "user", "content": "Hi"}]])  # doctest: +SKIP
        [{'generations': ['Hello! ...'], 'statistics': {...}, 'finish_reasons': ['stop']}]
    """

    code_fields: ClassVar[tuple[str, ...]] = ("tokenizer_config", "mlx_model_config")

    path_or_hf_repo: str
    tokenizer_config: Annotated[dict[str, Any], RUNTIME_PARAMETER_MARKER] = Field(
        default_factory=dict, description="Arguments of the tokenizer."
    )
    mlx_model_config: Annotated[dict[str, Any], RUNTIME_PARAMETER_MARKER] = Field(
        default_factory=dict, description="What to change in the model's configuration."
    )
    adapter_path: str | None = None

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self.check_magpie()

    @property
    def model_name(self) -> str:
        return self.path_or_hf_repo

    def generate(  # type: ignore[override]
        self,
        inputs: list[FormattedInput],
        num_generations: int = 1,
        max_tokens: int = 256,
        logits_processors: list[Any] | None = None,
        max_kv_size: int | None = None,
        prompt_cache: Any | None = None,
        prefill_step_size: int = 512,
        kv_bits: int | None = None,
        kv_group_size: int = 64,
        quantized_kv_start: int = 0,
        prompt_progress_callback: Any | None = None,
        temp: float = 0.0,
        top_p: float = 0.0,
        min_p: float = 0.0,
        min_tokens_to_keep: int = 1,
        top_k: int = -1,
        structured_output: dict[str, Any] | None = None,
    ) -> list[GenerateOutput]:
        """Answer every input; for use outside of a pipeline, after `load()`.

        Args:
            inputs: chats, (chat, structured output) pairs, or texts, which are raw prompts.
            num_generations: answers per input; with `temp` 0 one is made and repeated.
            max_tokens: the longest answer in tokens.
            logits_processors: functions of MLX arrays (tokens, logits) that return logits.
            max_kv_size: how many tokens the cache keeps.
            prompt_cache: of mlx-lm, made before; it is changed by every answer.
            prefill_step_size: how many tokens of a prompt are read at once.
            kv_bits: to how many bits the cache is quantized; not at all if None.
            kv_group_size: the size of the groups in that.
            quantized_kv_start: from which token on.
            prompt_progress_callback: called with (tokens read, all tokens) of a prompt.
            temp: the temperature of the sampling; 0 always takes the likeliest token.
            top_p: sample from the likeliest tokens that sum up to this probability; 0 for all.
            min_p: leave out tokens below this fraction of the likeliest one's probability.
            min_tokens_to_keep: how many `min_p` leaves at least.
            top_k: sample from so many likeliest tokens; -1 for all.
            structured_output: instead of the LLM's own.

        Returns:
            One output per input, in order. An input that can't be answered has None for its
            generations, and `failures` says why.

        Raises:
            EngineError: the engine is dead.
            DistilabelUserError: an argument is wrong.
        """
        arguments = given_arguments(locals())
        return self._answer_all(inputs, num_generations, arguments)

    @classmethod
    def parse_arguments(cls, arguments: dict[str, Any]) -> GenerationArguments:
        return parse_arguments(arguments)

    def make_engine(self) -> Engine:
        from beam_distilabel.models.mlx.backend import MlxBackend

        spec = self.copied()
        return BatchEngine("MlxLLM", lambda: MlxBackend(spec), 1)
