"""A model answers the rows of a dataset."""

from distilabel.models import InferenceEndpointsLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromHub
from distilabel.steps.tasks import TextGeneration

ROWS = {"load": [{"instruction": f"Count to {number}."} for number in range(20)]}
ANSWERS = {"answer": {"to 7.": None, "to 1": "1", "": "One"}}
PARAMETERS = {
    "load": {"split": "test"},
    "answer": {"llm": {"generation_kwargs": {"temperature": 0.7, "max_new_tokens": 256}}},
}

with Pipeline(name="quickstart", requirements=["datasets"]) as pipeline:
    load = LoadDataFromHub(name="load", batch_size=8)
    answer = TextGeneration(
        name="answer",
        llm=InferenceEndpointsLLM(model_id="meta-llama/Meta-Llama-3.1-8B-Instruct"),
        num_generations=2,
        input_batch_size=3,
    )
    load >> answer
