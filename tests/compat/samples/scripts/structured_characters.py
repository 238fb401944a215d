"""JSON of a model on this machine, by a pydantic schema."""

from enum import Enum
from typing import Annotated

from distilabel.models import TransformersLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration
from pydantic import BaseModel, StringConstraints, conint


class Weapon(str, Enum):
    sword = "sword"
    axe = "axe"


class Character(BaseModel):
    name: Annotated[str, StringConstraints(max_length=30)]
    age: conint(gt=1, lt=3000)
    weapon: Weapon


ROWS = {
    "load": [
        {"system_prompt": "You make characters of games.", "instruction": f"Someone of {place}."}
        for place in ("Bree", "Rohan")
    ]
}
ANSWERS = {
    "character": {
        "Bree": '{"name": "Barliman", "age": 60, "weapon": "axe"}',
        "Rohan": '{"name": "Dernhelm", "age": 24, "weapon": "sword"}',
    }
}

with Pipeline(name="structured-characters") as pipeline:
    load = LoadDataFromDicts(name="load", data=ROWS["load"])
    character = TextGeneration(
        name="character",
        llm=TransformersLLM(
            model="openai-community/gpt2",
            structured_output={"format": "json", "schema": Character},
            generation_kwargs={"max_new_tokens": 128, "temperature": 0.1},
        ),
    )
    load >> character
