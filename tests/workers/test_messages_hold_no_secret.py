"""What errors of a user's own code say of a key is hidden wherever messages go."""

from __future__ import annotations

import secrets as standard_secrets
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.redaction import hide_secrets
from beam_distilabel.runners import choose_runner
from beam_distilabel.secret_texts import hide_in_url, is_authorization, remember_secret
from beam_distilabel.secrets import SecretReference
from beam_distilabel.step import Step, StepInput
from beam_distilabel.steps import LoadDataFromDicts, PushToHub
from beam_distilabel.steps.tasks import TextGeneration
from tests.fakes import FakeLLM


class Says(FakeLLM):
    """Tells of its key, as endpoints do."""

    api_key: SecretStr
    headers: dict[str, str] = {}

    async def agenerate(self, input: Any, num_generations: int = 1, **kwargs: Any) -> Any:
        if "row 1" in str(input):
            raise ValueError(f"401: bad key {self.api_key.get_secret_value()} {self.headers}")
        return await super().agenerate(input, num_generations, **kwargs)


class SaysStep(Step):
    api_key: SecretStr

    def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
        raise ValueError(f"401: bad key {self.api_key.get_secret_value()}")
        yield


def given(how: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> tuple[str, str]:
    """A new secret, and what a user writes for it."""
    # New ones each time: what is known is known to the whole process.
    secret = f"tok-{standard_secrets.token_hex(9)}"
    monkeypatch.setenv("MY_KEY", secret)
    (folder / "key").write_text(f"{secret}\n")
    if how == "literal":
        monkeypatch.delenv("MY_KEY")
        return secret, secret
    return secret, "env:MY_KEY" if how == "variable" else f"file:{folder / 'key'}"


def assert_hidden(secret: str, run_dir: Path) -> None:
    for file in run_dir.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file
            if file.suffix == ".parquet":
                assert secret not in str(pq.read_table(file).to_pylist()), file


@pytest.mark.parametrize("how", ["literal", "variable", "file"])
def test_an_error_that_quotes_the_key(
    how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secret, written = given(how, monkeypatch, tmp_path)
    other = f"tok-{standard_secrets.token_hex(9)}"
    with Pipeline(name="says") as pipeline:
        load = LoadDataFromDicts(data=[{"instruction": f"row {i}"} for i in range(3)])
        headers = {"X-Plain": f"Bearer {other}"}
        load >> TextGeneration(name="ask", llm=Says(api_key=written, headers=headers))
    distiset = pipeline.run(output_dir=tmp_path / "run")
    rows = str(list(distiset["default"]["train"]))
    assert "401: bad key ***" in rows
    captured = capfd.readouterr()
    for one in (secret, other):
        assert one not in rows
        assert one not in captured.out + captured.err
        assert_hidden(one, tmp_path / "run")


@pytest.mark.parametrize("how", ["literal", "file"])
def test_a_run_that_ends_for_it(
    how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secret, written = given(how, monkeypatch, tmp_path)
    with Pipeline(name="ends") as pipeline:
        LoadDataFromDicts(data=[{"a": 1}]) >> SaysStep(name="says", api_key=written)
    with pytest.raises(Exception, match="says") as caught:
        pipeline.run(output_dir=tmp_path / "run")
    assert secret not in str(caught.value)
    captured = capfd.readouterr()
    assert secret not in captured.out + captured.err
    assert_hidden(secret, tmp_path / "run")


def test_what_is_remembered() -> None:
    key = f"k{standard_secrets.token_hex(4)}"
    text = f"{key} {key}-longer 'Bearer {key}'"
    assert hide_secrets(text) == text
    remember_secret(f"Bearer {key}")
    remember_secret(f"{key}-longer")
    assert hide_secrets(text) == "*** *** '***'"
    remember_secret("a b")
    assert hide_secrets("a b") == "a b"  # too short
    quoted = f"{key}\"/'"
    remember_secret(quoted)
    assert hide_secrets(repr([quoted])) == "['***']"


def test_what_names_no_secret_isn_t_repeated() -> None:
    for text in ("tok-8d41b0e6f7a2c953", "hf_" + "a1" * 15):
        with pytest.raises(DistilabelUserError, match="names no secret") as caught:
            SecretReference(f"env:{text}")
        assert text not in str(caught.value)


def test_what_can_t_be_a_secret_isn_t_repeated() -> None:
    token = "tok-8d41b0e6f7a2c953"
    with pytest.raises(ValueError, match="token\n.*valid string") as caught:
        PushToHub(name="push", repo_id="a/b", token={"a": token})
    assert token not in str(caught.value)
    for runner, options in (
        ("flink", {"configuration": {"s3.secret-key": [token]}}),
        ("direct", [f"--s3_secret_access_key={token}", "--bogus=1"]),
        ("direct", [token]),
        ("dataflow", {"labels": {"token": f"{token}!"}, "project": "my-project"}),
    ):
        with pytest.raises(ValueError, match="options: ") as failed:
            choose_runner(runner, options)
        assert token not in str(failed.value)


def test_addresses_and_headers() -> None:
    for plain in (
        "http://localhost:8000/v1",
        "abfs://folder@account.dfs.core.windows.net/x",
        "hf://datasets/org/name@refs%2Fconvert/a.parquet",
        "s3://bucket/key=1/part.jsonl",
        "write to https://u:p@h, please",
    ):
        assert hide_in_url(plain) == plain
    for secret, shown in (
        ("https://u:T@h/v1", "https://***@h/v1"),
        ("https://h/v1?auth=T&v=1", "https://h/v1?auth=***&v=1"),
        ("https://h/a?X-Amz-Signature=T", "https://h/a?X-Amz-Signature=***"),
        ("zip://a::https://u:T@h/b.zip", "zip://a::https://***@h/b.zip"),
    ):
        assert hide_in_url(secret) == shown
    assert is_authorization("Basic dXNlcjpwYXNz")
    assert not is_authorization("Bearer of news")
