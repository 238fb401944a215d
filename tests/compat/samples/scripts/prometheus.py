"""A judge by rubrics."""

from distilabel.models import vLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import KeepColumns, LoadDataFromHub
from distilabel.steps.tasks import PrometheusEval

ROWS = {
    "load": [
        {"instruction": "Is the earth flat?", "completion": "No.", "source": "a"},
        {"instruction": "How old is the sun?", "completion": "Young.", "source": "b"},
        {"instruction": "What is a lemma?", "completion": "A word.", "source": "c"},
    ]
}
ANSWERS = {
    "judge": {
        "earth": "Feedback: That is true. [RESULT] 5",
        "sun": "That is vague. [RESULT] 2",
        "lemma": "I'd rather not.",
    }
}
RUBRIC = "[Is it true?]\n" + "\n".join(
    f"Score {score}: {score - 1} of 4 readers believe it" for score in range(1, 6)
)

with Pipeline(name="prometheus") as pipeline:
    load = LoadDataFromHub(
        name="load",
        repo_id="someone/answers",
        split="test",
        output_mappings={"completion": "generation"},
    )
    judge = PrometheusEval(
        name="judge",
        llm=vLLM(
            model="prometheus-eval/prometheus-7b-v2.0",
            chat_template="[INST] {% for one in messages %}{{ one['content'] }}{% endfor %}[/INST]",
            generation_kwargs={"max_new_tokens": 512, "temperature": 0.7},
        ),
        mode="absolute",
        rubric="truth",
        rubrics={"truth": RUBRIC},
        reference=False,
    )
    keep = KeepColumns(
        name="keep", columns=["instruction", "generation", "feedback", "result", "model_name"]
    )
    load >> judge >> keep
