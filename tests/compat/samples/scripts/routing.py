"""Each batch goes to some of the Steps, and all that they make comes together."""

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline, sample_n_steps
from distilabel.steps import CombineOutputs, LoadDataFromDicts, MergeColumns
from distilabel.steps.tasks import TextGeneration

ROWS = {"load": [{"instruction": f"Question {number}"} for number in range(6)]}
NAMES = ["first", "second", "third"]
ANSWERS = dict.fromkeys(NAMES, "An answer.")

with Pipeline(name="routing") as pipeline:
    load = LoadDataFromDicts(name="load", data=ROWS["load"], batch_size=2)
    tasks = [
        TextGeneration(name=name, llm=OpenAILLM(model="gpt-4", api_key="none"), input_batch_size=2)
        for name in NAMES
    ]
    combine = CombineOutputs(name="combine", input_batch_size=2)
    load >> sample_n_steps(2) >> tasks >> combine
    combine >> MergeColumns(name="merge", columns=["generation"], output_column="answers")
