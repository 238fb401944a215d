"""Questions of an exam about a page, by a template and a schema."""

from distilabel.models import InferenceEndpointsLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration
from pydantic import BaseModel, Field


class ExamQuestion(BaseModel):
    question: str = Field(..., description="What is asked")
    answer: str = Field(..., description="What is right")
    distractors: list[str] = Field(..., description="What is wrong, yet looks right")


class ExamQuestions(BaseModel):
    exam: list[ExamQuestion]


ROWS = {"load": [{"page": "Rain is water that falls from clouds."}]}
ANSWERS = {
    "exam": '{"exam": [{"question": "Where does rain fall from?", "answer": "Clouds", '
    '"distractors": ["Trees", "Roofs"]}]}'
}

with Pipeline(name="exam-questions") as pipeline:
    load = LoadDataFromDicts(name="load", data=ROWS["load"])
    exam = TextGeneration(
        name="exam",
        system_prompt="You write exams. The answers have the form of a JSON document.",
        template="Write an exam about this page:\n\n{{ page }}",
        columns=["page"],
        num_generations=1,
        group_generations=True,
        llm=InferenceEndpointsLLM(
            model_id="meta-llama/Meta-Llama-3.1-8B-Instruct",
            tokenizer_id="meta-llama/Meta-Llama-3.1-8B-Instruct",
            structured_output={"schema": ExamQuestions, "format": "json"},
            generation_kwargs={"max_new_tokens": 2048},
        ),
        output_mappings={"model_name": "generation_model"},
    )
    load >> exam
