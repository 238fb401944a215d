"""A model that answers at once, written the way that distilabel's documentation has it.

This one source runs in beam_distilabel and in distilabel, whichever the interpreter has.
"""

from __future__ import annotations

from typing import Any

try:
    from beam_distilabel.llms import LLM
except ModuleNotFoundError:
    from distilabel.models.llms import LLM  # type: ignore[no-redef]


class InstantLLM(LLM):
    """Answers `answer` to every prompt."""

    answer: str

    @property
    def model_name(self) -> str:
        return "instant"

    def generate(self, inputs: list[Any], num_generations: int = 1) -> list[Any]:  # type: ignore[override]
        return [
            {
                "generations": [self.answer] * num_generations,
                "statistics": {"input_tokens": [9], "output_tokens": [9] * num_generations},
            }
            for _ in inputs
        ]
