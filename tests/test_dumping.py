"""What is written of Steps and models, and what isn't."""

import dataclasses
import json
from typing import Any

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr

from beam_distilabel.dumping import encode, is_secret, names_secret, without_secrets
from beam_distilabel.models.base import LLM
from beam_distilabel.models.vllm import vLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.step import Step
from beam_distilabel.transforms.sources.load_data_from_dicts import LoadDataFromDicts
from beam_distilabel.transforms.sources.load_data_from_file_system import LoadDataFromFileSystem
from beam_distilabel.transforms.tasks.text_generation import TextGeneration
from beam_distilabel.typing import StepInput, StepOutput

PLANTED = "planted-5f1c"

SECRET = (
    "token hf_token HF_TOKEN github_token access_token authToken auth_tokens session-token "
    "api_key apikey apiKey API_KEY OPENAI_API_KEY x-api-key api_keys openai_key aws_access_key_id "
    "aws_secret_access_key accessKey account_key private_key SecretKey secret client_secret "
    "secrets password db_password passwd Authorization proxy-authorization auth Cookie "
    "credential credentials google_credentials connection_string sas sas_token storage_options"
).split()
HARMLESS = (
    "max_new_tokens max_tokens min_tokens stop_token_ids tokenizer tokenizer_mode token_count "
    "tokens input_tokens skip_special_tokens eos_token bos_token pad_token stop_token key keys "
    "system_prompt_key primary_key sort_key keep_columns author authored_by keyboard monkey "
    "use_offline_batch_generation sasquatch instruction columns tokenize n_tokens"
).split()


class Scripted(LLM):
    """A user's client of a service."""

    token: str | None = None
    headers: dict[str, str] = {}
    settings: dict[str, Any] = {}
    max_new_tokens: int = 16
    stop_token_ids: list[int] = []
    system_prompt_key: str = ""

    @property
    def model_name(self) -> str:
        return "scripted"


class Keyed(Step):
    """A user's Step with names that look a little like secrets'."""

    primary_key: str = ""
    token_count: int = 0
    storage_options: dict[str, Any] | None = None
    columns_schema: dict[str, Any] = {}

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield inputs


def planted() -> Pipeline:
    with Pipeline(name="planted") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"instruction": "x"}])
        local = TextGeneration(
            name="local",
            llm=vLLM(model="tiny", extra_kwargs={"hf_token": PLANTED, "max_model_len": 64}),
        )
        remote = TextGeneration(
            name="remote",
            llm=Scripted(
                token=PLANTED,
                headers={"Authorization": f"Bearer {PLANTED}", "Accept": "*/*"},
                settings={"a": [{"nested": {"apiKey": PLANTED, "region": "x"}}], "use_auth": True},
                max_new_tokens=7,
                stop_token_ids=[1, 2],
                system_prompt_key="sys",
            ),
            input_mappings={"instruction": "token"},
        )
        keyed = Keyed(
            name="keyed",
            primary_key="id",
            token_count=3,
            storage_options={"anon": False, "endpoint": PLANTED},
            columns_schema={"properties": {"token": {"type": "string"}}, "required": ["token"]},
        )
        load >> [local, remote]
        local >> keyed
        remote >> keyed
        LoadDataFromFileSystem(name="files", storage_options={"key": PLANTED})
    return pipeline


@pytest.mark.parametrize("name", SECRET)
def test_names_of_secrets(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_names(name: str) -> None:
    assert not names_secret(name)


@pytest.mark.parametrize("cls", [vLLM, TextGeneration, LoadDataFromDicts, LLM])
def test_no_ordinary_field_is_left_out(cls: Any) -> None:
    fields = cls.model_fields.items()
    ordinary = [name for name, field in fields if not is_secret(field.annotation)]
    assert [name for name in ordinary if names_secret(name)] == []


def test_no_planted_secret_is_dumped() -> None:
    dumped = json.dumps(planted().dump())
    assert PLANTED not in dumped
    assert "Accept" in dumped and "max_model_len" in dumped and "region" in dumped


def test_ordinary_names_survive_a_round_trip() -> None:
    dumped = planted().dump()
    loaded = Pipeline.from_dict(dumped)
    assert loaded.dump() == dumped
    local, remote, keyed = (loaded.graph.get(name) for name in ("local", "remote", "keyed"))
    assert local.llm.extra_kwargs == {"max_model_len": 64}  # type: ignore[attr-defined]
    llm = remote.llm  # type: ignore[attr-defined]
    assert (llm.max_new_tokens, llm.stop_token_ids, llm.system_prompt_key) == (7, [1, 2], "sys")
    assert llm.headers == {"Accept": "*/*"}
    assert llm.settings == {"a": [{"nested": {"region": "x"}}], "use_auth": True}
    assert llm.token is None
    assert remote.input_mappings == {"instruction": "token"}  # names of columns are no secrets
    assert (keyed.primary_key, keyed.token_count) == ("id", 3)  # type: ignore[attr-defined]
    assert keyed.storage_options is None  # type: ignore[attr-defined]
    assert keyed.columns_schema["properties"] == {  # type: ignore[attr-defined]
        "token": {"type": "string"}
    }


def test_secrets_inside_of_other_objects() -> None:
    @dataclasses.dataclass
    class Client:
        url: str
        password: str

    class Options(BaseModel):
        api_key: str
        region: str

    assert encode([Client("here", PLANTED), Options(api_key=PLANTED, region="x")]) == [
        {"url": "here"},
        {"region": "x"},
    ]
    assert encode({"a": SecretStr(PLANTED), "b": SecretBytes(b"x")}) == {"a": None, "b": None}


def test_a_schema_keeps_its_properties_but_not_what_only_looks_like_one() -> None:
    assert encode({"properties": {"password": PLANTED, "region": "x"}}) == {
        "properties": {"region": "x"}
    }


def test_tokens_are_left_out_whatever_their_name() -> None:
    token = "sk-proj-" + "a1" * 12
    found = {
        "X-Custom": token,
        "X-Other": f"Token {token}",
        "X-Text": f"say {token} twice",
        "A": "b",
    }
    assert without_secrets(found) == {"X-Text": "say *** twice", "A": "b"}
