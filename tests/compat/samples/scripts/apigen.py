"""Questions and the function calls that answer them, checked by running them and by a judge."""

import json

from distilabel.models import InferenceEndpointsLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import CombineOutputs, DataSampler, LoadDataFromDicts
from distilabel.steps.tasks import (
    APIGenExecutionChecker,
    APIGenGenerator,
    APIGenSemanticChecker,
)
from distilabel.steps.tasks.apigen.utils import PrepareExamples

ROWS = {
    "load": [
        {
            "func_name": "final_velocity",
            "func_desc": "Calculates the final velocity of a moving thing.",
            "tools": json.dumps({"parameters": ["initial_velocity", "acceleration", "time"]}),
        },
        {
            "func_name": "permutation_count",
            "func_desc": "Calculates the number of permutations.",
            "tools": json.dumps({"parameters": ["n", "k"]}),
        },
        {"func_name": "unknown", "func_desc": "Does what nobody knows.", "tools": ""},
    ],
    "sampler": [
        {
            "query": "How many ways are there to seat 3 of 5 guests?",
            "answers": '[{"name": "permutation_count", "arguments": {"n": 5, "k": 3}}]',
        },
        {
            "query": "How fast is a stone after 2 s of free fall?",
            "answers": '[{"name": "final_velocity", "arguments": '
            '{"initial_velocity": 0, "acceleration": 9.8, "time": 2}}]',
        },
    ],
}


def pairs(query, *calls):
    answers = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return json.dumps([{"query": query, "answers": answers}])


ANSWERS = {
    "generator": {
        "velocity of a moving": pairs(
            "How fast is a car that starts at 2 m/s after 4 s at 3 m/s2?",
            ("final_velocity", {"initial_velocity": 2.0, "acceleration": 3.0, "time": 4.0}),
        ),
        "number of permutations": "```\n"
        + pairs(
            "In how many orders can 2 of 4 be taken, and 9 of none?",
            ("permutation_count", {"n": 4, "k": 2}),
            ("permutation_count", {"n": "four"}),
        )
        + "\n```",
        "nobody knows": pairs("What is that?", ("unknown", {})),
    },
    "judge": {
        "How fast is a car": '{"thought": "", "passes": "yes"}',
        "In how many orders": '```\n{"thought": "One call fails.", "passes": "no"}\n```',
        "What is that": "It can't be told.",
    },
}
RANDOM = ["examples"]

with Pipeline(name="apigen") as pipeline:
    load = LoadDataFromDicts(name="load", data=ROWS["load"])
    sampler = DataSampler(name="sampler", data=ROWS["sampler"], size=1, samples=3, batch_size=8)
    examples = PrepareExamples(name="examples")
    combine = CombineOutputs(name="combine")
    model_id = "meta-llama/Meta-Llama-3.1-70B-Instruct"
    llm = InferenceEndpointsLLM(
        model_id=model_id,
        tokenizer_id=model_id,
        generation_kwargs={"temperature": 0.7, "max_new_tokens": 2048},
    )
    generator = APIGenGenerator(
        name="generator",
        llm=llm,
        system_prompt="You write questions and the function calls that answer them.",
        use_default_structured_output=False,
    )
    execution = APIGenExecutionChecker(
        name="execution", libpath="tests/compat/samples/data/functions.py"
    )
    judge = APIGenSemanticChecker(
        name="judge",
        llm=llm,
        system_prompt="You tell whether function calls answer a question.",
        use_default_structured_output=False,
    )
    sampler >> examples
    [load, examples] >> combine >> generator >> execution >> judge
