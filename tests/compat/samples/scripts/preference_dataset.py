"""Two models answer, a third one judges, the best and the worst answer become a pair."""

from distilabel.models import InferenceEndpointsLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import FormatTextGenerationDPO, GroupColumns, LoadDataFromHub
from distilabel.steps.tasks import TextGeneration, UltraFeedback

ROWS = {
    "load": [
        {"id": 1, "prompt": "Why is the sky blue?"},
        {"id": 2, "prompt": "Name a prime number."},
        {"id": 3, "prompt": "Translate 'rain' into Spanish."},
    ]
}
ANSWERS = {
    "llama": {"sky": "Blue light is scattered most.", "prime": "7", "rain": "lluvia"},
    "mixtral": {"sky": "It mirrors the sea.", "prime": "9", "rain": "nieve"},
    "judge": {
        "sky": "Rating: 5\nRationale: Right.\n\nRating: 1\nRationale: A myth.",
        "prime": "Rating: 4\nRationale: It is prime.\n\nRating: 2\nRationale: 3 times 3.",
        "rain": "Rating: 5\nRationale: Right.\n\nRating: 3\nRationale: That is snow.",
    },
}

with Pipeline(
    name="preference-dataset", description="Pairs of a good and a bad answer"
) as pipeline:
    load = LoadDataFromHub(
        name="load",
        repo_id="someone/instructions",
        split="train",
        output_mappings={"prompt": "instruction"},
    )
    llama = TextGeneration(
        name="llama",
        llm=InferenceEndpointsLLM(
            model_id="meta-llama/Meta-Llama-3-8B-Instruct",
            tokenizer_id="meta-llama/Meta-Llama-3-8B-Instruct",
            generation_kwargs={"max_new_tokens": 512, "temperature": 0.7},
        ),
    )
    mixtral = TextGeneration(
        name="mixtral",
        llm=InferenceEndpointsLLM(
            model_id="mistralai/Mixtral-8x7B-Instruct-v0.1",
            tokenizer_id="mistralai/Mixtral-8x7B-Instruct-v0.1",
            generation_kwargs={"max_new_tokens": 512, "temperature": 0.7},
        ),
    )
    group = GroupColumns(
        name="group",
        columns=["generation", "model_name"],
        output_columns=["generations", "generation_models"],
    )
    judge = UltraFeedback(
        name="judge",
        aspect="overall-rating",
        llm=InferenceEndpointsLLM(
            model_id="meta-llama/Meta-Llama-3-70B-Instruct",
            generation_kwargs={"max_new_tokens": 512, "temperature": 0.7},
        ),
    )
    pairs = FormatTextGenerationDPO(name="pairs")
    load >> [llama, mixtral] >> group >> judge >> pairs
