"""A run on a vLLM engine, which kills itself when so many rows are through.

The arguments: the model, how many rows, the run directory, the rows until it dies.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from pydantic import PrivateAttr

from beam_distilabel.models.vllm import vLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.row import Row
from beam_distilabel.step import RowStep
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from tests.chaos.runs import CHECKPOINT, IN_FLIGHT

REPORT = "report.json"


class Dies(RowStep):
    """Kills its process, as `kill -9` does, when so many rows have come."""

    rows: int

    _seen: int = PrivateAttr(0)

    def transform_row(self, row: Row) -> Row:
        self._seen += 1
        if self._seen == self.rows:
            os.kill(os.getpid(), signal.SIGKILL)
        return row


def main(model: str, rows: int, folder: Path, rows_until_death: int) -> None:
    llm = vLLM(
        model=model,
        dtype="float32",
        extra_kwargs={"max_num_seqs": IN_FLIGHT},
        generation_kwargs={"max_new_tokens": 12},
    )
    with Pipeline(name="on-an-engine") as pipeline:
        load = LoadDataFromDicts(data=[{"instruction": f"how many {n}"} for n in range(rows)])
        write = TextGeneration(name="write", llm=llm, max_in_flight=IN_FLIGHT)
        again = TextGeneration(
            name="again",
            llm=llm,
            max_in_flight=IN_FLIGHT,
            input_mappings={"instruction": "generation"},
            output_mappings={"generation": "answer"},
        )
        load >> write >> again >> Dies(rows=rows_until_death)
    handle = pipeline.submit(output_dir=folder, logging_handlers=[], checkpoint=CHECKPOINT)
    handle.distiset()
    (folder.parent / REPORT).write_text(json.dumps(handle.report))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
