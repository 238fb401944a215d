"""Questions about images."""

from distilabel.models import InferenceEndpointsLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGenerationWithImage

ROWS = {
    "load": [
        {"instruction": "What is on it?", "image": "https://images.example.com/cat.png"},
        {"instruction": "Which colour is it?", "image": "https://images.example.com/sky.png"},
    ]
}
ANSWERS = {"look": {"What": "A cat.", "Which": "Blue."}}

with Pipeline(name="vision") as pipeline:
    load = LoadDataFromDicts(name="load", data=ROWS["load"])
    look = TextGenerationWithImage(
        name="look",
        llm=InferenceEndpointsLLM(model_id="meta-llama/Llama-3.2-11B-Vision-Instruct"),
        image_type="url",
    )
    load >> look
