"""`TransformersLLM` with a real tiny model on the CPU."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.ml.inference.base import RunInference
from apache_beam.testing.util import assert_that, equal_to

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.models.engine import GenerateRequest, engines
from beam_distilabel.models.local.engine import BatchEngine
from beam_distilabel.models.transformers import TransformersLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import GenerateEmbeddings, TextGeneration
from tests.tiny_model import make_tiny_model

CHAT: Any = [{"role": "user", "content": "how many words does the fox need"}]
SCHEMA = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 0, "maximum": 999},
        "kind": {"enum": ["fox", "dog"]},
    },
    "required": ["count", "kind"],
    "additionalProperties": False,
}
TIGHT = {"format": "json", "schema": SCHEMA, "whitespace_pattern": " ?"}


@pytest.fixture(scope="module")
def llm(tiny_model_path: Path) -> Iterator[TransformersLLM]:
    made = TransformersLLM(model=str(tiny_model_path), torch_dtype="float32", batch_size=4)
    made.load()
    yield made
    made.unload()


def engine_of(llm: TransformersLLM) -> BatchEngine:
    engine = llm.loaded_engine()
    assert isinstance(engine, BatchEngine)
    return engine


def ask(llm: TransformersLLM, requests: list[GenerateRequest]) -> list[Any]:
    engine = engine_of(llm)

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(
            *(engine.generate(request) for request in requests), return_exceptions=True
        )

    return engine.call(all_of_them())


def request(text: str, seed: int | None, n: int = 1, **kwargs: Any) -> GenerateRequest:
    chat: Any = [{"role": "user", "content": text}]
    arguments = {"max_new_tokens": 12, "temperature": 1.0, **kwargs}
    return GenerateRequest(chat, n, arguments, seed)


def test_answers_have_tokens_and_finish_reasons(llm: TransformersLLM) -> None:
    (output,) = llm.generate_outputs([CHAT], num_generations=2, max_new_tokens=5, temperature=1.0)
    assert len(set(output["generations"])) == 2
    assert output["statistics"]["input_tokens"] == [10]
    for tokens, reason in zip(
        output["statistics"]["output_tokens"], output["finish_reasons"], strict=True
    ):
        assert (tokens == 5) if reason == "length" else (0 < tokens <= 5)


def test_the_greedy_answer_is_that_of_transformers(
    llm: TransformersLLM, tiny_model_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model_path)
    model = AutoModelForCausalLM.from_pretrained(tiny_model_path, dtype=torch.float32)
    text = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    for penalty in (1.0, 1.3):
        expected = model.generate(
            ids, do_sample=False, max_new_tokens=10, repetition_penalty=penalty
        )
        # Beside a longer prompt, so that this one is padded.
        output = llm.generate_outputs(
            [CHAT, "the quick brown fox " * 9],
            max_new_tokens=10,
            do_sample=False,
            repetition_penalty=penalty,
        )[0]
        told = tokenizer.decode(expected[0, ids.shape[1] :], skip_special_tokens=True)
        assert output["generations"] == [told]


def test_an_answer_depends_on_its_seed_and_not_on_its_batch(llm: TransformersLLM) -> None:
    alone = ask(llm, [request("the fox", 7)])[0]["generations"]
    others = [request(f"the lazy dog {'jumps ' * i}", 100 + i) for i in range(9)]
    crowded = ask(llm, [*others[:5], request("the fox", 7), *others[5:]])
    assert crowded[5]["generations"] == alone
    assert ask(llm, [request("the fox", 8)])[0]["generations"] != alone
    several = ask(llm, [request("the fox", 7, n=6)])[0]["generations"]
    assert several[0] == alone[0]
    assert len(set(several)) == 6


def test_sampling_takes_from_the_likeliest(llm: TransformersLLM) -> None:
    (greedy,) = llm.generate_outputs([CHAT], max_new_tokens=6, temperature=0)
    for arguments in ({"top_k": 1}, {"top_p": 0.001}, {"do_sample": False}):
        (output,) = llm.generate_outputs(
            [CHAT], 2, max_new_tokens=6, **{"temperature": 5.0, **arguments}
        )
        assert output["generations"] == greedy["generations"] * 2


def test_samples_have_the_models_distribution() -> None:
    import torch

    from beam_distilabel.models.transformers.processors import Choice

    chances = torch.tensor([0.5, 0.3, 0.2, 0.0])
    choice = Choice(range(4000), "cpu")
    chosen = choice(torch.zeros(4000, 1), chances.log().repeat(4000, 1)).argmax(-1)
    shares = torch.bincount(chosen, minlength=4) / 4000
    assert shares[3] == 0
    assert torch.allclose(shares, chances, atol=0.03)


def test_structures_stay_with_their_rows(llm: TransformersLLM) -> None:
    regex = {"format": "regex", "schema": r"(yes|no)-\d{3}"}
    inputs: Any = [(CHAT, TIGHT), (CHAT, regex), CHAT, (CHAT, TIGHT)]
    outputs = llm.generate_outputs(inputs, 2, max_new_tokens=60, temperature=1.0)
    for output in (outputs[0], outputs[3]):
        for text, reason in zip(output["generations"], output["finish_reasons"], strict=True):
            assert reason == "stop" and text is not None
            answer = json.loads(text)
            assert 0 <= answer["count"] <= 999 and answer["kind"] in ("fox", "dog")
    for text in outputs[1]["generations"]:
        assert text is not None and text[-4] == "-" and text[:-4] in ("yes", "no")
    assert not any(text and text.startswith("{") for text in outputs[2]["generations"])


def test_what_cannot_be_asked_costs_its_row_only(llm: TransformersLLM) -> None:
    bad_schema = (CHAT, {"format": "regex", "schema": "(?=look)ahead"})
    inputs: Any = [
        "the fox " * 2000,
        [{"role": "tool", "content": "x"}],
        bad_schema,
        [],
        CHAT,
    ]
    outputs = llm.generate_outputs(inputs, max_new_tokens=3)
    kinds = [(output.get("failures") or [{}])[0].get("kind") for output in outputs]
    assert kinds == ["too_long", "render", "refused", "render", None]
    assert isinstance(outputs[-1]["generations"][0], str)


def test_the_answer_ends_with_the_context(tiny_model_path: Path, tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "short", context=32)
    llm = TransformersLLM(model=str(model))
    llm.load()
    try:
        short, long = llm.generate_outputs(
            ["the", "the quick brown fox jumps over the lazy dog"], max_new_tokens=30
        )
    finally:
        llm.unload()
    for output in (short, long):
        counts = output["statistics"]
        assert counts["input_tokens"][0] + counts["output_tokens"][0] <= 32
    assert long["statistics"]["output_tokens"][0] < 30


def test_a_batch_that_does_not_fit_is_halved(
    llm: TransformersLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    backend = engine_of(llm)._backend
    sizes = []
    generate = backend.model.generate  # type: ignore[union-attr]

    def short_of_memory(input_ids: Any, **kwargs: Any) -> Any:
        sizes.append(len(input_ids))
        if len(input_ids) > 2:
            raise torch.OutOfMemoryError("no more")
        return generate(input_ids=input_ids, **kwargs)

    monkeypatch.setattr(backend.model, "generate", short_of_memory)  # type: ignore[union-attr]
    monkeypatch.setattr(backend, "fitting", 4)
    outputs = ask(llm, [request("the fox", i) for i in range(6)])
    assert all(output["generations"][0] is not None for output in outputs)
    assert [size for size in sizes if size > 2] == [4]


def test_hidden_states_have_no_padding(llm: TransformersLLM) -> None:
    long = "the quick brown fox jumps over the lazy dog " * 2
    alone = llm.get_last_hidden_states([CHAT])[0]
    together = llm.get_last_hidden_states([CHAT, long])
    assert alone.shape == (10, 128) and alone.dtype == np.float32
    assert together[1].shape[0] > 10
    np.testing.assert_allclose(together[0], alone, atol=1e-4)
    step = GenerateEmbeddings(llm=llm)
    [row] = next(step.process([{"text": CHAT}]))
    assert row["embedding"] == alone[-1].tolist()


def test_the_user_is_next_with_magpie(tiny_model_path: Path) -> None:
    llm = TransformersLLM(
        model=str(tiny_model_path), use_magpie_template=True, magpie_pre_query_template="<|user|>"
    )
    llm.load()
    try:
        backend: Any = engine_of(llm)._backend
        system: Any = [{"role": "system", "content": "Be kind."}]
        decoded = [backend.tokenizer.decode(backend.tokens(chat)) for chat in ([], system, CHAT)]
        assert decoded[0] == "<|user|>"
        assert decoded[1] == "<|system|>Be kind.</s><|user|>"
        assert decoded[2].endswith("<|assistant|>")
        assert llm.generate_outputs([system], max_new_tokens=3)[0]["generations"][0] is not None
    finally:
        llm.unload()
    with pytest.raises(ValueError, match="magpie_pre_query_template"):
        TransformersLLM(model="x", use_magpie_template=True)


def test_a_model_without_a_template_takes_single_messages(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "base", chat_template=None)
    llm = TransformersLLM(model=str(folder))
    llm.load()
    try:
        (output,) = llm.generate_outputs([CHAT], max_new_tokens=2)
        assert output["generations"][0] is not None
        with pytest.raises(EngineError, match="no chat template"):
            llm.generate_outputs([[{"role": "system", "content": "x"}, *CHAT]])
    finally:
        llm.unload()


def test_equal_llms_share_the_model(llm: TransformersLLM) -> None:
    equal = TransformersLLM(
        **{name: getattr(llm, name) for name in ("model", "torch_dtype", "batch_size")},
        structured_output=TIGHT,
        generation_kwargs={"max_new_tokens": 60, "temperature": 1.0},
    )
    engine = equal.load_model()
    try:
        assert engine is llm.loaded_engine()
    finally:
        engines.release(engine)
    assert equal.get_generation_kwargs()["structured_output"]["schema"] == SCHEMA
    other = llm.copied()
    other.model = "another"
    assert other.fingerprint() != llm.fingerprint()


def test_it_works_in_beams_own_run_inference(llm: TransformersLLM) -> None:
    with beam.Pipeline() as pipeline:
        results = (
            pipeline
            | beam.Create(["the fox", "the dog"])
            | RunInference(llm, inference_args={"max_new_tokens": 3})
        )
        assert_that(
            results | beam.Map(lambda result: isinstance(result.inference["generations"][0], str)),
            equal_to([True, True]),
        )


def test_a_pipeline_repeats_itself(tiny_model_path: Path) -> None:
    def run() -> list[Any]:
        with Pipeline("local") as pipeline:
            load = LoadDataFromDicts(data=[{"instruction": f"the fox {i}"} for i in range(5)])
            llm = TransformersLLM(
                model=str(tiny_model_path),
                batch_size=2,
                generation_kwargs={"max_new_tokens": 6, "temperature": 1.0},
            )
            load >> TextGeneration(llm=llm)
        rows = pipeline.run(use_cache=False)["default"]["train"]
        return sorted((row["instruction"], row["generation"]) for row in rows)

    first = run()
    assert len({text for _, text in first}) == 5
    assert run() == first


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"temprature": 1}, "Did you mean 'temperature'"),
        ({"max_new_tokens": 0}, "max_new_tokens=0"),
        ({"top_p": 2.0}, "top_p=2.0"),
    ],
)
def test_wrong_arguments_are_found_early(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(DistilabelUserError, match=message):
        TransformersLLM(model="x", generation_kwargs=kwargs).check_generation_kwargs()


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="is not there"):
        TransformersLLM(model=str(tmp_path / "none")).load()
    (tmp_path / "empty").mkdir()
    with pytest.raises(EngineError, match="can't load"):
        TransformersLLM(model=str(tmp_path / "empty")).load()


def test_where_the_model_goes() -> None:
    assert TransformersLLM(model="x").placement(False) == ({}, "cpu")
    assert TransformersLLM(model="x").placement(True) == ({}, "cuda:0")
    assert TransformersLLM(model="x", cuda_devices=[2, 3]).placement(True) == ({}, "cuda:2")
    chosen = TransformersLLM(model="x", cuda_devices=[2], disable_cuda_device_placement=True)
    assert chosen.placement(True) == ({}, "cuda:0")
    assert TransformersLLM(model="x", device_map="auto").placement(True) == (
        {"device_map": "auto"},
        None,
    )
    with pytest.raises(ValueError, match="give one of them"):
        TransformersLLM(model="x", device=0, device_map="auto")


def test_the_token_stays_out_of_dumps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret_of_the_test")
    llm = TransformersLLM(model="x")
    assert llm.token is not None and llm.token.get_secret_value() == "hf_secret_of_the_test"
    assert "hf_secret" not in json.dumps(llm.dump()) + repr(llm)
