"""Personas post to a social network; three kinds of followers, three subsets."""

from typing import Literal

from distilabel.models import InferenceEndpointsLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import FormatTextGenerationSFT, LoadDataFromHub
from distilabel.steps.tasks import TextGeneration

ROWS = {
    "load": [
        {"persona": "A baker in Lyon.", "post": "Fresh bread!", "topic": "bread"},
        {"persona": "A diver.", "post": "I saw a whale.", "topic": "whales"},
    ]
}
ANSWERS = {
    "engaged": {"bread": "When do you open?", "whale": "How big?"},
    "neutral": "I see.",
    "absent": {"bread": None, "whale": "..."},
}


class SocialAI(TextGeneration):
    """Answers a post as a kind of follower."""

    follower_type: Literal["engaged", "neutral", "absent"] = "engaged"

    @property
    def inputs(self):
        return ["persona", "post", "instruction"]

    @property
    def outputs(self):
        return ["generation", "model_name", "follower"]

    def format_input(self, input):
        return [
            {"role": "system", "content": f"You are a follower, {self.follower_type}."},
            {"role": "user", "content": f"{input['persona']} posts: {input['post']}"},
        ]

    def format_output(self, output, input=None):
        return {**super().format_output(output, input), "follower": self.follower_type}


with Pipeline(name="social-network") as pipeline:
    load = LoadDataFromHub(
        name="load",
        repo_id="someone/personas",
        num_examples=2,
        output_mappings={"topic": "instruction"},
    )
    for kind, count in (("engaged", 2), ("neutral", 1), ("absent", 1)):
        follower = SocialAI(
            name=kind,
            llm=InferenceEndpointsLLM(
                model_id="meta-llama/Meta-Llama-3.1-70B-Instruct",
                tokenizer_id="meta-llama/Meta-Llama-3.1-70B-Instruct",
                generation_kwargs={"temperature": 0.9, "max_new_tokens": 512},
            ),
            follower_type=kind,
            num_generations=count,
        )
        load >> follower >> FormatTextGenerationSFT(name=f"sft-{kind}")
