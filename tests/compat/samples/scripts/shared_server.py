"""One server of an LLM answers two Tasks."""

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration, UltraFeedback

ROWS = {"load": [{"instruction": "What is fog?"}, {"instruction": "What is hail?"}]}
ANSWERS = {
    "answer": {"fog": ["A cloud.", "Smoke."], "hail": ["Ice.", "Snow."]},
    "judge": "Rating: 5\nRationale: Right.\n\nRating: 2\nRationale: Nearly.",
}

with Pipeline(name="shared-server") as pipeline:
    llm = OpenAILLM(
        model="meta-llama/Meta-Llama-3-8B-Instruct",
        base_url="http://localhost:8000/v1",
        api_key="none",
    )
    load = LoadDataFromDicts(name="load", data=ROWS["load"])
    answer = TextGeneration(
        name="answer",
        llm=llm,
        num_generations=2,
        group_generations=True,
        output_mappings={"generation": "generations"},
    )
    load >> answer >> UltraFeedback(name="judge", aspect="instruction-following", llm=llm)
