"""A model that takes its time and no CPU, as one on a GPU, and notes when it has answered."""

from __future__ import annotations

import asyncio
import os
import struct
import time
import uuid
from pathlib import Path
from typing import Any

from beam_distilabel.llms import AsyncLLM
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.typing import GenerateOutput

_TIME = struct.Struct("<d")


class SleepingEngine(Engine):
    """Answers one request at a time, each after some seconds.

    Args:
        seconds: how long an answer takes.
        notes: the folder where each engine has a file of the times of its answers.
    """

    max_in_flight = 1

    def __init__(self, seconds: float, notes: str) -> None:
        super().__init__()
        self._seconds = seconds
        self._path = Path(notes) / f"{os.getpid()}-{uuid.uuid4().hex}"

    async def start(self) -> None:
        self._notes = open(self._path, "ab", buffering=0)

    async def stop(self) -> None:
        self._notes.close()

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        await asyncio.sleep(self._seconds)
        text = f"an answer to {request.input[-1]['content']}"  # type: ignore[index]
        self._notes.write(_TIME.pack(time.time()))
        return {
            "generations": [text],
            "statistics": {"input_tokens": [9], "output_tokens": [9]},
        }


class SleepingLLM(AsyncLLM):
    """An LLM behind a `SleepingEngine`."""

    seconds: float
    notes: str

    @property
    def model_name(self) -> str:
        return "sleeping"

    def make_engine(self) -> Engine:
        return SleepingEngine(self.seconds, self.notes)

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
        raise AssertionError("the engine answers")


def answer_times(notes: Path) -> dict[str, list[float]]:
    """The times at which each engine has answered, in seconds since the epoch, by its file."""
    return {
        path.name: [time for (time,) in _TIME.iter_unpack(path.read_bytes())]
        for path in notes.iterdir()
    }
