"""LLMs that answer from memory, and a way to run Steps and look at all that comes out.

What a worker's copy does is written to a `Journal`, found by its name: the runner of the tests has
its workers in this process, but they receive pickled copies.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_distilabel.errors import PromptTooLongError
from beam_distilabel.models.base import LLM, AsyncLLM
from beam_distilabel.models.engine import Engine, GenerateRequest, engines
from beam_distilabel.row import RESERVED, Row
from beam_distilabel.task import Task
from beam_distilabel.typing import GenerateOutput

PATIENCE_SECONDS = 300.0
"""How long something that has to happen is waited for, before a test fails."""


class Journal:
    """What happened, in order; `journal(name)` is the same object in every copy of a fake."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.released = threading.Event()
        self._lock = threading.Lock()

    def add(self, event: Any) -> int:
        """Write down `event`; returns how many there are now."""
        with self._lock:
            self.events.append(event)
            return len(self.events)

    def count(self, event: Any) -> int:
        return self.events.count(event)


_journals: dict[str, Journal] = {}
_journals_lock = threading.Lock()


def journal(name: str) -> Journal:
    with _journals_lock:
        return _journals.setdefault(name, Journal())


def new_name() -> str:
    """A name that no other test uses."""
    return uuid.uuid4().hex


# ---------------------------------------------------------------------------------- running


def options(workers: int) -> PipelineOptions:
    return PipelineOptions([], direct_num_workers=workers, direct_running_mode="multi_threading")


def run(rows: Iterable[Any], *transforms: Any, workers: int = 1) -> list[Any]:
    """The elements that come of `rows` after `transforms`, in the order in which they come."""
    return run_from(beam.Create(list(rows), reshuffle=workers > 1), *transforms, workers=workers)


def run_from(source: Any, *transforms: Any, workers: int = 1) -> list[Any]:
    """The elements that come of `source` after `transforms`."""
    found = new_name()
    with beam.Pipeline(runner=FnApiRunner(), options=options(workers)) as pipeline:
        elements = pipeline | source
        for transform in transforms:
            elements = elements | transform
        _ = elements | "Collect" >> beam.Map(_collect, found)
    return journal(found).events


def run_with_failures(rows: Iterable[Any], step: Any) -> tuple[list[Any], list[Any]]:
    """The rows and the Failures that come of `rows` after `step`."""
    found, failed = new_name(), new_name()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        outputs = pipeline | beam.Create(list(rows), reshuffle=False) | step.with_failures()
        _ = outputs["rows"] | "Collect" >> beam.Map(_collect, found)
        _ = outputs["failures"] | "Collect failures" >> beam.Map(_collect, failed)
    return journal(found).events, journal(failed).events


def _collect(element: Any, name: str) -> None:
    journal(name).add(element)


def plain(rows: Iterable[Row]) -> list[Row]:
    """`rows` without their identity."""
    return [{k: v for k, v in row.items() if k not in RESERVED} for row in rows]


def open_engines() -> set[str]:
    """The fingerprints of the models whose engines are open in this process."""
    return set(engines._entries)


@pytest.fixture
def no_engine_is_left() -> Iterator[None]:
    """Whatever a test does, it ends with the engines that it began with."""
    before = open_engines()
    yield
    assert open_engines() == before


# ---------------------------------------------------------------------------------- LLMs


def prompt_of(input: Any) -> str:
    """The text that an LLM is asked with: a raw prompt, or a chat's last message."""
    chat = input[0] if isinstance(input, tuple) else input
    return str(chat if isinstance(chat, str) else chat[-1]["content"])


def output_of(texts: list[Any], prompt: str = "") -> GenerateOutput:
    """What an LLM returns: one token per character."""
    return {
        "generations": texts,
        "statistics": {
            "input_tokens": [len(prompt)],
            "output_tokens": [len(text or "") for text in texts],
        },
        "finish_reasons": ["stop"] * len(texts),
    }


def answer_of(llm: Any, input: Any, num_generations: int) -> Any:
    """How the fakes answer: a prompt that names a trouble in brackets gets it, others an echo."""
    prompt = prompt_of(input)
    journal(llm.tag).add(prompt)
    if "[raise]" in prompt:
        raise ValueError("this prompt is refused")
    if "[too long]" in prompt:
        raise PromptTooLongError(f"the prompt has {len(prompt)} tokens, the model takes 4")
    if "[exit]" in prompt:
        raise SystemExit(3)
    if "[cancel]" in prompt:
        raise asyncio.CancelledError
    if "[nothing]" in prompt:
        return None
    if "[no list]" in prompt:
        return {"generations": None}
    if "[few]" in prompt:
        return {"generations": []}
    if "[list]" in prompt:
        return [llm.answer or prompt] * num_generations
    if "[none]" in prompt:
        return output_of([None] * num_generations, prompt)
    if "[empty]" in prompt:
        return output_of([""] * num_generations, prompt)
    if "[garbage]" in prompt:
        return output_of(["{{ 7 * 7 }} [RESULT] 9"] * num_generations, prompt)
    if "[surrogate]" in prompt:
        return output_of(["half a \ud83d character"] * num_generations, prompt)
    return output_of([llm.answer or prompt] * num_generations, prompt)


class FakeLLM(AsyncLLM):
    """Answers at once: `answer` if it is set, else with the prompt; see `answer_of`."""

    tag: str = "fake"
    answer: str = ""

    @property
    def model_name(self) -> str:
        return self.tag

    def load(self) -> None:
        super().load()
        journal(f"{self.tag}/life").add("load")

    def unload(self) -> None:
        super().unload()
        journal(f"{self.tag}/life").add("unload")

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1, temperature: float = 1.0
    ) -> Any:
        return answer_of(self, input, num_generations)


class SyncFakeLLM(LLM):
    """The same as FakeLLM, a batch at a time; `[one too few]` makes it lose an output."""

    tag: str = "sync"
    answer: str = ""

    @property
    def model_name(self) -> str:
        return self.tag

    def generate(self, inputs: list[Any], num_generations: int = 1, top_k: int = 0) -> list[Any]:  # type: ignore[override]
        journal(f"{self.tag}/batches").add(len(inputs))
        outputs = [answer_of(self, one, num_generations) for one in inputs]
        return outputs[:-1] if any("[one too few]" in prompt_of(i) for i in inputs) else outputs


class SeededEngine(Engine):
    """Answers with the prompt and the seed; writes the requests down."""

    description = "seeded 1.0"

    def __init__(self, tag: str) -> None:
        super().__init__()
        self._tag = tag

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        journal(self._tag).add(request)
        prompt = prompt_of(request.input)
        texts = [f"{prompt}#{request.seed}/{i}" for i in range(request.num_generations)]
        return output_of(texts, prompt)


class SeededLLM(AsyncLLM):
    """An LLM whose answer shows its seed."""

    tag: str = "seeded"

    @property
    def model_name(self) -> str:
        return self.tag

    def make_engine(self) -> Engine:
        return SeededEngine(self.tag)

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1, temperature: float = 1.0
    ) -> Any:
        raise AssertionError("the engine answers")


class SlotEngine(Engine):
    """Has `slots` slots; an answer takes as many turns of its loop as the prompt has characters.

    The journal has the prompts in the order in which they were finished, `most` the most requests
    that were known at once, `busiest` the most that were answered at once.
    """

    def __init__(self, tag: str, slots: int) -> None:
        super().__init__()
        self._tag = tag
        self._slots = asyncio.Semaphore(slots)
        self._known = self._running = 0
        self.most = self.busiest = 0

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        prompt = prompt_of(request.input)
        self._known += 1
        self.most = max(self.most, self._known)
        try:
            async with self._slots:
                self._running += 1
                self.busiest = max(self.busiest, self._running)
                for _ in range(len(prompt)):
                    await asyncio.sleep(0)
                self._running -= 1
        finally:
            self._known -= 1
            journal(f"{self._tag}/load").add((self.most, self.busiest, self._known))
        journal(self._tag).add(prompt)
        return output_of([prompt], prompt)


class SlotLLM(AsyncLLM):
    """An LLM behind a `SlotEngine`."""

    tag: str = "slots"
    slots: int = 4

    @property
    def model_name(self) -> str:
        return self.tag

    def make_engine(self) -> Engine:
        return SlotEngine(self.tag, self.slots)


class GatedEngine(Engine):
    """Answers at once, but a prompt with "[wait]" only when its journal is released."""

    def __init__(self, tag: str) -> None:
        super().__init__()
        self._tag = tag

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        prompt = prompt_of(request.input)
        events = journal(self._tag)
        events.add(("asked", prompt))
        if "[wait]" in prompt:
            opened = await asyncio.to_thread(events.released.wait, PATIENCE_SECONDS)
            assert opened, "nobody released the answer"
        if "[raise]" in prompt:
            raise RuntimeError("the engine broke")
        events.add(("answered", prompt))
        return output_of([prompt], prompt)


class GatedLLM(AsyncLLM):
    """An LLM behind a `GatedEngine`."""

    tag: str = "gated"

    @property
    def model_name(self) -> str:
        return self.tag

    def make_engine(self) -> Engine:
        return GatedEngine(self.tag)


class BrokenLLM(FakeLLM):
    """Can't be loaded; and what was not loaded can't be unloaded."""

    def load(self) -> None:
        raise RuntimeError("no accelerator is free")

    def unload(self) -> None:
        raise AttributeError("there is no client to close")


# ---------------------------------------------------------------------------------- Tasks


class Ask(Task):
    """Asks with the column `text`; an answer with "[RESULT] 9" can't be parsed."""

    @property
    def inputs(self) -> list[str]:
        return ["text"]

    @property
    def outputs(self) -> list[str]:
        return ["answer", "model_name"]

    def format_input(self, input: Row) -> Any:
        if not isinstance(input["text"], str):
            raise TypeError(f"no text: {type(input['text']).__name__}")
        return [{"role": "user", "content": input["text"]}]

    def format_output(self, output: Any, input: Row | None = None) -> dict[str, Any]:
        if output is None or "[RESULT] 9" in output:
            raise ValueError("this can't be parsed")
        return {"answer": output}


class AskInOwnWords(Ask):
    """Asks in other words every time."""

    def format_input(self, input: Row) -> Any:
        number = next(_words)
        journal(self.llm.model_name + "/formatted").add(input["text"])
        return [{"role": "user", "content": f"{input['text']} in words {number}"}]


_words = itertools.count()


def multiset(values: Iterable[Any]) -> Counter[Any]:
    return Counter(values)
