"""The `TransformersLLM` language model: a causal model of `transformers`, on GPU or CPU."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, PositiveInt, SecretStr

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.arguments import given_arguments
from beam_distilabel.models.engine import Engine
from beam_distilabel.models.local.engine import BatchEngine
from beam_distilabel.models.local.llm import LocalLLM
from beam_distilabel.models.magpie import MagpieChatTemplateMixin
from beam_distilabel.models.memory import MemoryNeed, weight_bytes
from beam_distilabel.models.transformers.arguments import GenerationArguments, parse_arguments
from beam_distilabel.runtime_parameters import RUNTIME_PARAMETER_MARKER, RuntimeParameter
from beam_distilabel.secrets.references import hub_login
from beam_distilabel.typing import FormattedInput, GenerateOutput, HiddenState

DEFAULT_BATCH_SIZE = 16


class Placement(NamedTuple):
    """Where a model goes: by arguments of `from_pretrained`, or moved to a device afterwards."""

    from_pretrained: dict[str, Any]
    device: str | int | None


class TransformersLLM(LocalLLM, MagpieChatTemplateMixin):
    """A causal language model that `transformers` runs in the worker's own process.

    For models that vLLM doesn't have: answers are made in batches, and a batch takes as long as its
    longest answer. In a pipeline every row has a seed of its own, whatever batch it comes into;
    what remains is the rounding, which depends on the shape of the batch. LLMs with equal fields
    share the model.

    Attributes:
        model: the name on the Hugging Face Hub, or a folder.
        revision: its branch, tag or commit.
        torch_dtype: of the weights; "auto" takes the model's own.
        trust_remote_code: whether code that comes with the model may run.
        model_kwargs: any other argument of `from_pretrained`.
        tokenizer: the name or folder of the tokenizer; the model's if None.
        use_fast: whether to use the tokenizer in Rust; structured output needs it.
        chat_template: a Jinja template or a file with one; the tokenizer's own if None. Without
            either, a chat of one message is sent as its text.
        device: "cpu", "cuda:1", 0...; if None, the first GPU, or the CPU.
        device_map: how layers are spread over devices, such as "auto"; needs `accelerate`.
        token: for the Hub; environment variable `HF_TOKEN`.
        structured_output: the structure of all answers: `{"format": "json", "schema": a pydantic
            class or JSON schema}` or `{"format": "regex", "schema": a regular expression}`; kept by
            `llguidance`, and checked when an answer is there.
        use_magpie_template: whether to let the model write the user's turn next.
        magpie_pre_query_template: what the model's chat template puts before a user's message, or
            "llama3" or "qwen2".
        cuda_devices: the GPUs to use, by number: the first one, or with `device_map` all of them.
        disable_cuda_device_placement: whether to ignore `cuda_devices`.
        batch_size: how many answers are made at once; halved, for good, where the device's memory
            doesn't hold them.

    Raises:
        EngineError: by `load` or the first row, the model can't be loaded.

    Example:
        >>> llm = TransformersLLM(model="HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> llm.load()  # doctest: +SKIP
        >>> llm.generate_outputs([[{"role": "user", "content": "Hi"}]])  # doctest: +SKIP
        [{'generations': ['Hello! ...'], 'statistics': {...}, 'finish_reasons': ['stop']}]
        >>> llm.unload()
    """

    code_fields: ClassVar[tuple[str, ...]] = ("trust_remote_code", "model_kwargs")

    model: str
    revision: str = "main"
    torch_dtype: str = "auto"
    trust_remote_code: Annotated[bool, RUNTIME_PARAMETER_MARKER] = Field(
        default=False, description="Whether code that comes with the model may run."
    )
    model_kwargs: RuntimeParameter[dict[str, Any]] | None = Field(
        default=None, description="Any other argument of `from_pretrained`."
    )
    tokenizer: str | None = None
    use_fast: bool = True
    chat_template: str | None = None
    device: str | int | None = None
    device_map: str | dict[str, Any] | None = None
    token: SecretStr | None = Field(default_factory=hub_login)
    cuda_devices: RuntimeParameter[list[int] | Literal["auto"]] = Field(
        default="auto", description="The GPUs to use, by number; 'auto' takes the first."
    )
    disable_cuda_device_placement: RuntimeParameter[bool] = Field(
        default=False, description="Whether to ignore `cuda_devices`."
    )
    batch_size: RuntimeParameter[PositiveInt] = Field(
        default=DEFAULT_BATCH_SIZE, description="How many answers are made at once."
    )

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self.check_magpie()
        if self.device is not None and self.device_map is not None:
            raise DistilabelUserError(
                f"TransformersLLM has device={self.device!r} and device_map={self.device_map!r}; "
                "give one of them."
            )

    @property
    def model_name(self) -> str:
        return self.model

    def generate(  # type: ignore[override]
        self,
        inputs: list[FormattedInput],
        num_generations: int = 1,
        max_new_tokens: int = 128,
        temperature: float = 0.1,
        repetition_penalty: float = 1.1,
        top_p: float = 1.0,
        top_k: int = 0,
        do_sample: bool = True,
        structured_output: dict[str, Any] | None = None,
    ) -> list[GenerateOutput]:
        """Answer every input; for use outside of a pipeline, after `load()`.

        Args:
            inputs: chats, (chat, structured output) pairs, or texts, which are raw prompts.
            num_generations: answers per input; without sampling one is made and repeated.
            max_new_tokens: the longest answer in tokens; what the context has left, if less.
            temperature: of the sampling; 0 always takes the likeliest token.
            repetition_penalty: above 1 against tokens that are in the prompt or the answer.
            top_p: sample from the likeliest tokens that sum up to this probability.
            top_k: sample from so many likeliest tokens; 0 for all.
            do_sample: whether to sample; else the likeliest token is taken.
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

    def get_last_hidden_states(self, inputs: list[Any]) -> list[HiddenState]:
        """The last hidden states of each input, before the head; call `load()` first.

        Args:
            inputs: chats or texts, rendered as for `generate`.

        Returns:
            A NumPy array (token, dimension) of float32 per input, without padding.

        Raises:
            GenerationError: an input is too long or can't be rendered.
        """
        engine = self.loaded_engine()
        assert isinstance(engine, BatchEngine)
        states: list[HiddenState] = engine.call(
            engine.run(lambda backend: backend.hidden_states(inputs))
        )
        return states

    @classmethod
    def parse_arguments(cls, arguments: dict[str, Any]) -> GenerationArguments:
        return parse_arguments(arguments)

    def placement(self, has_gpu: bool) -> Placement:
        """Where the model goes.

        Args:
            has_gpu: whether the process sees one.
        """
        chosen = None
        if not self.disable_cuda_device_placement and isinstance(self.cuda_devices, list):
            chosen = self.cuda_devices
        if self.device_map is not None:
            arguments: dict[str, Any] = {"device_map": self.device_map}
            if chosen and isinstance(self.device_map, str):
                # Memory that isn't named isn't used.
                import torch

                arguments["max_memory"] = {
                    number: torch.cuda.get_device_properties(number).total_memory
                    for number in chosen
                }
            return Placement(arguments, None)
        device = self.device
        if device in (None, "cuda") and chosen and has_gpu:
            device = f"cuda:{chosen[0]}"
        if device is None:
            device = "cuda:0" if has_gpu else "cpu"
        return Placement({}, device)

    @classmethod
    def _how_it_is_run(cls) -> tuple[str, ...]:
        return ("batch_size", "device", "device_map", "cuda_devices")

    def memory_need(self) -> MemoryNeed:
        """The files of the weights, as far as they are on this host."""
        return MemoryNeed(memory=weight_bytes(self.model, self.revision))

    def make_engine(self) -> Engine:
        from beam_distilabel.models.transformers.backend import TransformersBackend

        spec = self.copied()
        return BatchEngine(
            "TransformersLLM",
            lambda: TransformersBackend(spec),
            self.batch_size or DEFAULT_BATCH_SIZE,
        )
