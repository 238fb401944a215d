"""`OpenAIImageGeneration`: OpenAI's own SDK against a local server that speaks its protocol."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from datasets import Dataset

from beam_distilabel.errors import DistilabelUserError, EngineError, GenerationError
from beam_distilabel.models.image_generation import OpenAIImageGeneration, openai
from beam_distilabel.models.remote import retries
from beam_distilabel.models.user_engine import run_coroutine
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import ImageGeneration
from tests.json_server import Answer, JsonServer, Request

KEY = "sk-the-key-of-the-test"
SIGNATURE = "the-signature-of-the-address"
PICTURE = b"\x89PNG of a cat"
IMAGE = base64.b64encode(PICTURE).decode()
MADE = "/v1/images/generations"
FILE = f"/files/cat.png?sig={SIGNATURE}"

ROWS = [{"prompt": "a cat"}, {"prompt": "a dog"}]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def server() -> Iterator[JsonServer]:
    def answer(request: Request) -> Answer:
        if request.method == "GET":
            return Answer(PICTURE, headers={"content-type": "image/png"})
        by_url = request.body.get("response_format") == "url"
        image = {"url": f"{server.url}{FILE}"} if by_url else {"b64_json": IMAGE}
        return Answer({"created": 1, "data": [image]})

    with JsonServer(answer) as server:
        yield server


def model_at(server: JsonServer, **fields: Any) -> OpenAIImageGeneration:
    given = {"model": "dall-e-3", "base_url": f"{server.url}/v1", "api_key": KEY, **fields}
    return OpenAIImageGeneration(**given)


def made(server: JsonServer, *prompts: Any, **fields: Any) -> list[list[dict[str, Any]]]:
    """What the model gives for prompts; `arguments` are of the generation."""
    arguments = fields.pop("arguments", {})
    model = model_at(server, **fields)
    model.load()
    try:
        return model.generate_outputs(list(prompts or ["a cat"]), **arguments)
    finally:
        model.unload()


def paths(server: JsonServer) -> list[str]:
    return [request.path for request in server.received]


def test_an_image_is_fetched_from_its_address(server: JsonServer) -> None:
    arguments = {"size": "1024x1024", "quality": "hd", "style": "natural"}
    assert made(server, arguments=arguments) == [[{"images": [IMAGE]}]]
    asked, fetched = server.received
    assert asked.path == MADE and asked.headers["authorization"] == f"Bearer {KEY}"
    wanted = {"model": "dall-e-3", "prompt": "a cat", "n": 1, "response_format": "url", **arguments}
    assert asked.body == wanted
    assert fetched.path == FILE and "authorization" not in fetched.headers


@pytest.mark.parametrize("form", ["b64_json", None])
def test_an_image_in_the_answer(server: JsonServer, form: str | None) -> None:
    arguments = {"response_format": form, "quality": None}
    assert made(server, arguments=arguments) == [[{"images": [IMAGE]}]]
    (asked,) = server.received
    assert asked.body.get("response_format") == form and "quality" not in asked.body


def test_each_generation_is_an_image_of_its_own(server: JsonServer) -> None:
    arguments = {"response_format": "b64_json", "num_generations": 3}
    assert made(server, "a", "b", arguments=arguments) == [[{"images": [IMAGE]}] * 3] * 2
    assert sorted(request.body["prompt"] for request in server.received) == list("aaabbb")


def test_what_fails_is_tried_again_when_the_server_says(server: JsonServer) -> None:
    soon = {"retry-after": "0.01"}
    server.troubles += [
        Answer({"error": {"message": "slow down"}}, 429, soon),
        None,
        Answer({"created": 1, "data": []}),
        Answer({"created": 1, "data": [{"b64_json": "no base64"}]}),
    ]
    assert made(server) == [[{"images": [IMAGE]}]]
    keys = [request.headers["idempotency-key"] for request in server.received[:-1]]
    assert len(keys) == 5 and len(set(keys)) == 1


def test_an_image_is_fetched_again_and_not_made_again(server: JsonServer) -> None:
    image = {"url": f"{server.url}{FILE}"}
    server.troubles += [Answer({"created": 1, "data": [image]}), Answer({}, 503), None]
    assert made(server) == [[{"images": [IMAGE]}]]
    assert paths(server) == [MADE, FILE, FILE, FILE]


def test_what_stays_unanswered_costs_its_row(
    server: JsonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai, "MAX_IMAGE_BYTES", 4)
    policy = {"error": {"message": f"no {KEY}", "code": "content_policy_violation"}}
    image = {"url": f"{server.url}{FILE}"}
    for replies, kind, said in (
        ([Answer(policy, 400)], "refused", "content filter refused"),
        ([Answer({"error": {"message": "busy"}}, 500)], "engine", "failed .500."),
        ([Answer({"created": 1, "data": [image]}), Answer({}, 404)], "engine", "there is nothing"),
        ([], "engine", "more than 4 bytes"),
    ):
        server.troubles += replies
        ((output,),) = made(server, max_retries=0)
        failure = output["failure"]
        assert output["images"] == [] and failure["kind"] == kind
        assert re.search(said, failure["message"])
        assert KEY not in failure["message"] and SIGNATURE not in failure["message"]


def test_an_address_without_https_of_an_endpoint_with_it(server: JsonServer) -> None:
    model = model_at(server, base_url="https://images.example/v1")
    with pytest.raises(GenerationError, match="isn't https"):
        run_coroutine(lambda: model._fetched(f"{server.url}{FILE}"))
    assert server.received == []


def test_a_wrong_key_ends_the_run(server: JsonServer) -> None:
    server.troubles.append(Answer({"error": {"message": f"wrong key {KEY}"}}, 401))
    with pytest.raises(EngineError, match="401") as caught:
        made(server)
    assert KEY not in str(caught.value)


def test_arguments_are_checked_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def checked(**arguments: Any) -> None:
        OpenAIImageGeneration(model="a", generation_kwargs=arguments).check_generation_kwargs()

    with pytest.raises(DistilabelUserError, match="Did you mean 'quality'"):
        checked(qualty="hd")
    with pytest.raises(DistilabelUserError, match="style='loud'"):
        checked(style="loud")
    with pytest.raises(ValueError, match="images have no structure"):
        OpenAIImageGeneration(model="a", structured_output={"schema": {}})
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(DistilabelUserError, match="OPENAI_API_KEY"):
        OpenAIImageGeneration(model="a").load()


def test_a_pipeline_with_it_is_dumped_loaded_and_run(
    server: JsonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Pipeline("images") as pipeline:
        load = LoadDataFromDicts(data=ROWS)
        load >> ImageGeneration(
            name="paint",
            num_generations=2,
            image_generation_model=model_at(server, generation_kwargs={"size": "256x256"}),
        )
    assert KEY not in json.dumps(pipeline.dump())
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    again = Pipeline.from_dict(pipeline.dump())
    assert again.dump() == pipeline.dump()
    (rows,) = again.run(dataset=Dataset.from_list(ROWS), use_cache=False)["default"].values()
    assert [(row["image"], row["model_name"]) for row in rows] == [(IMAGE, "dall-e-3")] * 4
    bodies = [request.body for request in server.received if request.body]
    assert [body["size"] for body in bodies] == ["256x256"] * 4
