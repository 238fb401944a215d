"""Model classes that answer at once, put in the place of those that need a network or weights.

A class that the package has keeps its fields, validation and base classes: only what would reach
a server or load weights is overridden in a subclass. For a class that the package doesn't have
(yet) there is a stand-in that takes any argument, so that the rest of an example can run.

The same code serves distilabel and beam_distilabel; nothing is imported from either at the top.
"""

import base64
import functools
import importlib
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

LLMS = frozenset(
    """AnthropicLLM AnyscaleLLM AzureOpenAILLM ClientvLLM CohereLLM GroqLLM InferenceEndpointsLLM
    LiteLLM LlamaCppLLM MistralLLM MlxLLM OllamaLLM OpenAILLM TogetherLLM TransformersLLM
    VertexAILLM vLLM""".split()
)
EMBEDDINGS = frozenset("LlamaCppEmbeddings SentenceTransformerEmbeddings vLLMEmbeddings".split())
IMAGE_MODELS = frozenset("InferenceEndpointsImageGeneration OpenAIImageGeneration".split())
MODELS = LLMS | EMBEDDINGS | IMAGE_MODELS

# Between 512 and 1,024 characters (what the evolving generators accept), with one verdict in the
# format of Prometheus at its end. It never depends on the prompt.
ANSWER = (
    "Feedback: " + "The answer is correct, complete and to the point, if a little dry. " * 9
).strip() + " [RESULT] 4"

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def answer(num_generations: int) -> dict[str, Any]:
    """Return what an LLM answers for one input."""
    return {
        "generations": [ANSWER] * num_generations,
        "statistics": {"input_tokens": [7], "output_tokens": [5] * num_generations},
    }


def _vectors(count: int) -> list[list[float]]:
    return [[1.0, 0.5, 0.25]] * count


def _named(self: Any) -> str:
    """Return the first of the fields that name a model in distilabel's classes."""
    for field in ("model_id", "model", "path_or_hf_repo", "model_path", "endpoint_name"):
        if value := getattr(self, field, None):
            return str(value)
    return "a-fake-model"


def always(self: Any, input: Any, num_generations: int) -> dict[str, Any]:
    """Answer anything with ``ANSWER``."""
    return answer(num_generations)


def overrides(name: str, base: type, reply: Callable[..., Any] = always) -> dict[str, Any]:
    """Return the methods of ``base`` that would leave this process.

    ``reply`` is what an LLM answers with: it is called with the LLM, the input and the number of
    generations.
    """

    async def agenerate(
        self: Any, input: Any, num_generations: int = 1, **kwargs: Any
    ) -> dict[str, Any]:
        return reply(self, input, num_generations)

    def generate(
        self: Any, inputs: list[Any], num_generations: int = 1, **kwargs: Any
    ) -> list[dict[str, Any]]:
        return [reply(self, input, num_generations) for input in inputs]

    async def agenerate_image(
        self: Any, input: str, num_generations: int = 1, **kwargs: Any
    ) -> list[dict[str, Any]]:
        image = base64.b64encode(PIXEL).decode()
        return [{"images": [image]} for _ in range(num_generations)]

    def encode(self: Any, inputs: list[str]) -> list[list[float]]:
        return _vectors(len(inputs))

    def get_last_hidden_states(self: Any, inputs: list[Any]) -> list[Any]:
        import numpy  # not a dependency of this file: it serves environments without it

        # One vector per token.
        return [numpy.array([vector, vector]) for vector in _vectors(len(inputs))]

    def load(self: Any) -> None:
        _base_load(base, self)

    shared: dict[str, Any] = {
        "load": load,
        "unload": lambda self: None,
        "model_name": property(_named),
        "__doc__": f"{name}, answering from memory.",
    }
    if name in EMBEDDINGS:
        return {**shared, "encode": encode}
    if name in IMAGE_MODELS:
        real = getattr(base, "agenerate", None) if name == base.__name__ else None
        # distilabel's ImageTask asks its model for this, and its image models don't have it.
        offline = {"use_offline_batch_generation": property(lambda self: False)}
        return {**shared, **offline, "agenerate": _checked(agenerate_image, real)}
    asynchronous = any(cls.__name__ == "AsyncLLM" for cls in base.__mro__)
    method = agenerate if asynchronous else generate
    real = getattr(base, method.__name__, None) if name == base.__name__ else None
    return {
        **shared,
        **_plain_engine(base),
        method.__name__: _checked(method, real),
        "offline_batch_generate": generate,
        "get_last_hidden_states": get_last_hidden_states,
    }


def _plain_engine(base: type) -> dict[str, Any]:
    """Return what beam_distilabel's base class has to run `generate` or `agenerate`."""
    plain = next(cls for cls in base.__mro__ if cls.__name__ in ("AsyncLLM", "LLM"))
    names = ("make_engine", "generate", "generate_outputs")
    return {name: getattr(plain, name) for name in names if hasattr(plain, name)}


def _checked(method: Callable[..., Any], real: Callable[..., Any] | None) -> Callable[..., Any]:
    """Give ``method`` the signature of the method it replaces, and refuse what that refuses.

    Both packages read the names of generation arguments from it.
    """
    if real is None:
        return method
    signature = inspect.signature(real)

    @functools.wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        signature.bind(*args, **kwargs)
        return method(*args, **kwargs)

    checked.__signature__ = signature  # type: ignore[attr-defined]
    checked.__doc__ = real.__doc__
    return checked


def _base_load(cls: type, self: Any) -> None:
    """Call the ``load`` of the base class of all models, which touches nothing outside."""
    for parent in cls.__mro__:
        if parent.__name__ in ("LLM", "Embeddings", "ImageGenerationModel"):
            parent.load(self)  # type: ignore[attr-defined]
            return


def fake(name: str, real: type) -> type:
    """Return a subclass of ``real`` that answers from memory and goes by the same names."""
    namespace = {**overrides(name, real), "__module__": real.__module__}
    return type(name, (real,), namespace)


def _base_class(package: str, kind: str) -> type:
    """Return the base class of one kind of models.

    Raises:
        ImportError: ``package`` has no such class.
    """
    for module in ("models.llms", "models.embeddings.base", "models.image_generation.base"):
        try:
            return getattr(importlib.import_module(f"{package}.{module}"), kind)  # type: ignore[no-any-return]
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"{package} has no {kind}")


def stand_in(package: str, name: str) -> type:
    """Return a model class for ``name``, which ``package`` lacks, that takes any argument."""
    if name in LLMS:
        base = _base_class(package, "AsyncLLM")
    elif name in EMBEDDINGS:
        base = _base_class(package, "Embeddings")
    else:
        base = _base_class(package, "AsyncImageGenerationModel")
    namespace = {
        **overrides(name, base),
        "__module__": __name__,
        "model_config": {"extra": "allow", "protected_namespaces": ()},
    }
    cls = type(name, (base,), namespace)
    setattr(sys.modules[__name__], name, cls)
    return cls


def install(package: str) -> None:
    """Replace every model class of ``package``, in each of its loaded modules."""
    fakes: dict[type, type] = {}
    for module_name, module in list(sys.modules.items()):
        if not f"{module_name}.".startswith(f"{package}."):
            continue
        for name in MODELS & vars(module).keys():
            real = getattr(module, name)
            if isinstance(real, type) and real not in fakes.values():
                if real not in fakes:
                    fakes[real] = fake(name, real)
                setattr(module, name, fakes[real])


def provide(package: str, module_name: str, name: str) -> bool:
    """Put a stand-in for the model class ``name`` where an example imports it from.

    Returns:
        False when even the base class of such models is missing in ``package``.
    """
    try:
        cls = stand_in(package, name)
    except ImportError:
        return False
    module = sys.modules.get(module_name)
    if module is None:
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError:
            module = sys.modules[module_name] = types.ModuleType(module_name)
    setattr(module, name, cls)
    return True
