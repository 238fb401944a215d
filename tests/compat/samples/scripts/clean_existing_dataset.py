"""The answers of a preference dataset are judged anew."""

from distilabel.models import InferenceEndpointsLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import KeepColumns, LoadDataFromDicts
from distilabel.steps.tasks import UltraFeedback

ROWS = {
    "load": [
        {"instruction": "What boils at 100 degrees?", "generations": ["Water.", "Iron."]},
        {
            "instruction": "Who wrote Faust?",
            "generations": ["Goethe.", "Schiller.", "I don't know."],
        },
    ]
}
ANSWERS = {
    "judge": {
        "boils": "Rating: 5\nRationale: Right.\n\nRating: 1\nRationale: Wrong.",
        "Faust": "Rating: 5\nRationale: Right.\n\nRating: 2\nRationale: No.\n\n"
        "Rating: 3\nRationale: Honest.",
    }
}

with Pipeline(name="clean-dataset") as pipeline:
    load = LoadDataFromDicts(name="load", data=ROWS["load"])
    judge = UltraFeedback(
        name="judge",
        aspect="overall-rating",
        llm=InferenceEndpointsLLM(
            model_id="meta-llama/Meta-Llama-3.1-70B-Instruct",
            tokenizer_id="meta-llama/Meta-Llama-3.1-70B-Instruct",
            generation_kwargs={"max_new_tokens": 512, "temperature": 0.7},
        ),
    )
    keep = KeepColumns(
        name="keep",
        columns=["instruction", "generations", "ratings", "rationales", "model_name"],
    )
    load >> judge >> keep
