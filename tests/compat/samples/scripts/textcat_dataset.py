"""Labelled texts of every difficulty and clarity: nine leaves."""

import json

from distilabel.models import InferenceEndpointsLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import GenerateTextClassificationData

DIFFICULTIES = ["college", "high school", "PhD"]
CLARITIES = ["clear", "understandable with some effort", "ambiguous"]

ROWS = {
    "load": [
        {"task": "Tell whether a headline is about sports or about politics."},
        {"task": "Tell whether a review is good or bad."},
    ]
}
EXAMPLE = {"input_text": "The council met.", "label": "politics", "misleading_label": "sports"}
ANSWERS = {
    f"textcat-{number}": {
        "headline": json.dumps(EXAMPLE, indent=number) if number else json.dumps(EXAMPLE),
        "review": "```json\n"
        + json.dumps({"input_text": f"Good {number}", "label": "good", "misleading_label": "bad"})
        + "\n```"
        if number != 8
        else "no JSON at all",
    }
    for number in range(9)
}

with Pipeline(name="textcat-dataset") as pipeline:
    load = LoadDataFromDicts(name="load", data=ROWS["load"], batch_size=64)
    combinations = [(one, other) for one in DIFFICULTIES for other in CLARITIES]
    leaves = [
        GenerateTextClassificationData(
            name=f"textcat-{number}",
            difficulty=difficulty,
            clarity=clarity,
            language="English",
            llm=InferenceEndpointsLLM(
                model_id="meta-llama/Meta-Llama-3.1-8B-Instruct",
                tokenizer_id="meta-llama/Meta-Llama-3.1-8B-Instruct",
                generation_kwargs={"max_new_tokens": 2048, "temperature": 0.7},
            ),
            input_batch_size=5,
        )
        for number, (difficulty, clarity) in enumerate(combinations)
    ]
    load.connect(*leaves)
