"""Steps of a user's own, for YAML files."""

from __future__ import annotations

import pyarrow as pa

from beam_distilabel.beam_yaml import as_transform
from beam_distilabel.step import Step
from beam_distilabel.typing import StepInput, StepOutput


class Halve(Step):
    """Halves `n`; odd numbers it can't, and of 8 it makes what it didn't declare."""

    @property
    def inputs(self) -> list[str]:
        return ["n"]

    @property
    def outputs(self) -> list[str]:
        return ["half"]

    def output_schema(self) -> pa.Schema:
        return pa.schema([("half", pa.int64())])

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        for row in inputs:
            if row["n"] % 2:
                raise ValueError(f"{row['n']} is odd")
        yield [{**row, "half": "four" if row["n"] == 8 else row["n"] // 2} for row in inputs]


class Side(Step):
    """Puts rows side by side."""

    @property
    def outputs(self) -> list[str]:
        return ["branches"]

    def output_schema(self) -> pa.Schema:
        return pa.schema([("branches", pa.int64())])

    def process(self, *inputs: StepInput) -> StepOutput:
        yield [
            {**{k: v for row in rows for k, v in row.items()}, "branches": len(rows)}
            for rows in zip(*inputs, strict=True)
        ]


halve = as_transform(Halve)
side = as_transform(Side)
