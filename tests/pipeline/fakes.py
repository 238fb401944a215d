"""Steps and LLMs that are small enough to say in a test what they do."""

from __future__ import annotations

import random
import threading
from typing import Any

from pydantic import SecretStr

from beam_distilabel.models.base import LLM, AsyncLLM
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.step import GeneratorStep, GlobalStep, Step
from beam_distilabel.typing import GeneratorStepOutput, StepInput, StepOutput


class TaggedEcho(AsyncLLM):
    """Answers with the prompt, `tag` and `suffix`."""

    tag: str = "echo"
    api_key: RuntimeParameter[SecretStr] = SecretStr("very-secret-key")

    @property
    def model_name(self) -> str:
        return self.tag

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1, suffix: str = "", temperature: float = 1.0
    ) -> Any:
        text = f"{self.tag}: {input[-1]['content']}{suffix}"
        return {
            "generations": [text] * num_generations,
            "statistics": {"input_tokens": [3], "output_tokens": [2] * num_generations},
        }


class CannotLoad(TaggedEcho):
    """An TaggedEcho that can't be loaded."""

    def load(self) -> None:
        raise ConnectionError("no accelerator is free")


class Refuses(LLM):
    """Refuses prompts with the word "bad"."""

    @property
    def model_name(self) -> str:
        return "refuses"

    def generate(self, inputs: list[Any], num_generations: int = 1, **kwargs: Any) -> list[Any]:
        if any("bad" in one[-1]["content"] for one in inputs):
            raise ValueError("that is a bad prompt")
        return [{"generations": ["fine"] * num_generations} for _ in inputs]


class Add(Step):
    """Sets the column `column` to `value` and the row's `x`."""

    column: str = "a"
    value: str = ""

    @property
    def inputs(self) -> list[str]:
        return ["x"]

    @property
    def outputs(self) -> list[str]:
        return [self.column]

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield [{**row, self.column: f"{self.value}{row['x']}"} for row in inputs]


class Times(Step):
    """Makes `times` rows of each, numbered in `column`; rows whose `x` is in `lose` are lost."""

    column: str = "k"
    times: int = 3
    lose: list[int] = []

    @property
    def inputs(self) -> list[str]:
        return ["x"]

    @property
    def outputs(self) -> list[str]:
        return [self.column]

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        for row in inputs:
            if row["x"] not in self.lose:
                yield [{**row, self.column: i} for i in range(self.times)]


class Lose(Step):
    """Leaves out the rows whose columns have all the values of one of `which`."""

    which: list[dict[str, Any]] = []

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield [
            row for row in inputs if not any(wanted.items() <= row.items() for wanted in self.which)
        ]


class Merge(Step):
    """Puts the rows of its predecessors side by side; says how many there were in `n`."""

    @property
    def outputs(self) -> list[str]:
        return ["n"]

    def process(self, *inputs: StepInput) -> StepOutput:
        merged = []
        for rows in zip(*inputs, strict=True):
            together: dict[str, Any] = {}
            for row in rows:
                together.update(row)
            merged.append({**together, "n": len(rows)})
        yield merged


class Reverse(GlobalStep):
    """Gives all rows back in reversed order, with their place in `place`."""

    @property
    def outputs(self) -> list[str]:
        return ["place"]

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield [{**row, "place": i} for i, row in enumerate(reversed(inputs))]


class Shuffled(Step):
    """Yields each batch in an order of its own, one row per yield."""

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        rows = list(inputs)
        random.Random(len(rows)).shuffle(rows)
        for row in rows:
            yield [row]


class Fails(Step):
    """Raises for rows whose `x` is in `values`."""

    values: list[int] = []

    @property
    def inputs(self) -> list[str]:
        return ["x"]

    @property
    def outputs(self) -> list[str]:
        return ["checked"]

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        for row in inputs:
            if row["x"] in self.values:
                raise KeyError(f"no {row['x']} please")
        yield [{**row, "checked": True} for row in inputs]


class Numbers(GeneratorStep):
    """Makes the rows `{"x": 0}`, `{"x": 1}`, ..."""

    count: RuntimeParameter[int] = None

    @property
    def outputs(self) -> list[str]:
        return ["x"]

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        assert self.count is not None
        for first in range(offset, self.count, 2):
            last = min(first + 2, self.count)
            yield [{"x": x} for x in range(first, last)], last == self.count


GATES: dict[str, tuple[threading.Event, threading.Event]] = {}
"""Name to (set when a row has arrived, waited for before it goes on)."""


class Gate(Step):
    """Waits until the test lets the rows pass."""

    gate: str

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        arrived, go_on = GATES[self.gate]
        arrived.set()
        assert go_on.wait(60)
        yield inputs
