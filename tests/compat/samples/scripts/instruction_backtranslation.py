"""A model answers, and judges how well an assistant would have answered so."""

from distilabel.models import InferenceEndpointsLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import KeepColumns, LoadDataFromHub
from distilabel.steps.tasks import InstructionBacktranslation, TextGeneration

ROWS = {
    "load": [
        {"prompt": "How many legs has a spider?"},
        {"prompt": "Is glass a liquid?"},
        {"prompt": "Say nothing."},
    ]
}
ANSWERS = {
    "answer": {"spider": "Eight.", "glass": "No, a solid without order.", "nothing": "Nothing."},
    "judge": {"Eight": "It is right.\nScore: 5", "glass": "Good.\n\nScore: 4", "": "No verdict."},
}

with Pipeline(name="self-alignment") as pipeline:
    load = LoadDataFromHub(
        name="load",
        repo_id="someone/instructions",
        split="test",
        output_mappings={"prompt": "instruction"},
    )
    answer = TextGeneration(
        name="answer",
        llm=InferenceEndpointsLLM(base_url="http://localhost:8080"),
        input_batch_size=10,
        output_mappings={"model_name": "generation_model"},
    )
    judge = InstructionBacktranslation(
        name="judge",
        llm=InferenceEndpointsLLM(base_url="http://localhost:8081"),
        input_batch_size=10,
        output_mappings={"model_name": "scoring_model"},
    )
    keep = KeepColumns(
        name="keep",
        columns=[
            "instruction",
            "generation",
            "generation_model",
            "score",
            "reason",
            "scoring_model",
        ],
    )
    load >> answer >> judge >> keep
