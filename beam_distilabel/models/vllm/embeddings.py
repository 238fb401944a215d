"""`vLLMEmbeddings`: vectors of texts by vLLM's pooling engine, inside the worker's process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, PositiveInt

from beam_distilabel.models.embeddings.base import Embeddings
from beam_distilabel.models.engine import Engine, GenerateRequest, gather_or_cancel
from beam_distilabel.models.held_engine import HoldsEngine
from beam_distilabel.models.memory import MemoryNeed
from beam_distilabel.models.mixins.cuda_device_placement import CudaDevicePlacementMixin
from beam_distilabel.models.vllm.identity import of_answers
from beam_distilabel.models.vllm.memory import engine_need
from beam_distilabel.models.vllm.pooling import PoolingEngine
from beam_distilabel.models.vllm.settings import engine_sizes
from beam_distilabel.runtime_parameters import RUNTIME_PARAMETER_MARKER, RuntimeParameter

if TYPE_CHECKING:
    pass

_ENGINE_FIELDS = (
    "model",
    "dtype",
    "trust_remote_code",
    "quantization",
    "revision",
    "enforce_eager",
    "seed",
)


class vLLMEmbeddings(CudaDevicePlacementMixin, HoldsEngine, Embeddings):
    """An embedding model that vLLM runs in the worker's own process.

    Pooling and normalization are the model's own, as its `sentence-transformers` files say;
    `extra_kwargs={"pooler_config": {...}}` changes them. Equal ones share an engine.

    Attributes:
        model: the name on the Hugging Face Hub, or a folder: an embedding model, or any language
            model.
        dtype: of the weights and activations; "auto" takes the model's own.
        trust_remote_code: whether code that comes with the model may run.
        quantization: the method, where the weights are quantized.
        revision: the branch, tag or commit of the model.
        enforce_eager: whether to do without CUDA graphs.
        seed: of the engine.
        extra_kwargs: any other argument of vLLM's `AsyncEngineArgs`, such as
            `{"max_model_len": 512}`.
        cuda_devices: the GPUs to use, by number; "auto" leaves the choice to vLLM.
        disable_cuda_device_placement: whether to ignore `cuda_devices`.
        max_in_flight: how many texts the engine gets at once; twice vLLM's `max_num_seqs` if None.

    The environment variables are those of `vLLM`.

    Raises:
        EngineError: by `load` or the first row, the engine can't start; has vLLM's own error text.

    Example:
        >>> embeddings = vLLMEmbeddings(model="intfloat/multilingual-e5-small")
        >>> embeddings.load()  # doctest: +SKIP
        >>> embeddings.encode(["Rows go in", "vectors come out"])  # doctest: +SKIP
        [[0.0337, -0.0128, ...], [0.0214, -0.0395, ...]]
        >>> embeddings.unload()
    """

    code_fields: ClassVar[tuple[str, ...]] = ("trust_remote_code", "extra_kwargs")

    model: str
    dtype: str = "auto"
    trust_remote_code: Annotated[bool, RUNTIME_PARAMETER_MARKER] = Field(
        default=False, description="Whether code that comes with the model may run."
    )
    quantization: str | None = None
    revision: str | None = None
    enforce_eager: bool = True
    seed: int = 0
    extra_kwargs: RuntimeParameter[dict[str, Any]] | None = Field(
        default_factory=dict, description="Any other argument of vLLM's `AsyncEngineArgs`."
    )
    max_in_flight: PositiveInt | None = None

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        engine_sizes(self.extra_kwargs, "vLLMEmbeddings")

    @property
    def model_name(self) -> str:
        return self.model

    def encode(self, inputs: list[str]) -> list[list[float]]:
        """The vector of each text, in order; for use outside of a pipeline, after `load()`.

        Raises:
            GenerationError: a text can't be encoded; `PromptTooLongError` is one.
            EngineError: the engine is dead.
        """
        engine = self.loaded_engine()
        answers = (engine.generate(GenerateRequest(one)) for one in inputs)
        outputs: list[Any] = engine.call(gather_or_cancel(answers))
        return [output["generations"][0] for output in outputs]

    def answer_identity(self) -> dict[str, Any]:
        """What decides the vectors: not on which GPUs the engine runs, nor with how much memory."""
        return {**super().answer_identity(), "extra_kwargs": of_answers(self.extra_kwargs)}

    @classmethod
    def how_it_is_run(cls) -> frozenset[str]:
        return super().how_it_is_run() | {"enforce_eager"}

    def memory_need(self) -> MemoryNeed:
        return engine_need(self)

    def make_engine(self) -> Engine:
        return PoolingEngine(self)

    def engine_fields(self) -> dict[str, Any]:
        """The arguments of vLLM's engine that are fields here, and what makes it an encoder."""
        return {"runner": "pooling", **{name: getattr(self, name) for name in _ENGINE_FIELDS}}
