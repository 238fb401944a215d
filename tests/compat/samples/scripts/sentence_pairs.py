"""Triplets for training a retriever and a reranker: two leaves, so two subsets."""

from distilabel.models import InferenceEndpointsLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromHub
from distilabel.steps.tasks import GenerateSentencePair

ROWS = {
    "load": [
        {"anchor": "A Step reads rows and writes rows."},
        {"anchor": "A Task asks a model about each row."},
        {"anchor": "A Distiset has one subset per leaf."},
    ]
}
ANSWERS = {
    "retrieval": {
        "Step": "## Positive\n\nWhat does a Step do?\n\n## Negative\n\nWhat does a step cost?",
        "Task": "## Positive\nWhat is a Task?\n## Negative\nWhat is a task force?",
        "Distiset": "I can't think of any.",
    },
    "reranking": {
        "Step": "## Positive\nA Step turns rows into rows.\n\n## Negative\nA Step has no rows.",
        "Task": "## Positive\nOnly this.",
        "Distiset": "\n## Positive\n\nTwo\nlines.\n\n## Negative\n\nTwo\nmore.\n",
    },
}
CONTEXT = "The texts are from the documentation of a library for synthetic data."

with Pipeline(name="sentence-pairs") as pipeline:
    llm = InferenceEndpointsLLM(
        model_id="mistralai/Mistral-7B-Instruct-v0.3",
        tokenizer_id="mistralai/Mistral-7B-Instruct-v0.3",
    )
    load = LoadDataFromHub(name="load", repo_id="someone/chunks", split="train")
    retrieval = GenerateSentencePair(
        name="retrieval",
        triplet=True,
        hard_negative=True,
        action="query",
        llm=llm,
        input_batch_size=10,
        context=CONTEXT,
    )
    reranking = GenerateSentencePair(
        name="reranking",
        triplet=True,
        hard_negative=False,
        action="semantically-similar",
        llm=llm,
        input_batch_size=10,
        context=CONTEXT,
    )
    load.connect(retrieval, reranking)
