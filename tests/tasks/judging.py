"""What the tests of Tasks share: a scripted LLM, hostile texts."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import strategies as st
from pydantic import Field

from beam_distilabel.models.base import AsyncLLM
from beam_distilabel.row import Row
from tests.fakes import journal, output_of, prompt_of

HOSTILE = st.text(
    st.characters() | st.sampled_from("{}[]%#*_:.-\\'\"\x00\ud800\u2028\n<>"), max_size=60
)
"""Any text, often with what prompts and parsers give a meaning to."""

WORDS = st.text("aBz é,", min_size=1, max_size=20).map(str.strip).filter(bool)
"""A line of prose."""


class ScriptedLLM(AsyncLLM):
    """Answers a prompt with the first of `script` whose key is in it, else with `answer`.

    A value that is a list is gone through, one answer per call with the key; None is no answer, and
    an answer that begins with "!" is raised as a ValueError.
    """

    tag: str = "scripted"
    answer: str = ""
    script: dict[str, Any] = Field(default_factory=dict)

    @property
    def model_name(self) -> str:
        return "scripted"

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
        prompt = prompt_of(input)
        events = journal(self.tag)
        events.add(prompt)
        await asyncio.sleep(0)
        texts = []
        for _ in range(num_generations):
            key = next((key for key in self.script if key in prompt), None)
            found = self.answer if key is None else self.script[key]
            if isinstance(found, list):
                found = found[(events.add(("took", key)) and events.count(("took", key))) - 1]
            if isinstance(found, str) and found.startswith("!"):
                raise ValueError(found[1:])
            texts.append(found)
        return output_of(texts, prompt)


def prompts(llm: ScriptedLLM) -> list[str]:
    """What an LLM was asked, in order."""
    return [event for event in journal(llm.tag).events if isinstance(event, str)]


def user_message(task: Any, row: Row) -> str:
    """The last message that a Task asks about a row."""
    return prompt_of(task.format_input(row))
