"""The base classes of LLMs."""

import asyncio
import pickle
import threading
from typing import Any

import pytest
from pydantic import BaseModel, PrivateAttr, SecretStr, ValidationError

from beam_distilabel.errors import DistilabelNotImplementedError, DistilabelUserError
from beam_distilabel.models.base import LLM, AsyncLLM
from beam_distilabel.runtime_parameters import RuntimeParameter
from tests.fakes import FakeLLM, SyncFakeLLM, new_name, output_of


class Answer(BaseModel):
    text: str


class Remote(AsyncLLM):
    """Has a secret, a nested model and a client."""

    model: str = "small"
    api_key: RuntimeParameter[SecretStr] = SecretStr("very-secret")
    schema_class: Any = None
    draft: LLM | None = None

    _client: Any = PrivateAttr(None)

    def load(self) -> None:
        super().load()
        self._client = threading.Lock()

    @property
    def model_name(self) -> str:
        return self.model

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1, temperature: float = 1.0, top_p: float = 1.0
    ) -> Any:
        assert self._client is not None
        return output_of([f"{temperature}"] * num_generations)


CHAT: Any = [{"role": "user", "content": "a"}]


@pytest.mark.parametrize("llm", [FakeLLM(), SyncFakeLLM()])
def test_outputs_in_the_order_of_the_inputs(llm: LLM) -> None:
    llm.load()
    inputs: Any = [[{"role": "user", "content": str(n)}] for n in range(20)]
    outputs = llm.generate_outputs(inputs=inputs, num_generations=2)
    assert [output["generations"] for output in outputs] == [[str(n)] * 2 for n in range(20)]
    llm.unload()


def test_an_async_llm_in_a_notebook() -> None:
    """A loop runs in its thread already."""

    async def cell() -> Any:
        return FakeLLM().generate_outputs([CHAT])

    assert asyncio.run(cell())[0]["generations"] == ["a"]


def test_generation_arguments() -> None:
    llm = Remote(generation_kwargs={"temperature": 0.3})
    llm.load()
    [output] = llm.generate_outputs([CHAT], **llm.get_generation_kwargs())
    assert output["generations"] == ["0.3"]
    llm.check_generation_kwargs()
    wrong = Remote(generation_kwargs={"temprature": 0.3})
    with pytest.raises(
        DistilabelUserError, match="'temprature'. Did you mean 'temperature'.*top_p"
    ):
        wrong.check_generation_kwargs()


def test_an_llm_that_takes_any_argument_is_not_checked() -> None:
    class Any_(AsyncLLM):
        @property
        def model_name(self) -> str:
            return "any"

        async def agenerate(self, input: Any, num_generations: int = 1, **kwargs: Any) -> Any:
            return output_of([str(kwargs)])

    llm = Any_(generation_kwargs={"whatever": 1})
    llm.check_generation_kwargs()
    assert llm.generation_parameters() is None


def test_generation_arguments_are_runtime_parameters() -> None:
    llm = Remote()
    llm.set_runtime_parameters({"generation_kwargs": {"temperature": 0.1}, "api_key": "other"})
    assert llm.generation_kwargs == {"temperature": 0.1}
    assert llm.api_key is not None
    assert llm.api_key.get_secret_value() == "other"
    info = {entry["name"]: entry for entry in llm.get_runtime_parameters_info()}
    assert info["generation_kwargs"]["keys"] == [
        {"name": "temperature", "optional": True, "type": "float", "default": 1.0},
        {"name": "top_p", "optional": True, "type": "float", "default": 1.0},
    ]


def test_arguments_of_one_copy_are_not_those_of_another() -> None:
    llm = Remote(generation_kwargs={"stop": ["a"]})
    twin = llm.copied()
    twin.generation_kwargs["stop"].append("b")  # type: ignore[index]
    assert llm.generation_kwargs == {"stop": ["a"]}


# ---------------------------------------------------------------------------------- identity


def test_identity_has_no_secret() -> None:
    llm = Remote(api_key=SecretStr("sesame"), draft=Remote(api_key=SecretStr("sesame")))
    assert "sesame" not in repr(llm.identity())
    assert "api_key" not in llm.identity()
    assert "sesame" not in repr(llm)
    assert (
        Remote(api_key=SecretStr("one")).fingerprint()
        == Remote(api_key=SecretStr("two")).fingerprint()
    )


def test_identity_has_what_changes_answers() -> None:
    models = [
        Remote(),
        Remote(model="large"),
        Remote(draft=Remote()),
        Remote(draft=Remote(model="large")),
        Remote(schema_class=Answer),
        Remote(use_offline_batch_generation=True),
    ]
    assert len({model.fingerprint() for model in models}) == len(models)
    assert Remote(generation_kwargs={"top_p": 1.0}).fingerprint() == Remote().fingerprint()


def test_what_load_made_is_not_pickled() -> None:
    llm = Remote(model="m")
    llm.load()
    twin = pickle.loads(pickle.dumps(llm))
    assert twin._client is None
    assert llm._client is not None
    assert (twin.model, twin.fingerprint()) == ("m", llm.fingerprint())
    assert twin.api_key.get_secret_value() == "very-secret"


# ---------------------------------------------------------------------------------- what is missing


def test_undefined_methods_say_what_to_define() -> None:
    class Nothing(LLM):
        pass

    class NothingAsync(AsyncLLM):
        pass

    with pytest.raises(DistilabelNotImplementedError, match="Nothing has to define `model_name`"):
        _ = Nothing().model_name
    with pytest.raises(DistilabelNotImplementedError, match="Nothing has to define `generate`"):
        Nothing().generate_outputs([CHAT])
    with pytest.raises(
        DistilabelNotImplementedError, match="NothingAsync has to define `agenerate`"
    ):
        NothingAsync().generate_outputs([CHAT])
    with pytest.raises(DistilabelNotImplementedError, match="EmbeddingGeneration"):
        Nothing().get_last_hidden_states([])


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="modell"):
        Remote(modell="m")  # type: ignore[call-arg]


def test_a_model_handler() -> None:
    llm = FakeLLM(tag=new_name())
    engine = llm.load_model()
    results: list[Any] = list(
        llm.run_inference(["a", CHAT, "[raise]"], engine, {"temperature": 0.5})
    )
    engine.release()
    assert [result.inference["generations"] for result in results] == [["a"], ["a"], [None]]
    assert results[2].inference["failure"]["kind"] == "engine"
    assert llm.batch_elements_kwargs()["min_batch_size"] == 256
