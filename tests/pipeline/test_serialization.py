"""Pipelines as files: what is written, what is read, and what is refused."""

from __future__ import annotations

import datetime
import decimal
import enum
import http.server
import json
import re
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml
from pydantic import AnyUrl, BaseModel, Field, SecretBytes, SecretStr

from beam_distilabel.errors import DistilabelUserError, PipelineValidationError
from beam_distilabel.models import llms
from beam_distilabel.models.base import LLM
from beam_distilabel.pipeline import (
    Pipeline,
    register,
    registry,
    routing_batch_function,
    sample_n_steps,
)
from beam_distilabel.steps import (
    KeepColumns,
    LoadDataFromDicts,
    LoadDataFromHub,
    Step,
    StepResources,
)
from beam_distilabel.steps.tasks import PrometheusEval, TextGeneration
from beam_distilabel.version import __version__
from tests.hub.server import HubServer
from tests.pipeline.fakes import Add, Merge, TaggedEcho
from tests.pipeline.running import rows_of

EnumType = enum.EnumMeta  # `enum.EnumType` from Python 3.11 on


def everything() -> Pipeline:
    with Pipeline(name="all", description="Everything.", requirements=["pyarrow>=1"]) as pipeline:
        load = LoadDataFromDicts(
            name="load", data=[{"x": 1, "instruction": "a secret row"}], batch_size=3
        )
        one = TextGeneration(
            name="one",
            llm=TaggedEcho(
                tag="one", api_key=SecretStr("sk-super-secret"), generation_kwargs={"suffix": "!"}
            ),
            num_generations=2,
            system_prompt="Ünïcode: {x}",
            output_mappings={"generation": "first"},
            resources=StepResources(replicas=2, gpus=1),
            on_failure="drop",
        )
        two = Add(name="two", value="v", input_mappings={"x": "x"})
        judge = PrometheusEval(
            name="judge",
            llm=TaggedEcho(),
            mode="absolute",
            rubric="helpfulness",
            reference=False,
            input_mappings={"generation": "first"},
        )
        load >> sample_n_steps(1) >> [one, two]
        one >> judge
        [one, two] >> Merge(name="merge")
    return pipeline


@pytest.mark.parametrize("form", ["dict", "json", "yaml", "yml"])
def test_dump_and_load_agree(tmp_path: Path, form: str) -> None:
    pipeline = everything()
    dumped = pipeline.dump()
    if form == "dict":
        loaded = Pipeline.from_dict(dumped)
    else:
        path = tmp_path / f"folder/pipeline.{form}"
        pipeline.save(path, "json" if form == "json" else "yaml")
        loaded = Pipeline.from_file(path)
        other = Pipeline.from_json if form == "json" else Pipeline.from_yaml
        assert other(path).dump() == dumped
    assert loaded.dump() == dumped
    assert json.loads(json.dumps(dumped)) == dumped
    assert loaded.name == "all" and loaded.description == "Everything."
    one = loaded.graph.get("one")
    assert (one.llm.tag, one.num_generations, one.resources.gpus) == ("one", 2, 1)
    assert one.llm.get_generation_kwargs() == {"suffix": "!"}
    assert loaded.graph.routers["load"].description == pipeline.graph.routers["load"].description
    assert loaded.graph.predecessors("merge") == ["one", "two"]


def test_what_is_loaded_runs_as_the_original(tmp_path: Path) -> None:
    pipeline = everything()
    loaded = Pipeline.from_dict(pipeline.dump())
    loaded.graph.get("load").data = pipeline.graph.get("load").data
    original = pipeline.run(output_dir=tmp_path / "one")
    again = loaded.run(output_dir=tmp_path / "two")
    assert list(original) == list(again)
    for subset in original:
        assert rows_of(original, subset) == rows_of(again, subset)


def test_neither_secrets_nor_data_are_written(tmp_path: Path) -> None:
    run = tmp_path / "run"
    pipeline = everything()
    pipeline.run(parameters={"judge": {"llm": {"api_key": "sk-of-the-run"}}}, output_dir=run)
    for file in ("pipeline.yaml", "run.json", "report.json", "pipeline.log", "distiset/README.md"):
        text = (run / file).read_text()
        assert "secret-key" not in text and "sk-" not in text, file
    assert "a secret row" not in (run / "pipeline.yaml").read_text()
    assert "api_key" not in json.dumps(
        [s["step"]["llm"] for s in pipeline.dump()["pipeline"]["steps"] if "llm" in s["step"]]
    )


def test_the_file_of_a_run_loads(tmp_path: Path) -> None:
    everything().run(output_dir=tmp_path / "run")
    assert Pipeline.from_file(tmp_path / "run" / "pipeline.yaml").dump() == everything().dump()


# A file as distilabel 1.5.3 writes it; TaggedEcho stands for the user's own LLM.
OF_DISTILABEL = """
distilabel:
  version: 1.5.3
pipeline:
  name: demo
  description: d
  steps:
  - step:
      name: load
      resources: {replicas: 1, cpus: null, gpus: null, memory: null, resources: null}
      input_mappings: {}
      output_mappings: {}
      use_cache: true
      batch_size: 3
      runtime_parameters_info:
      - name: resources
        runtime_parameters_info:
        - {name: replicas, optional: true, description: The number of replicas for the step.}
      - {name: batch_size, optional: true, description: The number of rows in a batch.}
      type_info: {module: distilabel.steps.generators.data, name: LoadDataFromDicts}
    name: load
  - step:
      name: a
      resources: {replicas: 1, cpus: null, gpus: null, memory: null, resources: null}
      input_mappings: {}
      output_mappings: {}
      use_cache: true
      input_batch_size: 3
      llm:
        generation_kwargs: {temperature: 0.9}
        use_offline_batch_generation: false
        offline_batch_generation_block_until_done: null
        jobs_ids: null
        tag: a
        type_info: {module: __main__, name: TaggedEcho}
      group_generations: false
      add_raw_output: true
      add_raw_input: true
      num_generations: 2
      use_default_structured_output: false
      system_prompt: null
      use_system_prompt: true
      template: '{{ instruction }}'
      columns: [instruction]
      runtime_parameters_info:
      - name: llm
        runtime_parameters_info:
        - name: generation_kwargs
          description: The kwargs to be propagated.
          keys:
          - {name: temperature, optional: true}
      type_info: {module: distilabel.steps.tasks.text_generation, name: TextGeneration}
    name: a
  - step:
      name: b
      resources: {replicas: 1, cpus: null, gpus: null, memory: null, resources: null}
      input_mappings: {}
      output_mappings: {}
      use_cache: true
      input_batch_size: 3
      llm:
        generation_kwargs: {}
        use_offline_batch_generation: false
        offline_batch_generation_block_until_done: null
        jobs_ids: null
        tag: b
        type_info: {module: __main__, name: TaggedEcho}
      group_generations: false
      add_raw_output: true
      add_raw_input: true
      num_generations: 1
      use_default_structured_output: false
      system_prompt: null
      use_system_prompt: true
      template: '{{ instruction }}'
      columns: [instruction]
      type_info: {module: distilabel.steps.tasks.text_generation, name: TextGeneration}
    name: b
  - step:
      name: g
      resources: {replicas: 1, cpus: null, gpus: null, memory: null, resources: null}
      input_mappings: {}
      output_mappings: {}
      use_cache: true
      input_batch_size: 3
      columns: [generation]
      output_columns: [generations]
      runtime_parameters_info:
      - {name: input_batch_size, optional: true, description: The number of rows in a batch.}
      type_info: {module: distilabel.steps.columns.group, name: GroupColumns}
    name: g
  connections:
  - {from: load, to: [a, b]}
  - {from: a, to: [g]}
  - {from: b, to: [g]}
  - {from: g, to: []}
  routing_batch_functions:
  - step: load
    description: Sample 1 steps from the list of downstream steps.
    type_info:
      module: distilabel.pipeline.routing_batch_function
      name: sample_n_steps
      kwargs: {n: 1}
  type_info: {module: distilabel.pipeline.local, name: Pipeline}
requirements: [datasets>=2]
"""


def test_a_file_of_distilabel_loads_and_runs(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(OF_DISTILABEL)
    pipeline = Pipeline.from_yaml(tmp_path / "pipeline.yaml")
    assert pipeline.step_names == ["load", "a", "b", "g"]
    assert pipeline.requirements == ["datasets>=2"]
    assert isinstance(pipeline.graph.get("a").llm, TaggedEcho)
    assert pipeline.graph.get("a").llm.generation_kwargs == {"temperature": 0.9}
    assert pipeline.graph.get("load").batch_size == 3
    with pytest.raises(PipelineValidationError) as caught:
        pipeline.run(output_dir=tmp_path / "run")
    assert "Step 'load' (LoadDataFromDicts) has no data" in str(caught.value)
    assert "`pipeline.run(dataset=...)`" in str(caught.value)
    assert not (tmp_path / "run").exists()
    dataset = [{"instruction": f"i{x}"} for x in range(12)]
    rows = rows_of(pipeline.run(dataset=dataset, output_dir=tmp_path / "run"))
    answers = {row["instruction"]: row["generations"][0].partition(":")[0] for row in rows}
    assert len(answers) == 12 and set(answers.values()) == {"a", "b"}
    assert len(rows) == sum(2 if tag == "a" else 1 for tag in answers.values())
    assert Pipeline.from_dict(pipeline.dump()).dump() == pipeline.dump()


# -- rows for a loader without data ----------------------------------------------------------------


def without_data(*names: str) -> Pipeline:
    with Pipeline(name="p") as pipeline:
        add = Merge(name="merge") if len(names) > 1 else Add(name="add")
        for name in names:
            (
                LoadDataFromDicts(
                    name=name, data=[{"y": 1}], batch_size=7, output_mappings={"y": "x"}
                )
                >> add
            )
    return Pipeline.from_dict(pipeline.dump())


@pytest.mark.parametrize("kind", ["dicts", "datasets", "folder"])
def test_the_dataset_of_a_run_takes_the_loaders_place(tmp_path: Path, kind: str) -> None:
    rows = [{"y": x} for x in range(5)]
    dataset: Any = rows
    if kind == "datasets":
        dataset = datasets.Dataset.from_list(rows)
    elif kind == "folder":
        dataset = tmp_path / "data"
        dataset.mkdir()
        (dataset / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pipeline = without_data("load")
    distiset = pipeline.run(dataset=dataset, output_dir=tmp_path / "run")
    assert rows_of(distiset) == [{"x": x, "a": str(x)} for x in range(5)]
    # The pipeline's own loader is as it was, and so is what the run says of it.
    assert pipeline.graph.get("load").needs_data
    assert Pipeline.from_file(tmp_path / "run/pipeline.yaml").dump() == pipeline.dump()


def test_a_dry_run_takes_it_too() -> None:
    pipeline = without_data("load")
    assert rows_of(pipeline.dry_run(dataset=[{"y": 1}, {"y": 2}])) == [{"x": 1, "a": "1"}]
    with pytest.raises(PipelineValidationError, match="'load'.*has no data"):
        pipeline.dry_run()


def test_what_takes_its_place_has_the_columns_that_it_renames() -> None:
    pipeline = without_data("load")
    message = "'load'.*`dataset` has no column 'y'.*Did you mean 'yy'.*It has: yy, z"
    with pytest.raises(PipelineValidationError, match=message):
        pipeline.dry_run(dataset=[{"yy": 1, "z": 2}])


def test_a_retry_finds_the_folder_that_the_run_was_given(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/rows.jsonl").write_text('{"y": 1}\n')
    pipeline = without_data("load")
    pipeline.run(dataset=tmp_path / "data", output_dir=tmp_path / "run")
    assert rows_of(pipeline.retry(tmp_path / "run")) == [{"x": 1, "a": "1"}]


def test_one_dataset_is_not_that_of_two_loaders(tmp_path: Path) -> None:
    pipeline = without_data("one", "two")
    with pytest.raises(PipelineValidationError, match="Steps 'one', 'two' have no data"):
        pipeline.run(dataset=[{"y": 1}], output_dir=tmp_path / "run")
    pipeline.graph.get("one").data = [{"y": 1}]
    with pytest.raises(PipelineValidationError, match="loads its own rows by Step 'one'"):
        pipeline.run(dataset=[{"y": 1}], output_dir=tmp_path / "run")


# -- values that JSON has no form for --------------------------------------------------------------


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    size: int = 1
    path: Path = Path("a/b")


class Answer(BaseModel):
    """An answer."""

    text: str
    inner: Inner | None = None


class Everything(Step):
    """A Step with fields of all kinds."""

    color: Color = Color.RED
    colors: EnumType = Color
    path: Path = Path("x/y")
    day: datetime.date = datetime.date(2024, 1, 2)
    moment: datetime.datetime = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    while_: datetime.timedelta = datetime.timedelta(seconds=90)
    price: decimal.Decimal = decimal.Decimal("1.10")
    number: uuid.UUID = uuid.UUID(int=7)
    tags: set[str] = {"b", "a", "c"}
    pair: tuple[int, str] = (1, "x")
    raw: bytes = b"\x00\xff"
    texts: bytes = b"plain"
    inner: Inner = Field(default_factory=Inner)
    inners: dict[str, dict[str, Inner]] = Field(default_factory=dict)
    pattern: re.Pattern[str] = re.compile("a+")
    address: AnyUrl | None = None
    limit: float = float("inf")
    llms: list[LLM] = Field(default_factory=list)
    by_name: dict[str, LLM] = Field(default_factory=dict)
    anything: Any = None


def pipeline_of(step: Callable[[], Any]) -> Pipeline:
    with Pipeline(name="p") as pipeline:
        step()
    return pipeline


FILLED: dict[str, Any] = {
    "color": Color.BLUE,
    "tags": {"ü", "z"},
    "pair": (2, "y"),
    "inners": {"a": {"b": Inner(size=3, path=Path("/c"))}},
    "address": "https://example.com/a?b=c",
    "llms": [TaggedEcho(tag="1"), TaggedEcho(tag="2", generation_kwargs={"suffix": "?"})],
    "by_name": {"x": TaggedEcho(tag="3")},
    "anything": {
        "type_info": "a word",
        "_type": "x",
        "list": [{"runtime_parameters_info": 3}],
    },
}


@pytest.mark.parametrize("form", ["dict", "json", "yaml"])
@pytest.mark.parametrize("fields", [{}, FILLED], ids=["defaults", "filled"])
def test_values_of_all_kinds_are_read_as_they_were(
    tmp_path: Path, form: str, fields: dict[str, Any]
) -> None:
    pipeline = pipeline_of(lambda: Everything(name="all", **fields))
    dumped = pipeline.dump()
    if form == "dict":
        loaded = Pipeline.from_dict(dumped)
    else:
        pipeline.save(tmp_path / f"pipeline.{form}")
        loaded = Pipeline.from_file(tmp_path / f"pipeline.{form}")
    assert loaded.dump() == dumped
    before, after = pipeline.steps[0], loaded.steps[0]
    for name in set(Everything.model_fields) - {"llms", "by_name", "colors", "resources"}:
        assert getattr(after, name) == getattr(before, name), name
    made: Any = after
    assert [llm.tag for llm in made.llms] == ["1", "2"][: len(made.llms)]
    assert all(isinstance(llm, TaggedEcho) for llm in made.by_name.values())
    # As distilabel loads it: a class of the same name and members.
    assert made.colors.__name__ == "Color"
    assert {m.name: m.value for m in made.colors} == {"RED": "red", "BLUE": "blue"}


def test_the_enumerations_of_distilabels_files() -> None:
    """What distilabel 1.5.3 writes of a class of an enumeration, whose type it would evaluate."""
    data = pipeline_of(lambda: Everything(name="all")).dump()
    step = data["pipeline"]["steps"][0]["step"]
    assert step["colors"] == {
        "_type": "enum",
        "_enum_type": "str",
        "_name": "Color",
        "_values": {"RED": "red", "BLUE": "blue"},
    }
    step["colors"] = {"_type": "enum", "_enum_type": "int", "_name": "N", "_values": {"ONE": 1}}
    loaded: Any = Pipeline.from_dict(data).steps[0]
    assert loaded.colors.ONE == 1 and isinstance(loaded.colors.ONE, int)
    step["colors"]["_enum_type"] = "str"
    with pytest.raises(DistilabelUserError, match="'all', field 'colors': this is no enum"):
        Pipeline.from_dict(data)


@pytest.mark.parametrize("llm", ["OpenAILLM", "vLLM", "LiteLLM"])
@pytest.mark.parametrize("of_llm", [True, False])
def test_schemas_survive(llm: str, of_llm: bool) -> None:
    cls = getattr(llms, llm)
    structure = {"format": "json", "schema": Answer}
    fields: dict[str, Any] = (
        {"structured_output": structure}
        if of_llm
        else {"generation_kwargs": {"extra": {"schema": Answer}}}
    )
    made = pipeline_of(lambda: TextGeneration(name="ask", llm=cls(model="m", **fields)))
    dumped = made.dump()
    assert Answer.model_json_schema() == (
        dumped["pipeline"]["steps"][0]["step"]["llm"]["structured_output"]["schema"]
        if of_llm
        else dumped["pipeline"]["steps"][0]["step"]["llm"]["generation_kwargs"]["extra"]["schema"]
    )
    loaded = Pipeline.from_dict(json.loads(json.dumps(dumped)))
    assert loaded.dump() == dumped
    if of_llm:
        before, after = (p.graph.get("ask").llm.get_generation_kwargs() for p in (made, loaded))
        assert after == before


def test_lists_of_models_as_distilabel_writes_them() -> None:
    data = pipeline_of(
        lambda: Everything(name="all", llms=[TaggedEcho(tag=str(i)) for i in range(12)])
    ).dump()
    step = data["pipeline"]["steps"][0]["step"]
    step["llms"] = {str(i): llm for i, llm in enumerate(step["llms"])}
    loaded: Any = Pipeline.from_dict(data).steps[0]
    assert [llm.tag for llm in loaded.llms] == [str(i) for i in range(12)]


def test_tuples_as_pyyaml_writes_them(tmp_path: Path) -> None:
    data = pipeline_of(lambda: Everything(name="all")).dump()
    data["pipeline"]["steps"][0]["step"]["pair"] = (3, "z")
    (tmp_path / "p.yaml").write_text(yaml.dump(data))
    assert "!!python/tuple" in (tmp_path / "p.yaml").read_text()
    loaded: Any = Pipeline.from_file(tmp_path / "p.yaml").steps[0]
    assert loaded.pair == (3, "z")


# -- secrets ---------------------------------------------------------------------------------------

SECRETS: dict[str, dict[str, Any]] = {
    "argument": {"generation_kwargs": {"api_key": "s3cr3t-value"}},
    "header": {"generation_kwargs": {"extra_headers": {"X-Api-Key": "s3cr3t-value"}}},
    "authorization": {"generation_kwargs": {"x": {"y": "Bearer s3cr3t-vAlue"}}},
    "list of headers": {"generation_kwargs": {"x": [["Authorization", "Bearer s3cr3t-Value"]]}},
    "nested lists": {"generation_kwargs": {"x": [[{"password": "s3cr3t-value"}]]}},
    "password of a url": {"generation_kwargs": {"url": "https://me:s3cr3t-value@host/v1"}},
    "key of a url": {"generation_kwargs": {"url": ["https://host/v1?api_key=s3cr3t-value"]}},
    "storage options": {"generation_kwargs": {"storage_options": {"any": "s3cr3t-value"}}},
    "secret in a dict": {"generation_kwargs": {"x": SecretStr("s3cr3t-value")}},
    "secrets in lists": {"generation_kwargs": {"x": [[SecretStr("s3cr3t-value")]]}},
    "secret bytes": {"generation_kwargs": {"x": SecretBytes(b"s3cr3t-value")}},
    "token by its form": {"generation_kwargs": {"x": "use hf_" + "s3cr3tvalue" * 3}},
    "field": {"openai_key": "s3cr3t-value"},
    "field of headers": {"default_headers": {"api-key": "s3cr3t-value"}},
    "own secret": {"own": SecretStr("s3cr3t-value")},
    "dict of secrets": {"owns": {"a": SecretStr("s3cr3t-value")}},
    "secret that is named": {"own": "env:S3CR3T_VALUE"},
}  # fmt: skip


class Secretive(TaggedEcho):
    openai_key: str = "none"
    default_headers: dict[str, str] = {}
    own: SecretStr | None = None
    owns: dict[str, SecretStr] = {}

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1, **kwargs: Any
    ) -> Any:
        return {"generations": ["x"] * num_generations}


@pytest.mark.parametrize("kind", SECRETS)
def test_no_secret_is_written(tmp_path: Path, kind: str) -> None:
    llm = Secretive(**SECRETS[kind])
    pipeline = pipeline_of(lambda: TextGeneration(name="ask", llm=llm))
    for extension in ("yaml", "json"):
        pipeline.save(tmp_path / f"p.{extension}")
        text = (tmp_path / f"p.{extension}").read_text()
        assert "s3cr3t" not in text.lower(), text
        loaded = Pipeline.from_file(tmp_path / f"p.{extension}")
        assert loaded.dump() == pipeline.dump()


# -- what is refused -------------------------------------------------------------------------------


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    """The dump of `everything` with another value at `path`."""
    data: Any = json.loads(json.dumps(everything().dump()))
    target = data
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return data


ONE = ["pipeline", "steps", 1, "step"]


@pytest.mark.parametrize(
    ("path", "value", "texts"),
    [
        ([*ONE, "type_info", "name"], "TextGeneratio", ["'one'", "mean 'TextGeneration'?"]),
        ([*ONE, "type_info"], {"module": "os", "name": "system"}, ["'one'", "'system'", "'os'"]),
        ([*ONE, "type_info"], None, ["'one'", "no class"]),
        ([*ONE, "llm", "type_info", "name"], "TaggedEch", ["'one'", "'llm'", "mean 'TaggedEcho'?"]),
        ([*ONE, "llm", "type_info"], {"module": "subprocess", "name": "Popen"}, ["'Popen'"]),
        ([*ONE, "llm", "type_info"], {"module": "x", "name": "TextGeneration"}, ["'one'", "llm"]),
        ([*ONE, "num_generation"], 2, ["'one'", "'num_generation'", "mean 'num_generations'?"]),
        ([*ONE, "num_generations"], -2, ["'one'", "num_generations", "greater than 0"]),
        ([*ONE, "llm", "tag"], {"a": 1}, ["'one'", "tag"]),
        (["pipeline", "connections", 0, "to"], ["on"], ["no Step 'on'", "mean 'one'?"]),
        (["pipeline", "connections", 0, "from"], "lod", ["no Step 'lod'", "mean 'load'?"]),
        (["beam_distilabel", "version"], "999.0.0", ["999.0.0", __version__, "upgrade"]),
        (["beam_distilabel", "version"], "999.0.dev1", ["999.0.dev1", __version__, "upgrade"]),
        (["beam_distilabel", "version"], "999!0.0.1", ["999!0.0.1", "upgrade"]),
        (["beam_distilabel", "version"], f"{__version__}.1rc1", [f"{__version__}.1rc1", "upgrade"]),
        (["beam_distilabel", "version"], "latest", ["'latest' is no version of beam_distilabel"]),
        (["beam_distilabel", "version"], None, ["'None' is no version"]),
        (["beam_distilabel", "version"], {"a": 1}, ["is no version"]),
        (["beam_distilabel", "version"], "9" * 5000, ["99999", "upgrade"]),
        (["beam_distilabel"], [], ["is no version"]),
        (["distilabel", "version"], "2.0.0", ["distilabel 2.0.0", "distilabel 1"]),
        (["distilabel", "version"], "x", ["'x' is no version of distilabel"]),
        (["pipeline", "steps"], None, ["no pipeline file"]),
        (["pipeline"], [], ["no pipeline file"]),
        (["pipeline", "steps", 0], {"name": "x"}, ["steps", "'step'"]),
        (["pipeline", "steps", 0], "x", ["steps", "'step'"]),
        (["pipeline", "connections"], [{"to": ["one"]}], ["connections", "'from'"]),
        (["pipeline", "connections"], [3], ["connections", "'from'"]),
        (
            ["pipeline", "routing_batch_functions", 0, "type_info", "name"],
            "system",
            ["'load'", "'system' can't be loaded", "sample_n_steps"],
        ),
        (
            ["pipeline", "routing_batch_functions", 0, "type_info", "kwargs"],
            {"m": 1},
            ["'load'", "sample_n_steps", "m"],
        ),
        (["pipeline", "name"], "../../etc", ["can't be a folder's name"]),
        (["pipeline", "name"], "a\nb", ["can't be a folder's name"]),
        (["pipeline", "name"], 3, ["the pipeline's name is no text"]),
        (["pipeline", "description"], ["x"], ["the pipeline's description is no text"]),
        (["requirements"], "numpy", ["`requirements` has to be a list of texts"]),
        (["pipeline", "routing_batch_functions", 0, "step"], "lod", ["'lod'", "mean 'load'?"]),
        (["pipeline", "routing_batch_functions", 0, "step"], "merge", ["'merge'", "no Step after"]),
    ],
)
def test_what_cannot_be_loaded(path: list[Any], value: Any, texts: list[str]) -> None:
    with pytest.raises(DistilabelUserError) as caught:
        Pipeline.from_dict(changed(path, value))
    for text in texts:
        assert text in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "version", ["0.0.1", f"{__version__}rc1", f"{__version__}+mine", f"{__version__}.post3"]
)
def test_files_of_versions_that_are_no_newer(version: str) -> None:
    assert Pipeline.from_dict(changed(["beam_distilabel", "version"], version)).name == "all"


def test_all_that_is_unknown_is_listed_at_once() -> None:
    data = changed([*ONE, "llm", "type_info", "name"], "TaggedEco")
    steps = [entry["step"] for entry in data["pipeline"]["steps"]]
    steps[0]["type_info"]["name"] = "LoadDataFromDict"
    steps[1]["num_generation"] = 2
    steps[3]["llm"]["tagg"] = "x"
    data["pipeline"]["connections"][0]["to"] = ["won", "too"]
    data["pipeline"]["routing_batch_functions"][0]["type_info"]["name"] = "sample_steps"
    with pytest.raises(DistilabelUserError) as caught:
        Pipeline.from_dict(data)
    message = str(caught.value)
    for text in (
        "for 7 reasons",
        "Step 'load': there is no class 'LoadDataFromDict'",
        "mean 'LoadDataFromDicts'?",
        "Step 'one', field 'llm': there is no class 'TaggedEco'",
        "mean 'TaggedEcho'?",
        "Step 'one': TextGeneration has no field 'num_generation'",
        "Step 'judge', field 'llm': TaggedEcho has no field 'tagg'. Did you mean 'tag'?",
        "no Step 'won', which `connections` names. Did you mean 'two'?",
        "no Step 'too', which `connections` names. Did you mean 'two'?",
        "Step 'load': the routing function 'sample_steps' can't be loaded",
    ):
        assert text in message, message
    data = everything().dump()
    for entry in data["pipeline"]["steps"][1:3]:
        entry["step"]["input_batch_size"] = "many"
    with pytest.raises(DistilabelUserError, match="2 reasons") as caught:
        Pipeline.from_dict(data)
    assert "Step 'one' (TextGeneration): input_batch_size='many': Input" in str(caught.value)
    assert "Step 'two' (Add): input_batch_size='many': Input" in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "text", {}, {"pipeline": {"name": "x"}}, 3])
def test_what_is_no_pipeline(data: Any) -> None:
    with pytest.raises(DistilabelUserError, match="this is no pipeline file"):
        Pipeline.from_dict(data)


def test_a_cycle_in_a_file() -> None:
    data = everything().dump()
    data["pipeline"]["connections"].append({"from": "judge", "to": ["one"]})
    with pytest.raises(PipelineValidationError, match="cycle"):
        Pipeline.from_dict(data)


def test_a_users_router_has_to_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    @routing_batch_function(description="Mine.")
    def mine(steps: list[str]) -> list[str]:
        return steps

    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": 1}])
        load >> mine >> [Add(name="a"), Add(name="b")]
    dumped = pipeline.dump()
    assert dumped["pipeline"]["routing_batch_functions"][0]["description"] == "Mine."
    with pytest.raises(DistilabelUserError, match="'load': the routing function 'mine' can't be"):
        Pipeline.from_dict(dumped)
    monkeypatch.setattr(registry, "_names", {})
    register(mine)
    assert Pipeline.from_dict(dumped).graph.routers == {"load": mine}
    assert Pipeline.from_dict(dumped).dump() == dumped


def test_a_file_imports_and_evaluates_nothing(tmp_path: Path) -> None:
    module = "antigravity"
    assert module not in sys.modules
    path = [*ONE, "type_info"]
    with pytest.raises(DistilabelUserError):
        Pipeline.from_dict(changed(path, {"module": module, "name": "Anything"}))
    assert module not in sys.modules
    mark = tmp_path / "mark"
    file = tmp_path / "evil.yaml"
    file.write_text(f"pipeline: !!python/object/apply:os.mkdir ['{mark}']\n")
    with pytest.raises(DistilabelUserError, match="evil.yaml.*can't be read as yaml"):
        Pipeline.from_yaml(file)
    assert not mark.exists()
    # A template from a file is rendered in a sandbox.
    data = changed([*ONE, "template"], "{{ instruction.__class__.__mro__ }}")
    task = Pipeline.from_dict(data).graph.get("one")
    with pytest.raises(Exception, match="unsafe|undefined"):
        task.format_input({"instruction": "x"})


def test_files_that_are_not_there_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(DistilabelUserError, match="there is no file.*nowhere.yaml"):
        Pipeline.from_yaml(tmp_path / "nowhere.yaml")
    with pytest.raises(DistilabelUserError, match="is no .yaml, .yml or .json file"):
        Pipeline.from_file(tmp_path / "pipeline.toml")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DistilabelUserError, match="can't be read as json"):
        Pipeline.from_json(tmp_path / "broken.json")
    with pytest.raises(DistilabelUserError, match="format='toml'; use 'json' or 'yaml'"):
        everything().save(tmp_path / "x", format="toml")
    with pytest.raises(DistilabelUserError, match="is no .yaml, .yml or .json file"):
        everything().save(tmp_path / "x.toml")
    assert not list(tmp_path.glob("x*"))
    with pytest.raises(DistilabelUserError, match="can't be written: "):
        everything().save(tmp_path / "broken.json" / "pipeline.yaml")


def test_where_and_how_a_file_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = everything()
    dumped = pipeline.dump()
    for name, format, first in (
        ("new/folder/p.yaml", None, "distilabel:"),
        ("p.yml", "yaml", "distilabel:"),
        ("p.json", None, "{"),
        ("p.yaml", "json", "{"),  # JSON is YAML, too
    ):
        pipeline.save(tmp_path / name, format)
        assert (tmp_path / name).read_text().startswith(first), name
        assert Pipeline.from_file(tmp_path / name).dump() == dumped
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "p.json", "p.yaml", "p.yml"]
    # As in distilabel: a folder, and the current one.
    pipeline.save(str(tmp_path / "saved"))
    monkeypatch.chdir(tmp_path / "new")
    pipeline.save()
    for file in ("saved/distilabel-file.json", "new/distilabel-file.json"):
        assert Pipeline.from_file(tmp_path / file).dump() == dumped
    # Without an extension the content tells.
    for source in ("p.json", "new/folder/p.yaml"):
        (tmp_path / "pipeline").write_bytes((tmp_path / source).read_bytes())
        assert Pipeline.from_file(tmp_path / "pipeline").dump() == dumped
    pipeline.save("memory://shelf/pipeline.yaml")
    assert Pipeline.from_yaml("memory://shelf/pipeline.yaml").dump() == dumped


# -- on the Hub and elsewhere ----------------------------------------------------------------------


def test_files_on_the_hub_and_at_urls(
    hub: HubServer, hub_client: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = everything()
    pipeline.save(tmp_path / "p.yaml")
    content = (tmp_path / "p.yaml").read_bytes()
    repo = f"{hub.namespace}/pipelines"
    hub.add_dataset(repo, {"pipeline.yaml": content, "more/p.json": b"{"}, private=True)
    for path in (
        f"hf://datasets/{repo}/pipeline.yaml",
        f"hf://datasets/{repo}@main/pipeline.yaml",
        f"{hub.url}/datasets/{repo}/blob/main/pipeline.yaml",
        f"{hub.url}/datasets/{repo}/resolve/main/pipeline.yaml?download=true",
        f"{hub.url}/datasets/{repo}/raw/main/pipeline.yaml",
    ):
        assert Pipeline.from_file(path).dump() == pipeline.dump(), path
    for path, message in (
        (f"hf://datasets/{repo}/nowhere.yaml", "there is no file"),
        (f"hf://datasets/{hub.namespace}/nothing/p.yaml", "there is no file"),
        (f"{hub.url}/datasets/{repo}/raw/main/more/p.json", "can't be read as json"),
        (f"hf://datasets/{repo}/more", "is a folder"),
    ):
        with pytest.raises(DistilabelUserError, match=message):
            Pipeline.from_file(path)

    # Another host gets no token, also where it is called as the Hub's address begins.
    seen: list[str | None] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_response(200 if self.path.startswith("/datasets") else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            path = f"/datasets/{repo}/resolve/main/pipeline.yaml"
            assert Pipeline.from_file(url + path).dump() == pipeline.dump()
            with pytest.raises(DistilabelUserError, match="p.yaml .404."):
                Pipeline.from_file(f"{url}/p.yaml")
        finally:
            server.shutdown()
            thread.join()
    assert seen and set(seen) == {None}


def test_the_shape_is_distilabels() -> None:
    """Keys that distilabel 1.5.3 reads, in a file that its reader takes as its own."""
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromHub(name="load", repo_id="org/data", split="train")
        load >> KeepColumns(name="keep", columns=["a"])
    data = yaml.safe_load(yaml.safe_dump(pipeline.dump()))
    assert data["distilabel"] == {"version": "1.5.3"}
    step = data["pipeline"]["steps"][1]
    assert step["name"] == step["step"]["name"] == "keep"
    assert step["step"]["columns"] == ["a"]
    assert step["step"]["type_info"]["name"] == "KeepColumns"
    assert {"name", "optional", "description"} <= set(step["step"]["runtime_parameters_info"][1])
    assert data["pipeline"]["connections"] == [
        {"from": "load", "to": ["keep"]},
        {"from": "keep", "to": []},
    ]


def test_the_parameters_of_a_run_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "parameters.yaml").write_text("ask: {llm: {generation_kwargs: {suffix: '!'}}}")
    (tmp_path / "empty.yaml").write_text("# nothing")
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"instruction": "i"}])
        load >> TextGeneration(name="ask", llm=TaggedEcho())
    for file, answer in (("parameters.yaml", "echo: i!"), ("empty.yaml", "echo: i")):
        distiset = pipeline.run(tmp_path / file, output_dir=tmp_path / "run")
        assert rows_of(distiset)[0]["generation"] == answer
    (tmp_path / "wrong.json").write_text('{"ask": {"llm": {"generation_kwarg": {}}}}')
    with pytest.raises(PipelineValidationError, match="'ask'.*: llm has no runtime parameter"):
        pipeline.validate(str(tmp_path / "wrong.json"))
    with pytest.raises(DistilabelUserError, match="there is no file 'nowhere.yaml'"):
        pipeline.run("nowhere.yaml", output_dir=tmp_path / "run")
