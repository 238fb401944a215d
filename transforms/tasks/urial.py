"""URIAL: answers of a base model, which a prompt alone makes behave like an assistant."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from beam_distilabel.errors import ParseError
from beam_distilabel.row import Row
from beam_distilabel.task import Task
from beam_distilabel.transforms.tasks.answers import text_of
from beam_distilabel.transforms.tasks.text_generation import is_chat
from beam_distilabel.typing import FormattedInput, StepColumns

_INTRODUCTION: Final = """\
# Instruction

These are conversations between people and an AI assistant. What a person writes stands below \
"# User:", what the assistant answers below "# Assistant:".

The assistant is friendly and honest, and wants to be of help. Its answers are correct, detailed \
and well ordered, and pleasant to read. It says so when it doesn't know something. It writes \
nothing that is false, hateful, illegal or dangerous, and declines, with its reasons, where it is \
asked for that.

"""

_NEXT: Final = "\n# User"


def parse(text: str | None) -> str:
    """The assistant's answer: what a base model wrote before it began the user's next turn.

    Args:
        text: the answer; None where the model gave none.

    Raises:
        ParseError: there is no answer, or nothing in it.

    Example:
        >>> parse("\\n\\nBlue.\\n\\n# User:\\n\\nWhy?")
        'Blue.'
    """
    if text is None:
        raise ParseError("the model gave no answer")
    answer = f"\n{text}".partition(_NEXT)[0].strip()
    if not answer:
        raise ParseError("the model wrote nothing for the assistant")
    return answer


class URIAL(Task):
    """Asks a base model, which wasn't trained to follow instructions, as if it were a chat model.

    The model gets a raw prompt, without a chat template: some words about what an assistant is
    like, and the conversation so far. Its answer ends where it goes on to write the user's next
    turn; `stop=["# User:"]` among the LLM's `generation_kwargs` saves the rest, where it takes
    that.

    Input columns: `instruction`, a text, or `conversation`, a chat whose last message is the
        user's.
    Output columns: `generation`, `model_name`.

    Source: Lin et al. 2023, https://arxiv.org/abs/2312.01552

    Citations:
        @misc{lin2023unlockingspellbasellms,
            title={The Unlocking Spell on Base LLMs: Rethinking Alignment via In-Context Learning},
            author={Bill Yuchen Lin and Abhilasha Ravichander and Ximing Lu and Nouha Dziri and
                Melanie Sclar and Khyathi Chandu and Chandra Bhagavatula and Yejin Choi},
            year={2023},
            eprint={2312.01552},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2312.01552},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Base(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "base"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ["\\n\\nBlue.\\n\\n# User:\\n\\nWhy?"] * num_generations}
        >>> task = URIAL(llm=Base())
        >>> task.load()
        >>> next(task.process([{"instruction": "Name a colour."}]))[0]["generation"]
        'Blue.'
    """

    @property
    def inputs(self) -> StepColumns:
        return {"instruction": False, "conversation": False}

    @property
    def outputs(self) -> StepColumns:
        return ["generation", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"generation": pa.string()})

    def format_input(self, input: Row) -> FormattedInput:
        """The raw prompt: the introduction, and the conversation up to the assistant's turn."""
        if input.get("instruction") is not None:
            messages: Any = [{"role": "user", "content": text_of(input, "instruction")}]
        else:
            messages = input.get("conversation")
        if not is_chat(messages) or not all(isinstance(m["content"], str) for m in messages):
            raise ValueError(
                "the columns 'instruction' and 'conversation' have no text and no chat of texts"
            )
        if messages[-1]["role"] != "user":
            raise ValueError(
                f"the last message is by {messages[-1]['role']!r}; it has to be the user's"
            )
        turns = [f"# {str(m['role']).capitalize()}:\n\n{m['content']}\n" for m in messages]
        return _INTRODUCTION + "\n".join([*turns, "# Assistant:"])

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The assistant's answer."""
        return {"generation": parse(output)}
