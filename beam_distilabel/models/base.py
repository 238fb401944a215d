"""The base classes of LLMs, for this package's models and for users' own."""

from __future__ import annotations

import asyncio
import enum
import inspect
import logging
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    PrivateAttr,
    PydanticUserError,
    SecretStr,
    TypeAdapter,
    ValidationError,
)

from beam_distilabel.docstrings import described_arguments
from beam_distilabel.dumping import Dumpable, encode, is_secret
from beam_distilabel.errors import DistilabelNotImplementedError, DistilabelUserError
from beam_distilabel.models.engine import Engine, GenerateRequest, answer, engines
from beam_distilabel.models.memory import MemoryNeed
from beam_distilabel.models.user_engine import (
    AsyncLLMEngine,
    SyncLLMEngine,
    agenerate_many,
    run_coroutine,
)
from beam_distilabel.pickling import PicklesUnloaded
from beam_distilabel.problems import problems_of
from beam_distilabel.row import fingerprint
from beam_distilabel.runtime_parameters import (
    RuntimeParameter,
    RuntimeParametersMixin,
    closest,
    type_text,
    unfit,
)
from beam_distilabel.typing import FormattedInput, GenerateOutput

_OURS = "beam_distilabel."  # classes whose fields say all

STOCK_BATCH_SIZE = 256
"""How many prompts Beam's own RunInference puts in a batch (its default starts at 1 and grows)."""


class EngineModel(PicklesUnloaded, Dumpable, RuntimeParametersMixin, ModelHandler):
    """What LLMs, embedding and image models share: a Beam ModelHandler with an Engine behind it."""

    # An error about one field would otherwise show them all, an API key as it was given among them.
    model_config = ConfigDict(hide_input_in_errors=True)

    _logger: Any = PrivateAttr(default_factory=lambda: logging.getLogger("beam_distilabel.llm"))

    def __str__(self) -> str:
        """The fields in ASCII: RunInference makes it an annotation, where Beam takes no more."""
        return super().__str__().encode("ascii", "backslashreplace").decode("ascii")

    def load(self) -> None:
        """Make clients or load weights; called before the first `generate`."""

    def unload(self) -> None:
        """Release what `load` made."""

    @property
    def model_name(self) -> str:
        """The name that goes into the `model_name` column."""
        raise DistilabelNotImplementedError(f"{type(self).__name__} has to define `model_name`.")

    def get_generation_kwargs(self) -> dict[str, Any]:
        """The keyword arguments of every request; none here."""
        return {}

    def identity(self) -> dict[str, Any]:
        """What tells this model from another: its class and fields, without secrets."""
        fields = {
            name: _identity_of(getattr(self, name))
            for name, field in type(self).model_fields.items()
            if not is_secret(field.annotation) and name not in self.not_identity()
        }
        return {"class": f"{type(self).__module__}.{type(self).__qualname__}", **fields}

    @classmethod
    def not_identity(cls) -> frozenset[str]:
        """Fields that change how the model is run, not what it answers or which engine it needs."""
        return frozenset(("generation_kwargs", "jobs_ids"))

    def answer_identity(self) -> dict[str, Any]:
        """What of `identity` decides the answers; a change of the rest asks nothing again.

        The class goes by its name alone: a script's module is called otherwise when the command
        line loads the script, and classes move. What a user's own class calls its model counts too.
        """
        how = self.how_it_is_run()
        fields = {
            name: answer_identity_of(getattr(self, name))
            for name, field in type(self).model_fields.items()
            if not is_secret(field.annotation) and name not in self.not_identity() | how
        }
        if not type(self).__module__.startswith(_OURS):
            fields["model_name"] = self._name_known()
        return {"class": type(self).__name__, **fields}

    def _name_known(self) -> str | None:
        """`model_name`, where it is known before the model is loaded."""
        try:
            return str(self.model_name)
        except Exception:
            return None

    @classmethod
    def how_it_is_run(cls) -> frozenset[str]:
        """Fields that say how the model is run, and that no answer depends on."""
        return frozenset(
            (
                "cuda_devices",
                "disable_cuda_device_placement",
                "max_in_flight",
                "offline_batch_generation_block_until_done",
                "use_offline_batch_generation",
            )
        )

    # -- engine ----------------------------------------------------------------------------------

    def fingerprint(self) -> str:
        """Equal for models that can share an engine."""
        return fingerprint(self.identity())

    def memory_need(self) -> MemoryNeed:
        """What the model takes of this host while it is loaded; the default is nothing.

        A run compares it with what there is before anything is loaded. For a model that doesn't
        define it, `StepResources(memory=..., gpus=...)` of its Steps says it.
        """
        return MemoryNeed()

    def use_default_engine(self, engine: str) -> None:
        """Where the engine is to be if the user hasn't said it; for models that have a choice.

        A run calls it on its own copies of the Steps' models.

        Args:
            engine: "embedded" in the worker's process, or "server", which those of a host share.
        """

    def check_start(self) -> None:
        """Raise what can be known of a failing start without starting; on the workers' host.

        Raises:
            DistilabelError: the engine can't start.
        """

    def make_engine(self) -> Engine:
        """A new engine for this model, not opened yet."""
        return SyncLLMEngine(self)

    def load_model(self) -> Engine:
        """This model's engine in this process, shared by all equal models; see `Engine.release`.

        Raises:
            EngineError: it can't start; has the engine's own error text.
        """
        return engines.acquire(self.fingerprint(), self.make_engine)

    def run_inference(
        self,
        batch: Sequence[FormattedInput],
        model: Engine,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[PredictionResult]:
        """Answer a batch of prompts; for Beam's own RunInference.

        Args:
            batch: chats, or texts, which are raw prompts.
            model: what `load_model` returned.
            inference_args: generation arguments on top of `generation_kwargs`.

        Returns:
            One PredictionResult per prompt with a `GenerateOutput`; a prompt that failed alone has
            `{"generations": [None], "failure": {"kind", "message"}}`.
        """
        kwargs = {**self.get_generation_kwargs(), **(inference_args or {})}

        async def answer_all() -> list[dict[str, Any]]:
            return await asyncio.gather(
                *(answer(model, GenerateRequest(prompt, 1, kwargs)) for prompt in batch)
            )

        outputs = model.call(answer_all())
        return [
            PredictionResult(prompt, output, self.model_name)
            for prompt, output in zip(batch, outputs, strict=True)
        ]

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {"min_batch_size": STOCK_BATCH_SIZE, "max_batch_size": STOCK_BATCH_SIZE}

    def get_metrics_namespace(self) -> str:
        return "beam_distilabel"


class Model(EngineModel):
    """What LLMs and image generation models share: arguments for each call.

    Attributes:
        generation_kwargs: keyword arguments for every call of `generate` or `agenerate`.
    """

    generation_kwargs: RuntimeParameter[dict[str, Any]] | None = Field(
        default_factory=dict,
        description="The keyword arguments of every call of `generate` or `agenerate`.",
    )

    def get_generation_kwargs(self) -> dict[str, Any]:
        """The keyword arguments that were set for `generate`."""
        return dict(self.generation_kwargs or {})

    def _generation_function(self) -> Any:
        """The method whose keyword arguments `generation_kwargs` holds."""
        return self.generate  # type: ignore[attr-defined]

    def generation_parameters(self) -> dict[str, inspect.Parameter] | None:
        """The keyword arguments that may be in `generation_kwargs`; None where any may."""
        function = inspect.unwrap(self._generation_function())
        parameters = dict(inspect.signature(function).parameters)
        if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            return None
        for given in ("self", "input", "inputs", "num_generations"):
            parameters.pop(given, None)
        return parameters

    def check_generation_kwargs(self) -> None:
        """Raise where `generation_kwargs` has a name that the model doesn't take.

        Raises:
            DistilabelUserError: names the argument and the closest known one.
        """
        known = self.generation_parameters()
        for name in self.generation_kwargs or {}:
            if known is not None and name not in known:
                raise DistilabelUserError(
                    f"{type(self).__name__} has no generation argument {name!r}."
                    f"{closest(name, known)} It has: {', '.join(known)}."
                )

    @property
    def runtime_parameters_names(self) -> dict[str, Any]:
        """As for every object with runtime parameters, with the generation arguments one by one."""
        return {**super().runtime_parameters_names, "generation_kwargs": self._kwargs_optional()}

    def _kwargs_optional(self) -> dict[str, bool]:
        """Generation argument to whether it may be left out."""
        return {
            name: parameter.default is not parameter.empty
            for name, parameter in (self.generation_parameters() or {}).items()
        }

    def get_runtime_parameters_info(self) -> list[dict[str, Any]]:
        """As for every object with runtime parameters; `generation_kwargs` has them as "keys"."""
        info = super().get_runtime_parameters_info()
        for entry in info:
            if entry["name"] == "generation_kwargs":
                entry.pop("optional")
                entry["keys"] = self._kwargs_info()
        return info

    def _kwargs_info(self) -> list[dict[str, Any]]:
        parameters = self.generation_parameters() or {}
        function = inspect.unwrap(self._generation_function())
        annotations = _annotations_of(function)
        described = described_arguments(function)
        info = []
        for name, parameter in parameters.items():
            entry: dict[str, Any] = {"name": name, "optional": self._kwargs_optional()[name]}
            if name in described:
                entry["description"] = described[name]
            if name in annotations:
                entry["type"] = type_text(annotations[name])
            if parameter.default is not parameter.empty:
                entry["default"] = encode(parameter.default)
            info.append(entry)
        return info

    def _check_runtime_parameter(self, name: str, value: Any, place: str) -> None:
        super()._check_runtime_parameter(name, value, place)
        known = self.generation_parameters()
        if name != "generation_kwargs" or known is None or not isinstance(value, Mapping):
            return
        annotations = _annotations_of(inspect.unwrap(self._generation_function()))
        for key, argument in value.items():
            if key not in known:
                raise DistilabelUserError(
                    f"{place}: {type(self).__name__} has no generation argument {key!r}."
                    f"{closest(str(key), known)} It has: {', '.join(known)}."
                )
            problems = _problems_with(annotations.get(key), argument, str(key))
            if problems and argument != known[key].default:
                raise DistilabelUserError(f"{place}.{'; '.join(problems)}.")
            if problem := unfit(annotations.get(key), argument):
                raise DistilabelUserError(f"{place}.{key}={argument!r}: {problem}.")

    def validate_inference_args(self, inference_args: dict[str, Any] | None) -> None:
        known = self.generation_parameters()
        for name in inference_args or {}:
            if known is not None and name not in known:
                raise DistilabelUserError(
                    f"{type(self).__name__} has no generation argument {name!r}."
                    f"{closest(name, known)}"
                )


class LLM(Model):
    """A language model; subclasses define `model_name` and `generate`.

    Every LLM is also a Beam ModelHandler: `prompts | RunInference(llm)` answers prompts.

    Attributes:
        generation_kwargs: keyword arguments for every call of `generate`.
        use_offline_batch_generation: distilabel's switch for providers' batch services.
        offline_batch_generation_block_until_done: seconds between two looks at such a batch.
        jobs_ids: the batches under way.

    Example:
        >>> class Echo(LLM):
        ...     @property
        ...     def model_name(self): return "echo"
        ...     def generate(self, inputs, num_generations=1):
        ...         return [{"generations": [i[-1]["content"]] * num_generations} for i in inputs]
        >>> Echo().generate_outputs([[{"role": "user", "content": "Hi"}]])
        [{'generations': ['Hi']}]
    """

    use_offline_batch_generation: RuntimeParameter[bool] = Field(
        default=False, description="Whether to use the provider's batch service."
    )
    offline_batch_generation_block_until_done: RuntimeParameter[PositiveInt] | None = Field(
        default=None, description="The seconds between two looks at a batch under way."
    )
    jobs_ids: tuple[str, ...] | None = Field(default=None)

    def generate(
        self, inputs: list[FormattedInput], num_generations: int = 1, **kwargs: Any
    ) -> list[GenerateOutput]:
        """Answer every input; one output per input, in order."""
        raise DistilabelNotImplementedError(f"{type(self).__name__} has to define `generate`.")

    def generate_outputs(
        self, inputs: list[FormattedInput], num_generations: int = 1, **kwargs: Any
    ) -> list[GenerateOutput]:
        """`generate`, for use outside of a pipeline and in `Task.process`; call `load()` first."""
        return self.generate(inputs=inputs, num_generations=num_generations, **kwargs)

    def get_last_hidden_states(self, inputs: list[Any]) -> list[Any]:
        """The last hidden states of each input, where the model gives them."""
        raise DistilabelNotImplementedError(
            f"{type(self).__name__} gives no hidden states; use `EmbeddingGeneration`."
        )


class AsyncLLM(LLM):
    """A language model that answers many inputs at once, each on its own; subclasses define
    `agenerate`.

    Example:
        >>> class Echo(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "echo"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": [input[-1]["content"]] * num_generations}
        >>> Echo().generate_outputs([[{"role": "user", "content": "Hi"}]])
        [{'generations': ['Hi']}]
    """

    _num_generations_param_supported: bool = PrivateAttr(True)

    async def agenerate(
        self, input: FormattedInput, num_generations: int = 1, **kwargs: Any
    ) -> GenerateOutput:
        """Answer one input."""
        raise DistilabelNotImplementedError(f"{type(self).__name__} has to define `agenerate`.")

    def _generation_function(self) -> Any:
        return self.agenerate

    def make_engine(self) -> Engine:
        return AsyncLLMEngine(self)

    def generate(
        self, inputs: list[FormattedInput], num_generations: int = 1, **kwargs: Any
    ) -> list[GenerateOutput]:
        """Answer every input, all at once, on a loop of its own; works in notebooks too."""

        async def answer_all() -> list[GenerateOutput]:
            return await asyncio.gather(
                *(agenerate_many(self, one, num_generations, kwargs) for one in inputs)
            )

        return run_coroutine(answer_all)


def _annotations_of(function: Any) -> dict[str, Any]:
    """The types of a function's parameters, as far as they can be known here."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # names that exist for type checkers only
        parameters = inspect.signature(function).parameters.values()
        return {
            parameter.name: parameter.annotation
            for parameter in parameters
            if parameter.annotation is not parameter.empty
            and not isinstance(parameter.annotation, str)
        }


def _problems_with(annotation: Any, value: Any, name: str) -> list[str]:
    """What is wrong with an argument; nothing where its type says nothing to pydantic."""
    if annotation is None:
        return []
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(
            annotation, config=ConfigDict(arbitrary_types_allowed=True)
        )
    except PydanticUserError:  # a type with a config of its own
        adapter = TypeAdapter(annotation)
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        return problems_of(error, name)
    return []


def answer_identity_of(value: Any) -> Any:
    """What of a field's value decides answers, as data that is equal in every process.

    Of objects that are no data only their class counts, of functions their name.

    Example:
        >>> answer_identity_of([1.0, {"b"}, print])
        [1, ['b'], 'print']
    """
    if isinstance(value, EngineModel):
        return [value.answer_identity(), value.get_generation_kwargs()]
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, float) and value.is_integer():
        return int(value)  # 1 and 1.0 are one temperature
    if value is None or isinstance(value, (str, int, float, bytes)):
        return value
    if isinstance(value, Mapping):
        return {str(key): answer_identity_of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [answer_identity_of(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(answer_identity_of, value), key=repr)
    if isinstance(value, SecretStr):
        return None
    if isinstance(value, BaseModel):
        fields = {name: answer_identity_of(item) for name, item in dict(value).items()}
        return {"class": type(value).__name__, **fields}
    if isinstance(value, type) and hasattr(value, "model_json_schema"):
        return value.model_json_schema()
    if hasattr(value, "tolist"):  # numpy
        return answer_identity_of(value.tolist())
    if isinstance(value, PurePath):
        return str(value)
    return str(getattr(value, "__qualname__", type(value).__name__))


def _identity_of(value: Any) -> Any:
    if isinstance(value, EngineModel):
        return value.identity()
    if isinstance(value, (list, tuple)):
        return [_identity_of(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _identity_of(item) for key, item in value.items()}
    if isinstance(value, type) and hasattr(value, "model_json_schema"):
        return value.model_json_schema()
    return value
