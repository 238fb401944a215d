"""Secrets that are named, and what becomes of secrets in pickles."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from apache_beam.internal import pickler
from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from beam_distilabel.cli.arguments import parse_parameters
from beam_distilabel.errors import DistilabelUserError, SecretNotFoundError
from beam_distilabel.hub import HubTarget, find_token
from beam_distilabel.models.base import LLM
from beam_distilabel.models.mixture_of_agents import MixtureOfAgentsLLM
from beam_distilabel.models.openai import OpenAILLM
from beam_distilabel.models.vllm.client import ClientvLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.secrets import SecretReference
from beam_distilabel.secrets.search import holds
from beam_distilabel.step import Step
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration

TOKEN = "tok-8d41b0e6f7a2c953"

ELSEWHERE = """
import json, pickle, sys
from apache_beam.internal import pickler
from pydantic import SecretBytes, SecretStr
from beam_distilabel.secrets.references import plain_if_there

def at(value, path):
    for name in path.split("."):
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    return value

def shown(value):
    if isinstance(value, (SecretStr, SecretBytes)):
        value = value.get_secret_value()
    return value.decode() if isinstance(value, bytes) else value

with open(sys.argv[1], "rb") as file:
    data = file.read()
try:
    value = (pickler if sys.argv[2] == "beam" else pickle).loads(data)
    if sys.argv[2] == "again":
        value = pickle.loads(pickle.dumps(value))
    if sys.argv[2] == "if there":
        value = {"text": plain_if_there(value)}
    print(json.dumps([shown(at(value, path)) for path in sys.argv[3:]]))
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


def elsewhere(data: bytes, folder: Path, *paths: str, how: str = "pickle", **env: str) -> Any:
    """What is at `paths` of a pickle's object in a process of its own, or the error."""
    (folder / "pickle").write_bytes(data)
    assert not holds(data, TOKEN)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(folder / "pickle"), how, *paths],
        env={
            **{k: v for k, v in os.environ.items() if TOKEN not in v},
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **env,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


class Asks(Step):
    key: SecretStr
    options: dict[str, Any] = {}

    def process(self, *inputs: Any) -> Any:
        yield inputs[0]


def test_a_name_is_taken_wherever_a_secret_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_KEY", TOKEN)
    (tmp_path / "key").write_text(f"{TOKEN}\n")
    file = f"file:{tmp_path}/key"
    for key in ("env:MY_KEY", SecretReference("env:MY_KEY"), SecretStr("env:MY_KEY"), file):
        for made in (
            OpenAILLM(model="m", api_key=key).api_key,
            Asks(key=key).key,
            HubTarget(repo_id="org/name", token=key).token,
        ):
            assert isinstance(made, SecretReference)
            assert made.get_secret_value() == TOKEN
            assert made == SecretStr(TOKEN) and SecretStr(TOKEN) == made
            assert TOKEN not in repr(made) + str(made)
    llm = OpenAILLM(model="m", api_key="x")
    llm.set_runtime_parameters(parse_parameters(["ask.llm.api_key=env:MY_KEY"])["ask"]["llm"])
    assert isinstance(llm.api_key, SecretReference)
    texts = [repr(model) for model in (llm, Asks(key="env:MY_KEY", options={"password": TOKEN}))]
    assert TOKEN not in "".join(texts)
    with pytest.raises(ValidationError, match="names no secret"):
        OpenAILLM(model="m", api_key="env:not a name")


def test_what_is_named_may_be_missing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONLY_THERE", raising=False)
    llm = OpenAILLM(model="m", api_key="env:ONLY_THERE")
    assert llm.fingerprint() != OpenAILLM(model="m", api_key="env:OTHER").fingerprint()
    assert pickle.loads(pickle.dumps(llm)).api_key == llm.api_key
    with pytest.raises(SecretNotFoundError, match="ONLY_THERE is not set on "):
        llm.load()


def test_pickles_open_here(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Asks(key=TOKEN, options={"headers": {"Authorization": f"Bearer {TOKEN}"}, "n": 1})
    for dumps, loads in ((pickle.dumps, pickle.loads), (pickler.dumps, pickler.loads)):
        data = dumps(step)
        assert not holds(data, TOKEN)
        again = loads(loads(dumps(loads(data))) and data)
        assert again.key.get_secret_value() == TOKEN
        assert type(again.key) is SecretStr
        assert again.options == step.options
    assert copy.deepcopy(step.key) == step.key
    assert step.copied().key.get_secret_value() == TOKEN


def test_anything_that_beam_pickles() -> None:
    class Nested(BaseModel):
        secret: SecretBytes

    values = [SecretStr(TOKEN), Nested(secret=TOKEN.encode()), {"a": (SecretStr(TOKEN),)}]
    data = pickler.dumps(lambda: values)
    assert not holds(data, TOKEN)
    found = pickler.loads(data)()
    assert found[0].get_secret_value() == TOKEN
    assert found[1].secret.get_secret_value() == TOKEN.encode()
    # Other pickles of the process are no business of ours.
    assert TOKEN.encode() in pickle.dumps(SecretStr(TOKEN))


def test_elsewhere_it_is_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOME_TOKEN", TOKEN)
    llm = OpenAILLM(
        model="m",
        api_key=TOKEN,
        default_headers={"Authorization": f"Bearer {TOKEN}", "X-Token": "env:OTHER_TOKEN"},
    )
    paths = (
        "api_key",
        "default_headers.Authorization",
        "default_headers.X-Token",
    )
    there = {"SOME_TOKEN": "tok-there", "OTHER_TOKEN": "other"}
    for how, dumps in (("pickle", pickle.dumps), ("beam", pickler.dumps)):
        found = elsewhere(dumps(llm), tmp_path, *paths, how=how, **there)
        assert found == ["tok-there", "Bearer tok-there", "other"]
    # Pickled there again, as runners do, it is still a name.
    found = elsewhere(pickle.dumps(llm), tmp_path, "api_key", how="again", **there)
    assert found == ["tok-there"]


def test_what_is_missing_elsewhere_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOME_TOKEN", TOKEN)
    inner = OpenAILLM(model="m", api_key=TOKEN)
    llm = MixtureOfAgentsLLM(aggregator_llm=inner, proposers_llms=[inner])
    task = TextGeneration(name="ask", llm=llm)
    kind, message = elsewhere(pickle.dumps(task), tmp_path)
    assert kind == "SecretNotFoundError"
    assert message.startswith("Step 'ask' (TextGeneration): OpenAILLM: api_key: the environment")
    assert "variable SOME_TOKEN is not set on " in message
    monkeypatch.delenv("SOME_TOKEN")
    kind, message = elsewhere(pickle.dumps(Asks(name="asks", key=TOKEN)), tmp_path)
    assert kind == "DistilabelUserError"
    assert message.startswith("Step 'asks' (Asks): key was given as it is")
    assert "env:MY_SECRET" in message


def test_what_is_no_secret_is_sent(tmp_path: Path) -> None:
    client = ClientvLLM(base_url="http://localhost/v1", model="m")
    assert elsewhere(pickle.dumps(client), tmp_path, "api_key") == ["EMPTY"]
    step = Asks(key="", input_mappings={"token": "text"}, options={"max_tokens": "4"})
    paths = ("key", "input_mappings.token", "options.max_tokens")
    assert elsewhere(pickle.dumps(step), tmp_path, *paths) == ["", "text", "4"]


def test_the_hub_s_login_is_optional_to_readers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    token = find_token(None)
    assert token is not None and token.get_secret_value() == TOKEN
    home = {"HF_HOME": str(tmp_path)}
    data = pickle.dumps(token)
    assert elsewhere(data, tmp_path, "text", how="if there", **home) == [None]
    found = elsewhere(data, tmp_path, "text", how="if there", HF_TOKEN="hers", **home)
    assert found == ["hers"]


class Echo(LLM):
    extra: dict[str, Any] = {}

    @property
    def model_name(self) -> str:
        return "echo"

    def load(self) -> None:
        super().load()


def test_references_in_dicts_are_read_by_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", TOKEN)
    llm = Echo(extra={"headers": {"Authorization": "Bearer env:MY_KEY", "Accept": "env:MY_KEY"}})
    llm.load()
    assert llm.extra == {"headers": {"Authorization": f"Bearer {TOKEN}", "Accept": "env:MY_KEY"}}
    assert not holds(pickle.dumps(llm), TOKEN)


def test_a_pipeline_file_may_name_a_variable_only(tmp_path: Path) -> None:
    with Pipeline(name="named") as pipeline:
        load = LoadDataFromDicts(data=[{"instruction": "Hi"}])
        load >> TextGeneration(name="ask", llm=OpenAILLM(model="m"))
    described = pipeline.dump()
    llm = described["pipeline"]["steps"][1]["step"]["llm"]
    llm["api_key"] = "env:MY_KEY"
    loaded: Any = Pipeline.from_dict(described).steps[1]
    assert loaded.llm.api_key.source == "env:MY_KEY"
    llm["api_key"] = "file:/etc/passwd"
    with pytest.raises(DistilabelUserError, match=r"which a pipeline file may not.*--param"):
        Pipeline.from_dict(described)
    del llm["api_key"]
    llm["default_headers"] = {"Authorization": "Bearer file:/etc/passwd"}
    with pytest.raises(DistilabelUserError, match="default_headers.Authorization names a file"):
        Pipeline.from_dict(described)
