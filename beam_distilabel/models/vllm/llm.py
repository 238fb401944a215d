"""The `vLLM` language model: its engine in the worker's process, on the host, or at an address."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, PositiveInt, PrivateAttr, SecretStr

from beam_distilabel.dumping import without_secrets
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.arguments import given_arguments
from beam_distilabel.models.base import LLM
from beam_distilabel.models.engine import Engine, GenerateRequest, gather_or_cancel
from beam_distilabel.models.held_engine import HoldsEngine
from beam_distilabel.models.memory import MemoryNeed
from beam_distilabel.models.mixins.cuda_device_placement import CudaDevicePlacementMixin
from beam_distilabel.models.remote.addresses import check_query
from beam_distilabel.models.structured_output import FORMATS, checked_structure, plain_structure
from beam_distilabel.models.vllm.adapters import check_lora
from beam_distilabel.models.vllm.arguments import check_engine
from beam_distilabel.models.vllm.embedded import VLLMEngine
from beam_distilabel.models.vllm.grammar import check_grammar
from beam_distilabel.models.vllm.identity import of_answers, text_of_file
from beam_distilabel.models.vllm.memory import engine_need
from beam_distilabel.models.vllm.sampling import parse_arguments
from beam_distilabel.models.vllm.server import VLLMServerEngine
from beam_distilabel.models.vllm.settings import engine_sizes
from beam_distilabel.models.vllm.url import VLLMUrlEngine
from beam_distilabel.row import fingerprint
from beam_distilabel.runtime_parameters import RUNTIME_PARAMETER_MARKER, RuntimeParameter
from beam_distilabel.secrets import secret_from
from beam_distilabel.typing import FormattedInput, GenerateOutput

_ENGINE_FIELDS = (
    "model",
    "dtype",
    "trust_remote_code",
    "quantization",
    "revision",
    "tokenizer",
    "tokenizer_mode",
    "tokenizer_revision",
    "skip_tokenizer_init",
    "seed",
)
_OF_THE_SERVER = (
    *(name for name in _ENGINE_FIELDS if name != "model"),
    "chat_template",
    "cuda_devices",
    "extra_kwargs",
)
"""Fields that an engine at an address can't be given."""

_PER_REQUEST = (
    "structured_output",
    "use_offline_batch_generation",
    "offline_batch_generation_block_until_done",
)


class vLLM(CudaDevicePlacementMixin, HoldsEngine, LLM):
    """A language model that vLLM runs: in the worker's process, on its host, or at an address.

    LLMs with equal fields share an engine; the engine batches the requests of all of them.

    Attributes:
        model: the name on the Hugging Face Hub, or a folder.
        dtype: of the weights and activations; "auto" takes the model's own.
        trust_remote_code: whether code that comes with the model may run.
        quantization: the method, where the weights are quantized.
        revision: the branch, tag or commit of the model.
        tokenizer: the name or folder of the tokenizer; the model's if None.
        tokenizer_mode: "auto", "slow" or "mistral".
        tokenizer_revision: the branch, tag or commit of the tokenizer.
        skip_tokenizer_init: accepted for distilabel's sake; True can't work, since texts go in and
            out.
        chat_template: a Jinja template or a file with one; the tokenizer's own if None.
        seed: of the engine; rows get seeds of their own in a pipeline.
        extra_kwargs: any other argument of vLLM's `AsyncEngineArgs`, such as
            `{"tensor_parallel_size": 2, "max_model_len": 8192}`. With `"reasoning_parser"` (vLLM's
            names, such as "qwen3") the reasoning goes into `distilabel_metadata`, not the answer.
        structured_output: the structure of all answers: `{"format": "json", "schema": a pydantic
            class or JSON schema}`, or the formats "regex" (a regular expression), "choice" (a list
            of texts) or "grammar" (EBNF or Lark). An input that brings its own takes precedence.
            Finished answers are checked, except for grammars: what doesn't fit is a failure of kind
            `schema`.
        cuda_devices: the GPUs to use, by number among those that the worker sees
            (`CUDA_VISIBLE_DEVICES`); "auto" takes those that are free.
        disable_cuda_device_placement: whether to ignore `cuda_devices`.
        use_magpie_template: whether to let the model write the user's turn next.
        magpie_pre_query_template: what the model's chat template puts before a user's message, or
            "llama3" or "qwen2".
        max_in_flight: how many requests the engine gets at once; twice vLLM's `max_num_seqs` if
            None.
        engine: "embedded" in the worker's process; "server", in a process of its own that all
            workers of the host share; "url", a vLLM server that someone else runs. None is what
            suits the run's runner: "server" where several worker processes share a host, else
            "embedded".
        base_url: of that server, up to and with `/v1`; for engine="url" only. The fields that say
            how an engine is made are then the server's, and refused here.
        api_key: what that server was started with (`--api-key`); environment variable
            `VLLM_API_KEY`.

    Environment variables: `BEAM_DISTILABEL_ENGINE_READY_SECONDS` (1800), in which the engine has to
    be ready; `BEAM_DISTILABEL_ENGINE_LOG`, a file for vLLM's log. On CPU the KV cache has 2 GiB
    unless `extra_kwargs={"kv_cache_memory_bytes": ...}` or vLLM's `VLLM_CPU_KVCACHE_SPACE` says
    otherwise.

    Raises:
        EngineError: by `load` or the first row, the engine can't start; has vLLM's own error text.

    Example:
        >>> llm = vLLM(model="Qwen/Qwen2.5-0.5B-Instruct")
        >>> llm.load()  # doctest: +SKIP
        >>> llm.generate_outputs([[{"role": "user", "content": "Hi"}]])  # doctest: +SKIP
        [{'generations': ['Hello! ...'], 'statistics': {...}, 'finish_reasons': ['stop']}]
        >>> llm.unload()
    """

    code_fields: ClassVar[tuple[str, ...]] = ("trust_remote_code", "extra_kwargs")

    model: str
    dtype: str = "auto"
    trust_remote_code: Annotated[bool, RUNTIME_PARAMETER_MARKER] = Field(
        default=False, description="Whether code that comes with the model may run."
    )
    quantization: str | None = None
    revision: str | None = None
    tokenizer: str | None = None
    tokenizer_mode: Literal["auto", "slow", "mistral"] = "auto"
    tokenizer_revision: str | None = None
    skip_tokenizer_init: bool = False
    chat_template: str | None = None
    seed: int = 0
    extra_kwargs: RuntimeParameter[dict[str, Any]] | None = Field(
        default_factory=dict, description="Any other argument of vLLM's `AsyncEngineArgs`."
    )
    structured_output: RuntimeParameter[dict[str, Any]] | None = Field(
        default=None, description="The structure of all answers: a JSON schema, a regex, ..."
    )
    use_magpie_template: bool = False
    magpie_pre_query_template: str | None = None
    max_in_flight: PositiveInt | None = None
    engine: Literal["embedded", "server", "url"] | None = None
    base_url: RuntimeParameter[str] | None = Field(
        default=None, description="The base URL of the server that someone else runs."
    )
    api_key: RuntimeParameter[SecretStr] | None = Field(
        default=None, description="The API key of the server that someone else runs."
    )

    _runners_engine: str = PrivateAttr("embedded")

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        if self.use_magpie_template and self.magpie_pre_query_template is None:
            raise DistilabelUserError(
                "vLLM(use_magpie_template=True) needs `magpie_pre_query_template`: 'llama3', "
                "'qwen2' or what the model's chat template puts before a user's message."
            )
        if self.skip_tokenizer_init:
            raise DistilabelUserError(
                "vLLM(skip_tokenizer_init=True) can't work: texts go in and out. Leave it False."
            )
        self._check_structure(self.structured_output)
        engine_sizes(self.extra_kwargs, "vLLM")
        self._check_engine()

    def _check_engine(self) -> None:
        if self.engine != "url":
            for name in ("base_url", "api_key"):
                if getattr(self, name) is not None:
                    raise DistilabelUserError(
                        f"vLLM(engine={self.engine!r}) takes no `{name}`: it is for engine='url'."
                    )
            return
        if self.api_key is None:
            self.api_key = secret_from("VLLM_API_KEY")
        url = urlsplit(self.base_url or "")
        check_query(str(self.base_url or ""), "base_url", "vLLM(engine='url')")
        if url.scheme not in ("http", "https") or not url.netloc or "@" in url.netloc:
            raise DistilabelUserError(
                f"vLLM(engine='url') has base_url={self.base_url!r}; expected an address such as "
                "'http://localhost:8000/v1', without a user or a password."
            )
        for name in _OF_THE_SERVER:
            value, default = getattr(self, name), type(self).model_fields[name].get_default()
            if value != default and value:
                value = without_secrets({name: value})[name]
                raise DistilabelUserError(
                    f"vLLM(engine='url') takes no `{name}` (it is {value!r}): whoever starts the "
                    "server says that."
                )

    @property
    def model_name(self) -> str:
        return self.model

    @property
    def place(self) -> str:
        """Where the engine is: `engine`, or what the run's runner says instead of None."""
        return self.engine or self._runners_engine

    def use_default_engine(self, engine: str) -> None:
        self._runners_engine = engine

    def generate(  # type: ignore[override]
        self,
        inputs: list[FormattedInput],
        num_generations: int = 1,
        max_new_tokens: int = 128,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        repetition_penalty: float = 1.0,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = -1,
        min_p: float = 0.0,
        logprobs: int | None = None,
        stop: list[str] | None = None,
        stop_token_ids: list[int] | None = None,
        include_stop_str_in_output: bool = False,
        skip_special_tokens: bool = True,
        logits_processors: list[Any] | None = None,
        extra_sampling_params: dict[str, Any] | None = None,
        echo: bool = False,
        structured_output: dict[str, Any] | None = None,
        lora: str | None = None,
    ) -> list[GenerateOutput]:
        """Answer every input; for use outside of a pipeline, after `load()`.

        Args:
            inputs: chats, (chat, structured output) pairs, or texts, which are raw prompts.
            num_generations: answers per input; with temperature 0 one is made and repeated.
            max_new_tokens: the longest answer in tokens; what the context has left, if less.
            presence_penalty: above 0 for tokens that are not in the answer yet.
            frequency_penalty: above 0 against tokens by how often they are in the answer.
            repetition_penalty: above 1 against tokens that are in the prompt or the answer.
            temperature: of the sampling; 0 always takes the likeliest token.
            top_p: sample from the likeliest tokens that sum up to this probability.
            top_k: sample from so many likeliest tokens; -1 for all.
            min_p: leave out tokens below this fraction of the likeliest one's probability.
            logprobs: how many candidates per token to report, with their log probabilities.
            stop: texts at which an answer ends.
            stop_token_ids: tokens at which an answer ends.
            include_stop_str_in_output: whether the answer keeps the text that ended it.
            skip_special_tokens: whether special tokens are left out of the answer.
            logits_processors: vLLM takes none per request any more; raises.
            extra_sampling_params: any other field of vLLM's `SamplingParams`.
            echo: whether to put the prompt before the answer.
            structured_output: instead of the LLM's own.
            lora: the folder of a LoRA adapter, or its name on the Hugging Face Hub; needs
                `extra_kwargs={"enable_lora": True, ...}`. With engine="url" its name at the
                server.

        Returns:
            One output per input, in order.

        Raises:
            GenerationError: an input can't be answered; `PromptTooLongError` is one.
            EngineError: the engine is dead.
        """
        arguments = given_arguments(locals())
        arguments["structured_output"] = plain_structure(
            structured_output or self.structured_output
        )
        parse_arguments(arguments)
        self._check_lora(lora)
        engine = self.loaded_engine()
        requests = (GenerateRequest(one, num_generations, arguments) for one in inputs)
        return engine.call(gather_or_cancel(map(engine.generate, requests)))

    def get_generation_kwargs(self) -> dict[str, Any]:
        """The keyword arguments that were set for `generate`, with the structured output."""
        kwargs = super().get_generation_kwargs()
        structure = plain_structure(self.structured_output)
        if structure and not kwargs.get("structured_output"):
            kwargs["structured_output"] = structure
        return kwargs

    def _check_structure(self, structure: Any) -> None:
        plain = checked_structure(structure, FORMATS, "vLLM")
        if self.engine != "url" and self.tokenizer_mode != "slow":
            check_grammar(plain, self.extra_kwargs)

    def _check_lora(self, lora: str | None) -> None:
        if self.engine != "url":  # whose adapters have names, like models
            check_lora(lora, self.extra_kwargs)

    def check_generation_kwargs(self) -> None:
        super().check_generation_kwargs()
        arguments = parse_arguments(self.get_generation_kwargs())
        self._check_structure(arguments.structured_output)
        self._check_lora(arguments.lora)

    def fingerprint(self) -> str:
        # What goes with each request doesn't need another engine.
        identity = self.identity()
        key = self.api_key.get_secret_value() if self.api_key is not None else ""
        return fingerprint(
            {k: v for k, v in identity.items() if k not in _PER_REQUEST},
            self.place,
            hashlib.sha256(key.encode()).hexdigest(),
        )

    def answer_identity(self) -> dict[str, Any]:
        """What decides the answers: not where the engine runs, nor on how many GPUs."""
        return {
            **super().answer_identity(),
            "extra_kwargs": of_answers(self.extra_kwargs),
            "chat_template": text_of_file(self.chat_template),
        }

    @classmethod
    def how_it_is_run(cls) -> frozenset[str]:
        return super().how_it_is_run() | {"base_url"}

    @classmethod
    def not_identity(cls) -> frozenset[str]:
        # The same model answers, wherever it runs.
        return super().not_identity() | {"engine"}

    def check_start(self) -> None:
        if self.engine != "url":
            check_engine(self)

    def make_engine(self) -> Engine:
        if self.place == "server":
            return VLLMServerEngine(self)
        if self.place == "url":
            return VLLMUrlEngine(self)
        return VLLMEngine(self)

    def memory_need(self) -> MemoryNeed:
        return engine_need(self)

    def engine_fields(self) -> dict[str, Any]:
        """The arguments of vLLM's engine that are fields here."""
        return {name: getattr(self, name) for name in _ENGINE_FIELDS}
