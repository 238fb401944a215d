"""SelfInstruct: instructions that users of an application could give, made from a text."""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa
from pydantic import PositiveInt, PrivateAttr

from beam_distilabel.errors import ParseError
from beam_distilabel.row import Row
from beam_distilabel.task import Task
from beam_distilabel.transforms.tasks.answers import text_of
from beam_distilabel.typing import ChatType, StepColumns

CRITERIA: Final = (
    "Use many different verbs, and none of them twice.\n"
    "Ask only for what a model that writes text can do, in one or two sentences.\n"
    "Make each query complete in itself, so that it is understood without the others.\n"
    'Mix questions ("Why does x happen?") with requests ("Explain how x happens.").'
)

_ITEM: Final = re.compile(r"\s*(?:[-*•]\s+|\(?\d{1,3}[.):\]]\s+)(.*)")


def parse(text: str | None) -> list[str]:
    """The instructions in an answer, one per line.

    Where lines are numbered or have bullets, which are left out, the others are remarks.

    Args:
        text: the answer; None where the model gave none.

    Raises:
        ParseError: there is no answer, or nothing in it.

    Example:
        >>> parse("Here they are:\\n1. Why is it so?\\n2. Tell me how.")
        ['Why is it so?', 'Tell me how.']
    """
    if text is None:
        raise ParseError("the model gave no answer")
    lines = text.splitlines()
    items = [match[1] for line in lines if (match := _ITEM.fullmatch(line))]
    instructions = [line.strip() for line in items or lines if line.strip()]
    if not instructions:
        raise ParseError("the answer is empty; expected an instruction per line")
    return instructions


class SelfInstruct(Task):
    """Makes up instructions from a text, as users of an application would give them.

    Attributes:
        num_instructions: how many the model is asked for; it may write more or fewer.
        criteria_for_query_generation: what makes a good instruction, one criterion per line.
        application_description: what the instructions are for.

    Input columns: `input`, the text.
    Output columns: `instructions`, a list of texts; `model_name`.

    Source: Wang et al. 2022, https://arxiv.org/abs/2212.10560

    Citations:
        @misc{wang2023selfinstructaligninglanguagemodels,
            title={Self-Instruct: Aligning Language Models with Self-Generated Instructions},
            author={Yizhong Wang and Yeganeh Kordi and Swaroop Mishra and Alisa Liu and
                Noah A. Smith and Daniel Khashabi and Hannaneh Hajishirzi},
            year={2023},
            eprint={2212.10560},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2212.10560},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Writer(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "writer"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ["1. Why?\\n2. Say how."] * num_generations}
        >>> task = SelfInstruct(llm=Writer(), num_instructions=2)
        >>> task.load()
        >>> next(task.process([{"input": "Rain falls."}]))[0]["instructions"]
        ['Why?', 'Say how.']
    """

    num_instructions: PositiveInt = 5
    criteria_for_query_generation: str = CRITERIA
    application_description: str = "AI assistant"

    _can_be_used_with_offline_batch_generation: bool = PrivateAttr(True)

    @property
    def inputs(self) -> StepColumns:
        return ["input"]

    @property
    def outputs(self) -> StepColumns:
        return ["instructions", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"instructions": pa.list_(pa.string())})

    def format_input(self, input: Row) -> ChatType:
        """The prompt about one text."""
        lines = [
            "# Task",
            f"Write {self.num_instructions} different queries that users of the application below "
            "could send to it, and that it could answer with the help of the context.",
            "",
            "# What makes a good query",
            self.criteria_for_query_generation,
            "",
            "# Application",
            self.application_description,
            "",
            "# Context",
            text_of(input, "input"),
            "",
            "# Form of your answer",
            "One query per line, without numbers, and nothing else.",
            "",
        ]
        return [{"role": "user", "content": "\n".join(lines)}]

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The instructions of one answer."""
        return {"instructions": parse(output)}
