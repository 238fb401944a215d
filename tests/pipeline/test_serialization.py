"""Pipelines as files: what is written, what is read, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from beam_distilabel.errors import DistilabelUserError, PipelineValidationError
from beam_distilabel.pipeline import Pipeline, routing_batch_function, sample_n_steps
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts, LoadDataFromHub, StepResources
from beam_distilabel.steps.tasks import PrometheusEval, TextGeneration
from beam_distilabel.version import __version__
from tests.pipeline.fakes import Add, Merge, TaggedEcho
from tests.pipeline.running import rows_of


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
      name: keep
      resources: {replicas: 1, cpus: null, gpus: null, memory: null, resources: null}
      input_mappings: {}
      output_mappings: {}
      use_cache: true
      input_batch_size: 50
      columns: [instruction, generation]
      type_info: {module: distilabel.steps.columns.keep, name: KeepColumns}
    name: keep
  connections:
  - {from: load, to: [a, b]}
  - {from: a, to: [keep]}
  - {from: b, to: [keep]}
  - {from: keep, to: []}
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
    assert pipeline.step_names == ["load", "a", "b", "keep"]
    assert pipeline.requirements == ["datasets>=2"]
    assert isinstance(pipeline.graph.get("a").llm, TaggedEcho)
    assert pipeline.graph.get("a").llm.generation_kwargs == {"temperature": 0.9}
    assert pipeline.graph.get("load").batch_size == 3
    pipeline.graph.get("load").data = [{"instruction": f"i{x}"} for x in range(12)]
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    answers = {row["instruction"]: row["generation"].partition(":")[0] for row in rows}
    assert len(answers) == 12 and set(answers.values()) == {"a", "b"}
    assert len(rows) == sum(2 if tag == "a" else 1 for tag in answers.values())


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
    ],
)
def test_what_cannot_be_loaded(path: list[Any], value: Any, texts: list[str]) -> None:
    with pytest.raises(DistilabelUserError) as caught:
        Pipeline.from_dict(changed(path, value))
    for text in texts:
        assert text in str(caught.value), str(caught.value)


@pytest.mark.parametrize("data", [None, [], "text", {}, {"pipeline": {"name": "x"}}, 3])
def test_what_is_no_pipeline(data: Any) -> None:
    with pytest.raises(DistilabelUserError, match="this is no pipeline file"):
        Pipeline.from_dict(data)


def test_a_cycle_in_a_file() -> None:
    data = everything().dump()
    data["pipeline"]["connections"].append({"from": "judge", "to": ["one"]})
    with pytest.raises(PipelineValidationError, match="cycle"):
        Pipeline.from_dict(data)


def test_a_users_router_cannot_be_loaded_from_a_file() -> None:
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
    assert not (tmp_path / "x").exists()


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
