"""Genstruct: an instruction and its answer, made from a document by the model Genstruct-7B."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from beam_distilabel.errors import ParseError
from beam_distilabel.row import Row
from beam_distilabel.task import Task
from beam_distilabel.transforms.tasks.answers import text_of
from beam_distilabel.typing import ChatType, StepColumns

# The form that the model was trained on, as its model card has it: no other words would do.
_INTRODUCTION: Final = (
    "The following is an interaction between a user and an AI assistant that is related to the "
    "above text."
)
_SEPARATOR: Final = "[[[Assistant]]]"
_USER: Final = "[[[User]]]"


def parse(text: str | None) -> tuple[str, str]:
    """Split an answer into what the user asks and what the assistant says.

    Args:
        text: the answer; None where the model gave none.

    Raises:
        ParseError: there is no answer, no `[[[Assistant]]]`, or nothing before or after it.

    Example:
        >>> parse("Why? [[[Assistant]]] Because.")
        ('Why?', 'Because.')
    """
    if text is None:
        raise ParseError("the model gave no answer")
    user, found, assistant = text.partition(_SEPARATOR)
    if not found:
        raise ParseError(f"expected {_SEPARATOR} in the answer")
    user = user.strip().removeprefix(_USER).strip()
    assistant = assistant.partition(_USER)[0].strip()  # a turn more than was asked for
    if not user or not assistant:
        raise ParseError(f"there is nothing {'after' if user else 'before'} {_SEPARATOR}")
    return user, assistant


class Genstruct(Task):
    """Makes an instruction and its answer from a document.

    The prompt is the one that `NousResearch/Genstruct-7B` was trained on; use that model.

    Input columns: `title`, `content` (of the document).
    Output columns: `user`, `assistant`, `model_name`.

    Source: https://huggingface.co/NousResearch/Genstruct-7B, after Ada-Instruct, Cui et al. 2023,
        https://arxiv.org/abs/2310.04484

    Citations:
        @misc{cui2023adainstructadaptinginstructiongenerators,
            title={Ada-Instruct: Adapting Instruction Generators for Complex Reasoning},
            author={Wanyun Cui and Qianle Wang},
            year={2023},
            eprint={2310.04484},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2310.04484},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Writer(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "writer"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ["Why? [[[Assistant]]] Because."] * num_generations}
        >>> task = Genstruct(llm=Writer())
        >>> task.load()
        >>> row = next(task.process([{"title": "Rain", "content": "It falls."}]))[0]
        >>> row["user"], row["assistant"]
        ('Why?', 'Because.')
    """

    @property
    def inputs(self) -> StepColumns:
        return ["title", "content"]

    @property
    def outputs(self) -> StepColumns:
        return ["user", "assistant", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"user": pa.string(), "assistant": pa.string()})

    def format_input(self, input: Row) -> ChatType:
        """The document, in the model's own form."""
        title, content = text_of(input, "title").strip(), text_of(input, "content").strip()
        document = f"[[[Title]]] {title}\n[[[Content]]] {content}"
        return [{"role": "user", "content": f"{document}\n\n{_INTRODUCTION}\n\n{_USER} "}]

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The instruction and the answer to it."""
        user, assistant = parse(output)
        return {"user": user, "assistant": assistant}
