"""A pipeline as a user writes it: a script, the cells of a notebook, or an installed module.

Called with the run directory and Beam's flags as JSON; prints its rows and its own process' id.
"""

import json
import os
import random
import sys
from typing import Any, Literal

from pydantic import BaseModel, PrivateAttr

from beam_distilabel.models import LLM
from beam_distilabel.pipeline import Pipeline, routing_batch_function
from beam_distilabel.steps import GlobalStep, LoadDataFromDicts, StepInput, step
from beam_distilabel.steps.tasks import Task

SUFFIX = "!"
twice = lambda n: 2 * n  # noqa: E731


# %%
class Answer(BaseModel):
    text: str
    mood: Literal["good", "bad"] = "good"


class Base(LLM):
    prefix: str = "said "
    structured_output: Any = None

    _loads: list[str] = PrivateAttr(default_factory=list)

    @property
    def model_name(self) -> str:
        return f"echo of {pipeline.name}"

    def load(self) -> None:
        super().load()
        self._loads.append("base")

    def generate(
        self, inputs: list[Any], num_generations: int = 1, **kwargs: Any
    ) -> list[dict[str, Any]]:
        assert self.structured_output["schema"] is Answer
        texts = [f"{self.prefix}{messages[-1]['content']}{SUFFIX}" for messages in inputs]
        answers = [self.structured_output["schema"](text=text) for text in texts]
        return [{"generations": [one.model_dump_json()] * num_generations} for one in answers]


class Echo(Base):
    _own: Any = PrivateAttr(None)

    def load(self) -> None:
        super().load()
        self._own = self._loads[-1]


# %%
class Judge(Task):
    @property
    def inputs(self) -> list[str]:
        return ["n", "doubled"]

    @property
    def outputs(self) -> list[str]:
        return ["text", "mood", "model_name"]

    def format_input(self, input: dict[str, Any]) -> Any:
        return [{"role": "user", "content": f"{input['n']} and {input['doubled']}"}]

    def format_output(self, output: Any, input: Any = None) -> dict[str, Any]:
        # Each of them is one class here, however often it was pickled.
        assert type(self.llm) is Echo and isinstance(self.llm, Base)
        assert isinstance(self, (Judge, Stricter))
        answer = Answer.model_validate_json(output)
        return {"text": answer.text, "mood": answer.mood}


class Stricter(Judge):
    def format_output(self, output: Any, input: Any = None) -> dict[str, Any]:
        made = super().format_output(output, input)
        return {**made, "mood": f"strictly {made['mood']}"}


class Count(GlobalStep):
    @property
    def outputs(self) -> list[str]:
        return ["total"]

    def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
        yield [{**row, "total": len(inputs)} for row in inputs]


@step(inputs=["n"], outputs=["doubled", "pid"])
def Double(inputs: StepInput) -> Any:
    yield [{**row, "doubled": twice(row["n"]), "pid": os.getpid()} for row in inputs]


# %%
by_chance = routing_batch_function()(lambda steps: [random.choice(steps)])

llm = Echo(structured_output={"schema": Answer})
with Pipeline(name="user") as pipeline:
    load = LoadDataFromDicts(name="load", data=[{"n": n} for n in range(20)])
    double = Double(name="double")
    judges = [Judge(name="judge", llm=llm), Stricter(name="stricter", llm=llm)]
    count = Count(name="count")
    load >> double >> count >> by_chance >> judges


def main(output_dir: str, flags: str) -> None:
    distiset = pipeline.run(output_dir=output_dir, options=json.loads(flags), logging_handlers=[])
    rows = [row for subset in distiset.values() for row in subset["train"].to_list()]
    print(json.dumps({"pid": os.getpid(), "module": Judge.__module__, "rows": rows}))


# %%
if __name__ == "__main__":
    main(*sys.argv[1:])
