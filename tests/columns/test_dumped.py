"""Pipelines of these Steps in files: what a file has is what the Steps were made with."""

from __future__ import annotations

from typing import Any

from beam_distilabel import steps
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps.tasks import FormatPRM
from beam_distilabel.steps.tasks.apigen.utils import PrepareExamples


def test_fields_come_back() -> None:
    fields: dict[type, dict[str, Any]] = {
        steps.ExpandColumns: {
            "columns": {"api_key": "password", "token": "token"},  # names of columns, no secrets
            "encoded": ["token"],
            "split_statistics": True,
        },
        steps.GroupColumns: {"columns": ["a", "b"], "output_columns": ["as", "bs"]},
        steps.MergeColumns: {"columns": ["a", "token"], "output_column": "c"},
        steps.TruncateTextColumn: {"column": "c", "max_length": 3, "tokenizer": "some/one"},
        steps.DeitaFiltering: {"data_budget": 3, "distance_metric": "manhattan"},
        steps.DataSampler: {"size": 3, "samples": 4},
        FormatPRM: {"format": "trl", "step_token": "<step>", "tags": ["good", "bad"]},
        PrepareExamples: {"template": "{query}{answers}"},
    }
    with Pipeline(name="p") as pipeline:
        made: list[Any] = [
            cls(name=f"s{i}", **given) for i, (cls, given) in enumerate(fields.items())
        ]
    loaded = Pipeline.from_dict(pipeline.dump())
    assert loaded.dump() == pipeline.dump()
    for step, given in zip(made, fields.values(), strict=True):
        copy = loaded.graph.steps[step.name]
        assert type(copy) is type(step)
        assert {name: getattr(copy, name) for name in given} == given
