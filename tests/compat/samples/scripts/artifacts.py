"""A Step of the user's own keeps a file with the run."""

from distilabel.pipeline import Pipeline
from distilabel.steps import GlobalStep, LoadDataFromDicts, StepInput

ROWS = {"load": [{"text": "rain"}, {"text": "a whale"}, {"text": "bread"}]}


class CountCharacters(GlobalStep):
    """Counts characters, and writes down how many there are of each length."""

    @property
    def inputs(self):
        return ["text"]

    @property
    def outputs(self):
        return ["count"]

    def process(self, inputs: StepInput):
        for row in inputs:
            row["count"] = len(row["text"])
        counts = sorted(row["count"] for row in inputs)

        def write(path):
            (path / "counts.txt").write_text(" ".join(map(str, counts)))

        self.save_artifact("counts", write_function=write, metadata={"unit": "characters"})
        yield inputs


with Pipeline(name="artifacts") as pipeline:
    LoadDataFromDicts(name="load", data=ROWS["load"]) >> CountCharacters(name="count")
