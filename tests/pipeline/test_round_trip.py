"""Random pipelines: what is written, read and written again is the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings, strategies as st
from pydantic import BaseModel

from beam_distilabel.errors import PipelineValidationError
from beam_distilabel.models.llms import MixtureOfAgentsLLM, OpenAILLM, vLLM
from beam_distilabel.pipeline import Pipeline, sample_n_steps
from beam_distilabel.pipeline.serialization.documents import parse, yaml_text
from beam_distilabel.steps import (
    KeepColumns,
    LoadDataFromDicts,
    LoadDataFromFileSystem,
    LoadDataFromHub,
    StepResources,
)
from beam_distilabel.steps.tasks import PrometheusEval, TextGeneration
from beam_distilabel.transforms.columns.group_columns import GroupColumns
from tests.pipeline.fakes import Add, Merge, TaggedEcho


class Answer(BaseModel):
    text: str
    score: int | None = None


texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "yes",
        "1",
        "null",
        "2024-01-01",
        "<<",
        "{{ x }}",
        "a: b",
        "*a",
        "!!python/name:os.x",
        "\x85",
    ]
)
columns = st.lists(st.sampled_from(["a", "b", "ü", "api_key", "my column", "1"]), unique=True)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
mappings = st.dictionaries(columns.filter(bool).map(lambda names: names[0]), texts, max_size=2)
resources = st.builds(
    StepResources,
    replicas=st.integers(1, 3),
    gpus=st.none() | st.integers(1, 4),
    memory=st.none() | st.integers(1, 2**40),
    resources=st.none() | st.dictionaries(texts, st.integers(0, 3), max_size=2),
)
common = {
    "resources": resources,
    "input_mappings": mappings,
    "output_mappings": mappings,
    "use_cache": st.booleans(),
    "on_failure": st.sampled_from(["null", "drop", "raise"]),
}
echoes = st.builds(
    TaggedEcho,
    tag=texts,
    generation_kwargs=st.dictionaries(st.sampled_from(["suffix", "stop", "x"]), json_values),
)
models = st.one_of(
    echoes,
    st.builds(
        OpenAILLM,
        model=texts,
        base_url=st.sampled_from([None, "http://localhost:8000/v1"]),
        timeout=st.integers(1, 100) | st.floats(0.5, 9.5),
        generation_kwargs=st.fixed_dictionaries({}, optional={"temperature": st.floats(0, 2)}),
        structured_output=st.sampled_from(
            [None, {"schema": Answer}, {"format": "json", "schema": {}}]
        ),
        api_key=st.just("sk-secret"),
    ),
    st.builds(
        vLLM,
        model=texts,
        seed=st.integers(0, 2**32),
        extra_kwargs=st.dictionaries(texts, json_values, max_size=2),
    ),
    st.builds(
        MixtureOfAgentsLLM,
        aggregator_llm=echoes,
        proposers_llms=st.lists(echoes, min_size=1, max_size=2),
        rounds=st.integers(1, 3),
    ),
)

Made = tuple[type, dict[str, Any]]


def steps(cls: type, **fields: Any) -> st.SearchStrategy[Made]:
    return st.tuples(st.just(cls), st.fixed_dictionaries({**common, **fields}))


loaders = st.one_of(
    steps(LoadDataFromDicts, batch_size=st.integers(1, 99), data=st.just([{"a": 1}])),
    steps(LoadDataFromHub, repo_id=texts, split=texts, num_examples=st.none() | st.integers(0, 9)),
    steps(
        LoadDataFromFileSystem,
        data_files=texts | st.dictionaries(texts, st.lists(texts), max_size=2),
    ),
)
others = st.one_of(
    steps(KeepColumns, columns=columns.filter(bool)),
    steps(Add, column=texts, value=texts),
    steps(
        TextGeneration,
        llm=models,
        template=st.just("{{ a }}"),
        columns=st.just(["a"]),
        system_prompt=st.none() | texts,
        num_generations=st.integers(1, 3),
    ),
    steps(
        PrometheusEval,
        llm=models,
        mode=st.sampled_from(["absolute", "relative"]),
        rubric=st.just("helpfulness"),
        reference=st.booleans(),
    ),
)
joins = st.one_of(
    steps(Merge),
    steps(GroupColumns, columns=st.just(["a"]), output_columns=st.just(["g"])),
)


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    names = st.text("abcXYZ019_-", min_size=1, max_size=8)
    made = draw(st.lists(st.tuples(names, others | joins), min_size=1, max_size=5))
    with Pipeline(
        name=draw(st.none() | names),
        description=draw(st.none() | texts),
        requirements=draw(st.lists(st.sampled_from(["numpy", "pyarrow>=1"]), max_size=2)),
    ) as pipeline:
        cls, fields = draw(loaders)
        added = [cls(name="load", **fields)]
        for name, (cls, fields) in made:
            if name in pipeline.step_names:
                continue
            step = cls(name=name, **fields)
            for source in draw(st.lists(st.sampled_from(added), max_size=3, unique=True)):
                try:
                    source.connect(step)
                except PipelineValidationError:  # such as a second branch for what takes one
                    continue
            added.append(step)
        for step in added:
            if len(pipeline.graph.successors(step.name)) > 1 and draw(st.booleans()):
                pipeline.graph.routers[step.name] = sample_n_steps(draw(st.integers(1, 3)))
    return pipeline


@settings(max_examples=40, deadline=None)
@given(pipelines())
def test_what_is_written_is_read(pipeline: Pipeline) -> None:
    dumped = pipeline.dump()
    as_json = json.dumps(dumped, ensure_ascii=False).encode()
    as_yaml = yaml_text(dumped).encode()
    assert "sk-secret" not in as_json.decode()
    for data in (dumped, parse(as_json, "json"), parse(as_yaml, "yaml")):
        loaded = Pipeline.from_dict(data)
        assert loaded.dump() == dumped
        assert loaded.step_names == pipeline.step_names
        assert [type(step) for step in loaded.steps] == [type(step) for step in pipeline.steps]
