"""The `LlamaCppLLM` language model: a GGUF file in llama.cpp, on GPU or CPU."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, FilePath, PositiveInt

from beam_distilabel.models.arguments import given_arguments
from beam_distilabel.models.engine import Engine
from beam_distilabel.models.llamacpp.arguments import GenerationArguments, parse_arguments
from beam_distilabel.models.local.engine import BatchEngine
from beam_distilabel.models.local.llm import LocalLLM
from beam_distilabel.models.magpie import MagpieChatTemplateMixin
from beam_distilabel.models.memory import MemoryNeed, weight_bytes
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.typing import FormattedInput, GenerateOutput


class LlamaCppLLM(LocalLLM, MagpieChatTemplateMixin):
    """A language model in a GGUF file that llama.cpp runs in the worker's own process.

    Prompts are answered one after the other. In a pipeline every row has a seed of its own. LLMs
    with equal fields share the model. The path isn't dumped, as in distilabel: a pipeline that was
    loaded from a file needs it as a runtime parameter.

    Attributes:
        model_path: the GGUF file.
        n_gpu_layers: how many layers the GPU has; -1 for all.
        chat_format: the name of one of llama-cpp-python's chat formats; if None, the template in
            the file, else that of Llama 2.
        n_ctx: the longest prompt and answer together, in tokens.
        n_batch: how many tokens of a prompt are read at once.
        seed: of the answers outside of pipelines; 4294967295 draws one.
        verbose: whether llama.cpp writes its log to standard error.
        extra_kwargs: any other argument of `llama_cpp.Llama`.
        structured_output: the structure of all answers: `{"format": "json", "schema": a pydantic
            class or JSON schema}` or `{"format": "regex", "schema": a regular expression}`; kept by
            `llguidance`, and checked when an answer is there.
        tokenizer_id: the name on the Hugging Face Hub, or the folder, of the tokenizer whose chat
            template renders chats in place of llama-cpp-python's.
        use_magpie_template: whether to let the model write the user's turn next; needs
            `tokenizer_id`.
        magpie_pre_query_template: what the model's chat template puts before a user's message, or
            "llama3" or "qwen2".

    Raises:
        EngineError: by `load` or the first row, the model can't be loaded.

    Example:
        >>> llm = LlamaCppLLM(n_ctx=4096, generation_kwargs={"max_new_tokens": 512})
        >>> llm.set_runtime_parameters({"model_path": "model.gguf"})  # doctest: +SKIP
        >>> llm.load()  # doctest: +SKIP
        >>> llm.generate_outputs([[{"role": "user", "content": "Hi"}]])  # doctest: +SKIP
        [{'generations': ['Hello! ...'], 'statistics': {...}, 'finish_reasons': ['stop']}]
    """

    model_path: RuntimeParameter[FilePath] = Field(
        default=None, description="The path of the GGUF file.", exclude=True
    )
    n_gpu_layers: RuntimeParameter[int] = Field(
        default=-1, description="How many layers the GPU has; -1 for all."
    )
    chat_format: RuntimeParameter[str] | None = Field(
        default=None, description="The name of one of llama-cpp-python's chat formats."
    )
    n_ctx: PositiveInt = 512
    n_batch: PositiveInt = 512
    seed: int = 4294967295
    verbose: RuntimeParameter[bool] = Field(
        default=False, description="Whether llama.cpp writes its log to standard error."
    )
    extra_kwargs: RuntimeParameter[dict[str, Any]] | None = Field(
        default_factory=dict, description="Any other argument of `llama_cpp.Llama`."
    )
    tokenizer_id: RuntimeParameter[str] | None = Field(
        default=None, description="The tokenizer whose chat template renders chats."
    )

    magpie_needs: ClassVar[tuple[str, ...]] = ("tokenizer_id",)

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self.check_magpie()

    @property
    def model_name(self) -> str:
        return str(self.model_path)

    def generate(  # type: ignore[override]
        self,
        inputs: list[FormattedInput],
        num_generations: int = 1,
        max_new_tokens: int = 128,
        frequency_penalty: float = 0.0,
        presence_penalty: float = 0.0,
        temperature: float = 1.0,
        top_p: float = 1.0,
        extra_generation_kwargs: dict[str, Any] | None = None,
        structured_output: dict[str, Any] | None = None,
    ) -> list[GenerateOutput]:
        """Answer every input; for use outside of a pipeline, after `load()`.

        Args:
            inputs: chats, (chat, structured output) pairs, or texts, which are raw prompts.
            num_generations: answers per input.
            max_new_tokens: the longest answer in tokens; what the context has left, if less.
            frequency_penalty: above 0 against tokens by how often they are in the answer.
            presence_penalty: above 0 for tokens that are not in the answer yet.
            temperature: of the sampling; 0 always takes the likeliest token.
            top_p: sample from the likeliest tokens that sum up to this probability.
            extra_generation_kwargs: any other argument of llama-cpp-python's
                `create_chat_completion` (`create_completion` for raw prompts and with
                `tokenizer_id`), such as `{"top_k": 20, "stop": ["\\n"]}`. Its defaults hold for
                what isn't given: `top_k` 40 and `min_p` 0.05.
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

    @classmethod
    def _how_it_is_run(cls) -> tuple[str, ...]:
        return ("n_gpu_layers", "n_batch", "verbose")

    def memory_need(self) -> MemoryNeed:
        """The file of the weights."""
        return MemoryNeed(memory=weight_bytes(str(self.model_path), None))

    def make_engine(self) -> Engine:
        from beam_distilabel.models.llamacpp.backend import LlamaCppBackend

        spec = self.copied()
        return BatchEngine("LlamaCppLLM", lambda: LlamaCppBackend(spec), 1)
