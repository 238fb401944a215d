"""A program whose run does what the test's files say: `main(FOLDER)`.

FOLDER has `settings.json` (see `main`). The model writes each prompt that it is asked to `asked`,
and answers when a file `go` or `go-<prompt>` is there.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from beam_distilabel.checkpoint import CheckpointSettings
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.base import AsyncLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration

ASKED, GO, LOADING, BEGIN = "asked", "go", "loading", "begin"


class Told(AsyncLLM):
    """Answers when the test says so."""

    folder: str
    loads_slowly: bool = False

    @property
    def model_name(self) -> str:
        return "told"

    def answer_identity(self) -> dict[str, Any]:
        return {"name": "told"}

    def load(self) -> None:
        super().load()
        if self.loads_slowly:
            append(Path(self.folder, LOADING), "x")
            while not Path(self.folder, GO).exists():
                time.sleep(0.01)

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1
    ) -> Any:
        prompt = input[-1]["content"]
        append(Path(self.folder, ASKED), prompt)
        while not any(Path(self.folder, name).exists() for name in (GO, f"{GO}-{prompt}")):
            await asyncio.sleep(0.01)
        return {"generations": [f"answer to {prompt}"] * num_generations}


def append(path: Path, line: str) -> None:
    """Append a line in one write, so that those of several processes don't mix."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(handle, f"{line}\n".encode())
    finally:
        os.close(handle)


def slow_pipeline(folder: Path, rows: int = 6, loads_slowly: bool = False) -> Pipeline:
    """The program's pipeline."""
    with Pipeline(name="slow") as pipeline:
        load = LoadDataFromDicts(
            name="load", data=[{"instruction": f"row{n}"} for n in range(rows)]
        )
        llm = Told(folder=str(folder), loads_slowly=loads_slowly)
        load >> TextGeneration(name="ask", llm=llm, max_in_flight=2)
    return pipeline


def main(folder: Path) -> None:
    settings = json.loads((folder / "settings.json").read_text())
    if settings.get("waits_to_begin"):
        append(folder / f"ready-{os.getpid()}", "x")
        while not (folder / BEGIN).exists():
            pass
    pipeline = slow_pipeline(
        folder, settings.get("rows", 6), loads_slowly=settings.get("loads_slowly", False)
    )
    output_dir = settings.get("output_dir", str(folder / "run"))
    try:
        distiset = pipeline.run(
            output_dir=output_dir,
            checkpoint=CheckpointSettings(rows=1, seconds=0.1),
            options=settings.get("options"),
        )
    except DistilabelUserError as error:
        append(folder / "refused", str(error))
        raise SystemExit(3) from None
    (folder / "published").write_text(str(len(distiset["default"]["train"])))
