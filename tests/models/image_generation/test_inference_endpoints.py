"""`InferenceEndpointsImageGeneration`: the Hub's own SDK against a local server."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from datasets import Dataset

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.models.image_generation import InferenceEndpointsImageGeneration
from beam_distilabel.models.remote import retries
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import ImageGeneration
from tests.json_server import Answer, JsonServer, Request

KEY = "hf_the_key_of_the_test"


def picture() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGBA", (3, 2), "red").save(file, format="PNG")
    return file.getvalue()


def answer(request: Request) -> Answer:
    return Answer(picture(), headers={"content-type": "image/png"})


ROWS = [{"prompt": "a cat"}, {"prompt": "a dog"}]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def server() -> Iterator[JsonServer]:
    with JsonServer(answer) as made:
        yield made


def made(server: JsonServer, *prompts: str, **fields: Any) -> list[list[dict[str, Any]]]:
    """What the model gives for prompts; `arguments` are of the generation."""
    arguments = fields.pop("arguments", {})
    given = {"base_url": server.url, "api_key": KEY, **fields}
    model = InferenceEndpointsImageGeneration(**given)
    model.load()
    try:
        return model.generate_outputs(list(prompts or ["a cat"]), **arguments)
    finally:
        model.unload()


def assert_is_the_picture(image: str) -> None:
    from PIL import Image

    opened = Image.open(io.BytesIO(base64.b64decode(image)))
    assert (opened.format, opened.size) == ("JPEG", (3, 2))


def test_a_prompt_with_arguments(server: JsonServer) -> None:
    arguments = {"height": 512.0, "num_inference_steps": 4, "negative_prompt": "a dog"}
    ((output,),) = made(server, arguments=arguments)
    assert_is_the_picture(*output["images"])
    (request,) = server.received
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {"inputs": "a cat", "parameters": arguments}
    assert isinstance(request.body["parameters"]["height"], int)


def test_each_generation_is_an_image_of_its_own(server: JsonServer) -> None:
    outputs = made(server, "a", "b", arguments={"num_generations": 2})
    assert [len(one) for one in outputs] == [2, 2]
    assert sorted(request.body["inputs"] for request in server.received) == list("aabb")


def test_what_fails_is_tried_again_when_the_server_says(server: JsonServer) -> None:
    broken = picture()[:50]
    server.troubles += [
        Answer({"error": "loading"}, 503, {"retry-after": "0.01"}),
        None,
        Answer(b"no picture", headers={"content-type": "image/png"}),
        Answer(broken, headers={"content-type": "image/png"}),
    ]
    ((output,),) = made(server)
    assert_is_the_picture(*output["images"])
    assert len(server.received) == 5


def test_what_stays_unanswered_costs_its_row(server: JsonServer) -> None:
    for reply, kind in (
        (Answer({"error": f"bad prompt {KEY}"}, 422), "refused"),
        (Answer({"error": f"out of memory {KEY}"}, 500), "engine"),
        (Answer(b"no picture", headers={"content-type": "image/png"}), "engine"),
    ):
        server.troubles.append(reply)
        (output,) = made(server, "bad", max_retries=0)[0]
        assert output["images"] == [] and output["failure"]["kind"] == kind
        assert KEY not in output["failure"]["message"]


def test_a_wrong_key_ends_the_run(server: JsonServer) -> None:
    server.troubles.append(Answer({"error": f"invalid credentials {KEY}"}, 401))
    with pytest.raises(EngineError, match="401") as caught:
        made(server)
    assert KEY not in str(caught.value)


def test_arguments_are_checked_early() -> None:
    def checked(**arguments: Any) -> None:
        InferenceEndpointsImageGeneration(
            model_id="a", api_key=KEY, generation_kwargs=arguments
        ).check_generation_kwargs()

    with pytest.raises(DistilabelUserError, match="Did you mean 'height'"):
        checked(heigth=1)
    with pytest.raises(DistilabelUserError, match="width=0"):
        checked(width=0)
    with pytest.raises(ValueError, match="InferenceEndpointsImageGeneration needs one of"):
        InferenceEndpointsImageGeneration()


def test_a_pipeline_with_it_is_dumped_loaded_and_run(
    server: JsonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Pipeline("images") as pipeline:
        load = LoadDataFromDicts(data=ROWS)
        model = InferenceEndpointsImageGeneration(
            base_url=server.url, api_key=KEY, model_display_name="painter"
        )
        load >> ImageGeneration(name="paint", image_generation_model=model)
    assert KEY not in json.dumps(pipeline.dump())
    monkeypatch.setenv("HF_TOKEN", KEY)
    again = Pipeline.from_dict(pipeline.dump())
    assert again.dump() == pipeline.dump()
    (rows,) = again.run(dataset=Dataset.from_list(ROWS), use_cache=False)["default"].values()
    assert [row["model_name"] for row in rows] == ["painter", "painter"]
    for row in rows:
        assert_is_the_picture(row["image"])
