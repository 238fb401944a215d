"""Of six models three answer each row; a seventh one judges the answers."""

from distilabel.models import OpenAILLM, vLLM
from distilabel.pipeline import Pipeline, sample_n_steps
from distilabel.steps import GroupColumns, KeepColumns, LoadDataFromHub
from distilabel.steps.tasks import TextGeneration, UltraFeedback

ROWS = {"load": [{"instruction": f"Write {number} words."} for number in range(4)]}
MODELS = {
    "zephyr": "HuggingFaceH4/zephyr-7b-beta",
    "notus": "argilla/notus-7b-v1",
    "mistral": "mistralai/Mistral-7B-Instruct-v0.2",
    "llama": "meta-llama/Llama-2-7b-chat-hf",
    "yi": "01-ai/Yi-6B-Chat",
    "gemma": "google/gemma-7b-it",
}
JUDGEMENT = "\n\n".join(f"Rating: {rating}\nRationale: About {rating}." for rating in (3, 1, 5))
ANSWERS = {**dict.fromkeys(MODELS, "Some words."), "judge": JUDGEMENT}
RANDOM = ["generation_models"]

with Pipeline(name="ultrafeedback") as pipeline:
    load = LoadDataFromHub(name="load", repo_id="someone/instructions", batch_size=2)
    writers = [
        TextGeneration(
            name=name,
            llm=vLLM(model=model, generation_kwargs={"max_new_tokens": 512}),
            input_batch_size=2,
        )
        for name, model in MODELS.items()
    ]
    group = GroupColumns(
        name="group",
        columns=["generation", "model_name"],
        output_columns=["generations", "generation_models"],
        input_batch_size=2,
    )
    judge = UltraFeedback(
        name="judge",
        llm=OpenAILLM(model="gpt-4", api_key="none"),
        aspect="overall-rating",
        input_batch_size=8,
    )
    keep = KeepColumns(
        name="keep",
        columns=["instruction", "generations", "generation_models", "ratings", "rationales"],
    )
    load >> sample_n_steps(3) >> writers >> group >> judge >> keep
