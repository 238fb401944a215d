"""Images of prompts, by a provider's API."""

from distilabel.models.image_generation import InferenceEndpointsImageGeneration
from distilabel.pipeline import Pipeline
from distilabel.steps import KeepColumns, LoadDataFromHub
from distilabel.steps.tasks import ImageGeneration

ROWS = {"load": [{"prompt": "A red square.", "id": 1}, {"prompt": "A blue dot.", "id": 2}]}

with Pipeline(name="image-generation") as pipeline:
    load = LoadDataFromHub(name="load", repo_id="someone/prompts", num_examples=2)
    paint = ImageGeneration(
        name="paint",
        image_generation_model=InferenceEndpointsImageGeneration(
            model_id="black-forest-labs/FLUX.1-schnell"
        ),
    )
    keep = KeepColumns(name="keep", columns=["prompt", "model_name", "image"])
    load >> paint >> keep
