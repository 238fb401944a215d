"""Two answers are compared by a judge, and all verdicts make the rate at which one wins."""

import re
from typing import Any

from distilabel.models import InferenceEndpointsLLM, OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import (
    CombineOutputs,
    GlobalStep,
    KeepColumns,
    LoadDataFromHub,
    StepInput,
    step,
)
from distilabel.steps.tasks import Task, TextGeneration

ROWS = {
    "load": [
        {"question_id": "a", "turns": [{"content": "Sort 3, 1, 2."}], "cluster": "code"},
        {"question_id": "b", "turns": [{"content": "Sum 3, 1, 2."}], "cluster": "maths"},
        {"question_id": "c", "turns": [{"content": "Rhyme on rain."}], "cluster": "art"},
    ]
}
ANSWERS = {
    "answer": {"Sort": "1, 2, 3", "Sum": "6", "Rhyme": "Spain"},
    "judge": {
        "Sort": "The first has it. [[A>>B]]",
        "Sum": "The second is shorter. My verdict: [[B>A]]",
        "Rhyme": "Both are fine.",
    },
}

VERDICT = re.compile(r"\[\[([AB<>=]+)\]\]")


@step(inputs=["turns"], outputs=["instruction"])
def PrepareInput(inputs: StepInput):
    """Takes the first turn as the instruction."""
    for row in inputs:
        row["instruction"] = row["turns"][0]["content"]
    yield inputs


class ArenaHard(Task):
    """Compares an answer with that of a known model."""

    baseline: str = "I don't know."

    @property
    def inputs(self):
        return ["instruction", "generation"]

    @property
    def outputs(self):
        return ["evaluation", "verdict"]

    def format_input(self, input: dict[str, Any]):
        shown = f"{input['instruction']}\nA: {input['generation']}\nB: {self.baseline}"
        return [{"role": "user", "content": shown}]

    def format_output(self, output, input=None):
        found = VERDICT.search(output or "")
        return {"evaluation": output, "verdict": found[1] if found else None}


class ArenaHardResults(GlobalStep):
    """Adds the share of the verdicts that are for A to all rows."""

    @property
    def inputs(self):
        return ["verdict"]

    @property
    def outputs(self):
        return ["win_rate"]

    def process(self, inputs: StepInput):
        verdicts = [row["verdict"] for row in inputs if row["verdict"]]
        rate = sum(verdict.startswith("A>") for verdict in verdicts) / len(verdicts)
        yield [{**row, "win_rate": rate} for row in inputs]


with Pipeline(name="arena-hard") as pipeline:
    load = LoadDataFromHub(name="load", repo_id="someone/arena", num_examples=3)
    ids = KeepColumns(name="ids", columns=["question_id", "cluster"])
    prepare = PrepareInput(name="prepare")
    answer = TextGeneration(
        name="answer",
        llm=InferenceEndpointsLLM(
            model_id="meta-llama/Meta-Llama-3-8B-Instruct",
            tokenizer_id="meta-llama/Meta-Llama-3-8B-Instruct",
        ),
        output_mappings={"model_name": "generation_model"},
    )
    combine = CombineOutputs(name="combine")
    judge = ArenaHard(
        name="judge",
        llm=OpenAILLM(model="gpt-4", api_key="none"),
    )
    keep = KeepColumns(
        name="keep",
        columns=["question_id", "cluster", "instruction", "generation", "evaluation", "verdict"],
    )
    results = ArenaHardResults(name="results")
    load >> [ids, prepare]
    prepare >> answer
    [ids, answer] >> combine >> judge >> keep >> results
