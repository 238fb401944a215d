"""No job proto holds a secret, in any encoding; what would is refused before the run."""

from __future__ import annotations

import dataclasses
import json
import typing
from pathlib import Path
from typing import Any

import apache_beam as beam
import fsspec
import pytest
from apache_beam.internal import pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner
from fsspec.implementations.local import LocalFileSystem
from pydantic import BaseModel, PrivateAttr, Secret, SecretStr

import beam_distilabel.models.llms as llms
from beam_distilabel.dumping import is_secret
from beam_distilabel.errors import DistilabelUserError, RunFailedError
from beam_distilabel.inference import ContinuousRunInference
from beam_distilabel.models.base import EngineModel
from beam_distilabel.models.embeddings.vllm import vLLMEmbeddings
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.preflight import check_job, check_options, check_settings
from beam_distilabel.runners import choose_runner
from beam_distilabel.secrets.sealing import source_of
from beam_distilabel.secrets.search import holds
from beam_distilabel.step import Step, StepInput
from beam_distilabel.steps import LoadDataFromDicts, PushToHub
from beam_distilabel.steps.tasks import TextGeneration
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset
from beam_distilabel.transforms.sources.watch_files import PollFiles, WatchFiles
from tests.fakes import FakeLLM
from tests.hub.server import HubServer
from tests.pipeline.running import rows_of

TOKEN = "tok-8d41b0e6f7a2c953"

FIELDS: dict[str, dict[str, Any]] = {
    "AzureOpenAILLM": {"base_url": "http://localhost/v1", "api_version": "1"},
    "ClientvLLM": {"base_url": "http://localhost/v1"},
    "InferenceEndpointsLLM": {"model_id": "org/m"},
    "LlamaCppLLM": {"model_path": __file__},
    "MlxLLM": {"path_or_hf_repo": "m"},
    "MixtureOfAgentsLLM": {},
    "vLLM": {"engine": "url", "base_url": "http://localhost/v1"},
}
BASES = ("LLM", "AsyncLLM")
NAMES = [
    name for name in llms.__all__ if name not in BASES and issubclass(getattr(llms, name), llms.LLM)
]


def make(name: str) -> Any:
    """An LLM that holds the token wherever it can."""
    kind: Any = getattr(llms, name)
    if name == "MixtureOfAgentsLLM":
        return kind(aggregator_llm=make("OpenAILLM"), proposers_llms=[make("AnthropicLLM")])
    fields = dict(FIELDS.get(name, {}))
    for field, info in kind.model_fields.items():
        if is_secret(info.annotation):
            fields[field] = TOKEN
        elif field == "default_headers":
            fields[field] = {"Authorization": f"Bearer {TOKEN}"}
        elif info.is_required() and field not in fields:
            fields[field] = "m"
        elif field == "model" and field not in fields:
            fields[field] = "m"
    return kind(**fields)


def job() -> beam.Pipeline:
    return beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))


def payload(pipeline: beam.Pipeline) -> bytes:
    return pipeline.to_runner_api().SerializeToString()


@pytest.mark.parametrize("name", NAMES)
def test_models(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "vLLM":  # the embedded engine too
        own = llms.vLLM(model="m", extra_kwargs={"hf_token": TOKEN})
        pipeline = job()
        _ = pipeline | beam.Create(["a"]) | ContinuousRunInference(own)
        assert not holds(payload(pipeline), TOKEN)
    llm = make(name)
    pipeline = job()
    rows = pipeline | beam.Create([{"instruction": "a"}])
    _ = rows | TextGeneration(name="ask", llm=llm)
    _ = pipeline | "Texts" >> beam.Create(["a"]) | ContinuousRunInference(llm)
    data = payload(pipeline)
    assert holds(data, name), "the search doesn't see into the payloads"
    assert not holds(data, TOKEN)


def test_embeddings() -> None:
    model = vLLMEmbeddings(model="m", extra_kwargs={"hf_token": TOKEN})
    assert isinstance(model, EngineModel)
    pipeline = job()
    _ = pipeline | beam.Create(["a"]) | ContinuousRunInference(model)
    data = payload(pipeline)
    assert holds(data, "vLLMEmbeddings")
    assert not holds(data, TOKEN)


class Account(BaseModel):
    password: SecretStr


class Reports(Step):
    """A user's Step that holds the token in many ways."""

    key: SecretStr
    account: Account
    options: dict[str, Any]
    storage_options: dict[str, Any]

    def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
        yield [{**row, "length": len(self.key)} for row in inputs]


def reports() -> Reports:
    return Reports(
        name="reports",
        key=TOKEN,
        account=Account(password=TOKEN),
        options={"headers": [{"X-Api-Key": TOKEN}], "nested": {"password": TOKEN}},
        storage_options={"secret": TOKEN, "client_kwargs": {"aws_secret_access_key": TOKEN}},
    )


def test_steps_and_closures() -> None:
    secret = SecretStr(TOKEN)
    pipeline = job()
    rows = pipeline | beam.Create([{"a": 1}]) | reports()
    _ = rows | beam.Map(lambda row: {**row, "n": len(secret.get_secret_value())})
    data = payload(pipeline)
    assert holds(data, "client_kwargs")
    assert not holds(data, TOKEN)


def test_files_with_options(tmp_path: Path) -> None:
    from beam_distilabel.steps import LoadDataFromFileSystem

    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n')
    pipeline = job()
    load = LoadDataFromFileSystem(
        data_files=str(tmp_path / "rows.jsonl"),
        storage_options={"token": TOKEN, "skip_instance_cache": True},
    )
    _ = pipeline | load
    data = payload(pipeline)
    assert holds(data, "skip_instance_cache")
    assert not holds(data, TOKEN)


@pytest.mark.parametrize("given", [True, False])
def test_publishing(
    given: bool, hub: HubServer, hub_client: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = hub.token if given else None
    if given:
        monkeypatch.delenv("HF_TOKEN")
    pipeline = job()
    rows = pipeline | beam.Create([{"a": 1}])
    passed = rows | PushToHub(name="push", repo_id=f"{hub.namespace}/step", token=token)
    target = {"repo_id": f"{hub.namespace}/result", "token": token}
    _ = {"default": passed} | WriteDistiset(str(tmp_path / "result"), hub=target)
    data = payload(pipeline)
    assert holds(data, f"{hub.namespace}/result")
    assert not holds(data, hub.token)


class Sent(PipelineRunner):
    """Notes the jobs it is given, and runs them in this process."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[bytes] = []

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> Any:
        self.jobs.append(pipeline.to_runner_api().SerializeToString())
        return FnApiRunner().run_pipeline(pipeline, options)


def asking(**fields: Any) -> Pipeline:
    with Pipeline(name="asking") as pipeline:
        load = LoadDataFromDicts(data=[{"instruction": "Hi"}])
        load >> TextGeneration(name="ask", llm=Keyed(**fields))
    return pipeline


class Keyed(FakeLLM):
    api_key: SecretStr | None = None
    options: dict[str, Any] = {}


def test_a_run_sends_no_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hub: HubServer, hub_client: Path
) -> None:
    monkeypatch.setenv("SOME_TOKEN", TOKEN)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("MY_HUB", hub.token)
    sent = Sent()
    target = {"repo_id": f"{hub.namespace}/result", "token": "env:MY_HUB"}
    distiset = asking(api_key=TOKEN, options={"password": TOKEN}).run(
        runner=sent, output_dir=tmp_path / "run", push_to_hub=target
    )
    assert len(rows_of(distiset)) == 1
    assert len(sent.jobs) == 1
    assert holds(sent.jobs[0], "Keyed")
    for secret in (TOKEN, hub.token):
        assert not holds(sent.jobs[0], secret)
    for file in (tmp_path / "run").rglob("*"):
        assert not file.is_file() or not holds(file.read_bytes(), TOKEN), file


def test_what_has_no_name_is_refused(tmp_path: Path) -> None:
    sent = Sent()
    where = {"runner": sent, "output_dir": tmp_path / "run"}
    for fields, path, variable in (
        ({"api_key": TOKEN}, "llm.api_key", "API_KEY"),
        ({"options": {"a": {"x-token": TOKEN}}}, "llm.options.a.x-token", "X_TOKEN"),
    ):
        with pytest.raises(
            DistilabelUserError, match=rf"Step 'ask' \(TextGeneration\): {path} is given as it is"
        ) as caught:
            asking(**typing.cast("dict[str, Any]", fields)).run(**where)
        assert f"'env:{variable}'" in str(caught.value)
        assert TOKEN not in str(caught.value)
    hub = {"repo_id": "org/result", "token": TOKEN}
    with pytest.raises(DistilabelUserError, match="push_to_hub: token is given as it is"):
        asking().run(push_to_hub=hub, **where)
    with pytest.raises(DistilabelUserError, match="'s3_secret_access_key' holds a secret"):
        asking().run(options=[f"--s3_secret_access_key={TOKEN}"], **where)
    assert sent.jobs == []
    # In this process nothing is sent.
    assert len(rows_of(asking(api_key=TOKEN).run(output_dir=tmp_path / "here"))) == 1


def test_what_is_named_has_to_be_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(DistilabelUserError, match=r"llm.api_key: .*NOWHERE is not set on "):
        asking(api_key="env:NOWHERE").run(output_dir=tmp_path / "run")


def test_code_that_holds_a_secret_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str, held: Any) -> None:
        class Closes(Step):
            def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
                yield [{**row, "n": len(str(held))} for row in inputs]

        with Pipeline(name=name) as pipeline:
            LoadDataFromDicts(data=[{"a": 1}]) >> Closes(name="closes")
        pipeline.run(runner=sent, output_dir=tmp_path / name)

    sent = Sent()
    with pytest.raises(DistilabelUserError, match="code of the pipeline holds is given as it is"):
        run("secret-str", SecretStr(TOKEN))
    monkeypatch.setenv("SOME_TOKEN", TOKEN)
    run("named", SecretStr(TOKEN))
    assert len(sent.jobs) == 1
    with pytest.raises(DistilabelUserError) as caught:
        run("text", TOKEN)  # which pickles can't tell from other texts
    assert "environment variable SOME_TOKEN in 'closes/" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert len(sent.jobs) == 1


class Derived(SecretStr):
    pass


@dataclasses.dataclass(frozen=True)
class Login:
    password: str
    user: str = "me"


class Access(BaseModel):
    password: str


class Holds(Step):
    """Each field may hold the token, and each in another way."""

    generic: Secret[str] | None = None
    login: Login | None = None
    access: Access | None = None
    listed: list[dict[str, Any]] = []
    base_url: str = ""
    urls: list[str] = []
    headers: dict[str, str] = {}
    _api_key: str = PrivateAttr("")
    _api_key_env_var: str = PrivateAttr("MY_API_KEY")

    def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
        held = [self.login, self.access, self.listed, self.base_url, self.urls, self.headers]
        held += [self._api_key, self.generic.get_secret_value() if self.generic else ""]
        # The token itself isn't named here: code takes along what it names.
        yield [{**row, "has": "8d41b0e6f7a" in repr(held)} for row in inputs]


HELD: dict[str, Any] = {
    "generic": TOKEN,
    "login": Login(TOKEN),
    "access": Access(password=TOKEN),
    "listed": [{"Authorization": TOKEN}],
    "base_url": f"https://me:{TOKEN}@localhost/v1",
    "urls": [f"https://localhost/a?X-Amz-Signature={TOKEN}"],
    "headers": {"X-Other": f"Bearer {TOKEN}"},
    "_api_key": TOKEN,
}


@pytest.mark.parametrize("field", HELD)
def test_other_holders(field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def holding() -> Holds:
        step = Holds(name="holds", **({} if field == "_api_key" else {field: HELD[field]}))
        if field == "_api_key":
            step._api_key = TOKEN
        return step

    def held() -> Pipeline:
        with Pipeline(name="held") as pipeline:
            LoadDataFromDicts(data=[{"a": 1}]).connect(holding())
        return pipeline

    assert TOKEN not in json.dumps(holding().dump())
    sent = Sent()
    with pytest.raises(DistilabelUserError, match=f"Step 'holds'.*: {field}") as caught:
        held().run(runner=sent, output_dir=tmp_path / "run")
    assert TOKEN not in str(caught.value)
    assert sent.jobs == []
    # With a name it is read again.
    monkeypatch.setenv("SOME_TOKEN", TOKEN)
    if field in ("base_url", "urls"):
        monkeypatch.setenv("THE_URL", HELD["base_url"] if field == "base_url" else HELD["urls"][0])
    assert rows_of(held().run(runner=sent, output_dir=tmp_path / "named"))[0]["has"]
    assert not holds(sent.jobs[0], TOKEN)
    for file in (tmp_path / "named").rglob("*"):
        assert not file.is_file() or not holds(file.read_bytes(), TOKEN), file


@pytest.mark.parametrize("secret", [Derived(TOKEN), Secret[str](TOKEN), Secret[int](12345678901)])
def test_kinds_of_secrets_in_closures(secret: Any) -> None:
    pipeline = job()
    _ = pipeline | beam.Create([1]) | beam.Map(lambda row: secret.get_secret_value())
    data = payload(pipeline)
    assert holds(data, "get_secret_value")
    assert not holds(data, TOKEN)
    opened = pickler.loads(pickler.dumps(secret))
    assert type(opened) is type(secret)
    assert opened.get_secret_value() == secret.get_secret_value()
    with pytest.raises(DistilabelUserError, match="code of the pipeline holds is given as it is"):
        check_job(pipeline)


def test_tokens_by_their_form() -> None:
    """No variable has it, and nothing says that it is one."""
    token = "hf_" + "a1" * 15
    pipeline = job()
    _ = pipeline | beam.Create([1]) | "Asks" >> beam.Map(lambda row: f"{token} {row}")
    for shares_process in (True, False):
        with pytest.raises(DistilabelUserError, match="would hold a token in 'Asks") as caught:
            check_job(pipeline, shares_process)
        assert token not in str(caught.value)


def test_a_part_of_a_text_is_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "abcdef123456")
    assert source_of("Bearer abcdef123456") == ("Bearer ", "env:SOME_TOKEN", "")
    for text in ("session=abcdef123456; csrf=T", "abcdef123456 T", "x:y abcdef123456"):
        assert source_of(text) is None


@pytest.mark.parametrize(
    ("runner", "options", "name"),
    [
        ("flink", ["--environment_type=PROCESS", "--environment_config=%s"], "worker_command"),
        ("flink", {"environment": "process", "worker_command": "/boot --k=%s"}, "worker_command"),
        ("flink", {"configuration": {"a.b": "%s"}}, "configuration"),
        ("flink", {"configuration": {"s3.secret-key": "T"}}, "configuration.s3.secret-key"),
        ("PortableRunner", ["--environment_config=%s"], "environment_config"),
    ],
)
def test_options(
    runner: str, options: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.dumps({"command": "/bin/true", "env": {"X": TOKEN}})
    monkeypatch.setenv("SOME_TOKEN", TOKEN)

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("%s", config if "config=" in value else TOKEN)
        if isinstance(value, dict):
            return {key: filled(item) for key, item in value.items()}
        return [filled(item) for item in value]

    settings = choose_runner(runner, filled(options))
    with pytest.raises(DistilabelUserError, match=f"options: .*({name}|flags)") as caught:
        check_settings(settings)
        check_options(settings.pipeline_options())
    assert TOKEN not in str(caught.value)


def test_watched_files_have_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    class Guarded(LocalFileSystem):
        protocol = "guarded"

        def __init__(self, *args: Any, secret: Any = None, **kwargs: Any) -> None:
            seen.append(secret)
            super().__init__(*args, **kwargs)

    fsspec.register_implementation("guarded", Guarded, clobber=True)
    monkeypatch.setenv("S3_SECRET_KEY", TOKEN)
    for options in ({"secret": "env:S3_SECRET_KEY"}, {"secret": TOKEN}):
        pipeline = job()
        _ = pipeline | WatchFiles("guarded:///nowhere/*.jsonl", storage_options=options)
        data = payload(pipeline)
        assert holds(data, "secret")
        assert not holds(data, TOKEN)
        poll = pickler.loads(pickler.dumps(PollFiles(storage_options=options)))
        assert list(poll._files(f"guarded://{tmp_path}")) == []
        assert seen.pop() == TOKEN
        Guarded.clear_instance_cache()


def test_a_function_s_variables_stay_here() -> None:
    """pydantic keeps them with a model class that the function defines."""
    unused, file = TOKEN, open(__file__, encoding="utf-8")

    class Schema(BaseModel):
        name: str

    class Local(Step):
        options: dict[str, Any] = {}

        def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
            yield [{**row, "schema": list(Schema.model_fields)} for row in inputs]

    with file:
        pipeline = job()
        local = Local(options={"schema": Schema})
        _ = pipeline | beam.Create([{"a": 1}]) | local
        data = payload(pipeline)
    assert holds(data, "Schema")
    assert not holds(data, unused)


def test_large_jobs_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import numpy as np

    large = np.random.default_rng(0).bytes(11_000_000)

    class Drags(Step):
        def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
            yield [{**row, "n": len(large)} for row in inputs]

    pipeline = job()
    _ = pipeline | beam.Create([{"a": 1}]) | Drags(name="drags")
    check_job(pipeline)
    assert "MB are 'drags/" in caplog.text


def test_a_missing_secret_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are processes of their own here; one of their variables isn't set."""
    monkeypatch.setenv("SOME_TOKEN", TOKEN)

    class Forgets(FnApiRunner):
        def run_via_runner_api(self, proto: Any, options: PipelineOptions) -> Any:
            monkeypatch.delenv("SOME_TOKEN")
            return super().run_via_runner_api(proto, options)

    options = PipelineOptions(["--direct_running_mode=multi_processing"])
    with pytest.raises((DistilabelUserError, RunFailedError)) as caught:
        asking(api_key=TOKEN).run(runner=Forgets(), options=options, output_dir=tmp_path / "run")
    assert "Step 'ask' (TextGeneration): Keyed: api_key: " in str(caught.value)
    assert "SOME_TOKEN is not set on " in str(caught.value)
