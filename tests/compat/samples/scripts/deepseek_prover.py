"""Statements are formalised, scored and proved, by Tasks of the user's own."""

import re

from distilabel.models import InferenceEndpointsLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromHub
from distilabel.steps.tasks import Task

ROWS = {
    "load": [
        {"informal_statement": "Two and two are four."},
        {"informal_statement": "Every number is even."},
    ]
}
ANSWERS = {
    "formalize": {
        "Two": "```lean4\ntheorem two : 2 + 2 = 4 := by\n```",
        "Every": "```lean4\ntheorem every (n : Nat) : Even n := by\n```",
    },
    "score": {
        "two : 2": "It is true.\nassessment: Excellent",
        "Even n": "It is false. assessment: poor",
    },
    "prove": {"two : 2": "```lean4\n  rfl\n```", "Even n": "There is no proof."},
}

CODE = re.compile(r"```lean4(.*?)```", re.DOTALL)
ASSESSMENT = re.compile(r"assessment:\s*(\w+)", re.IGNORECASE)


class _LeanTask(Task):
    @property
    def inputs(self):
        return [self._reads]

    @property
    def outputs(self):
        return [self._writes, "model_name"]

    def format_input(self, input):
        return [
            {"role": "system", "content": self._asks},
            {"role": "user", "content": input[self._reads]},
        ]

    def format_output(self, output, input=None):
        found = (self._pattern.search(output) if output else None) or ["", None]
        return {self._writes: found[1].strip() if found[1] else None}


class Formalize(_LeanTask):
    """Writes a statement in Lean."""

    _reads: str = "informal_statement"
    _writes: str = "formal_statement"
    _asks: str = "State it in Lean 4."
    _pattern: re.Pattern = CODE


class Score(_LeanTask):
    """Tells how good a formal statement is."""

    _reads: str = "formal_statement"
    _writes: str = "quality"
    _asks: str = "Assess it."
    _pattern: re.Pattern = ASSESSMENT


class Prove(_LeanTask):
    """Proves a formal statement."""

    _reads: str = "formal_statement"
    _writes: str = "proof"
    _asks: str = "Prove it."
    _pattern: re.Pattern = CODE


with Pipeline(name="prover") as pipeline:
    load = LoadDataFromHub(name="load", repo_id="someone/theorems", split="test", num_examples=2)
    llm = InferenceEndpointsLLM(
        model_id="deepseek-ai/deepseek-math-7b-instruct",
        tokenizer_id="deepseek-ai/deepseek-math-7b-instruct",
        generation_kwargs={"temperature": 0.2, "max_new_tokens": 256},
    )
    formalize = Formalize(name="formalize", llm=llm, input_batch_size=8)
    score = Score(name="score", llm=llm, input_batch_size=8)
    prove = Prove(name="prove", llm=llm, input_batch_size=8)
    load >> formalize >> score >> prove
