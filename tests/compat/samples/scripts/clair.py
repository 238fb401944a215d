"""A solution is revised as little as possible; the rows come with the run."""

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps.tasks import CLAIR

DATASET = [
    {"task": "Add 2 and 2.", "student_solution": "5"},
    {"task": "Spell 'rhythm'.", "student_solution": "rythm"},
]
ANSWERS = {
    "revise": {
        "Add": "{teacher_reasoning}: It is one too many.\n\n{corrected_student_solution}: 4",
        "Spell": "An h is missing.\n\n**Corrected Student Solution:**\nrhythm",
    }
}

with Pipeline(name="clair") as pipeline:
    CLAIR(
        name="revise",
        llm=OpenAILLM(model="gpt-4o", api_key="none", generation_kwargs={"max_new_tokens": 4096}),
        system_prompt="You revise what a student wrote.",
    )
