"""TextGeneration and ChatGeneration: the model's whole answer as a column."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pydantic import Field, PrivateAttr, field_validator, model_validator
from typing_extensions import Self

from beam_distilabel.errors import DistilabelUserError, ParseError
from beam_distilabel.row import Row
from beam_distilabel.task import Task
from beam_distilabel.transforms.tasks.prompt_templates import (
    EmptyColumn,
    fill_template,
    template_variables,
)
from beam_distilabel.typing import ChatType, StepColumns

DEFAULT_TEMPLATE = "{{ instruction }}"


def is_chat(value: Any) -> bool:
    """Whether `value` is a list of messages with role and content."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(m, dict) and "role" in m and "content" in m for m in value)
    )


def answered(output: str | None) -> str:
    """The answer; raises ParseError where there is none."""
    if output is None:
        raise ParseError("the model gave no answer")
    return output


def chat_of(content: str, system_prompt: Any, default: str | None = None) -> ChatType:
    """The user's message, after a system message where there is one.

    Args:
        content: the user's message.
        system_prompt: the row's.
        default: for rows that have none.

    Raises:
        ValueError: the row's `system_prompt` is no text.
    """
    if system_prompt is not None and not isinstance(system_prompt, str):
        raise ValueError(
            f"the column 'system_prompt' has {type(system_prompt).__name__}, expected text"
        )
    messages: ChatType = [{"role": "user", "content": content}]
    system_prompt = system_prompt or default
    if system_prompt:
        messages.insert(0, {"role": "system", "content": system_prompt})
    return messages


class TextGeneration(Task):
    """Asks the model with a template filled from the row's columns.

    Attributes:
        system_prompt: the system message; a row's own `system_prompt` column wins.
        template: a Jinja template of the user message.
        columns: the columns that the template uses; "instruction" by default.
        use_system_prompt: whether a row's `system_prompt` column is used.

    Input columns: those of `columns`, and `system_prompt` (optional).
    Output columns: `generation`, `model_name`.

    Raises:
        ValidationError: the template uses a variable that isn't in `columns`.

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Parrot(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "parrot"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": [input[-1]["content"]] * num_generations}
        >>> task = TextGeneration(llm=Parrot(), template="Say {{ word }}!", columns=["word"])
        >>> task.load()
        >>> next(task.process([{"word": "hi"}]))[0]["generation"]
        'Say hi!'
    """

    system_prompt: str | None = None
    use_system_prompt: bool = Field(default=True)
    template: str = Field(default=DEFAULT_TEMPLATE)
    columns: str | list[str] = Field(default="instruction", validate_default=True)

    _can_be_used_with_offline_batch_generation: bool = PrivateAttr(True)

    @field_validator("columns")
    @classmethod
    def _columns_as_list(cls, columns: str | list[str]) -> list[str]:
        return [columns] if isinstance(columns, str) else columns

    @model_validator(mode="after")
    def _template_uses_columns(self) -> Self:
        unknown = sorted(template_variables(self.template) - set(self.columns) - {"system_prompt"})
        if unknown:
            raise DistilabelUserError(
                f"{type(self).__name__} {self.name or ''}: the template uses "
                f"{', '.join(map(repr, unknown))}, which `columns`={list(self.columns)} doesn't "
                "name; add the column there."
            )
        return self

    @property
    def inputs(self) -> StepColumns:
        return {**dict.fromkeys(self.columns, True), "system_prompt": False}

    @property
    def outputs(self) -> StepColumns:
        return ["generation", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"generation": pa.string()})

    def format_input(self, input: Row) -> ChatType:
        """The chat: an optional system message and the filled template."""
        if self.template == DEFAULT_TEMPLATE:
            content = input.get("instruction")
            if content is None:
                raise ValueError("the column 'instruction' is empty (None)")
            if not isinstance(content, str):
                hint = "; use ChatGeneration for chats" if is_chat(content) else ""
                raise ValueError(
                    f"the column 'instruction' has {type(content).__name__}, expected text{hint}"
                )
        else:
            values = {column: input.get(column) for column in self.columns}
            try:
                content = fill_template(self.template, values)
            except EmptyColumn:
                empty = [repr(column) for column, value in values.items() if value is None]
                raise ValueError(
                    f"the template prints a column that is empty (None): {', '.join(empty)}"
                ) from None
        system_prompt = input.get("system_prompt") if self.use_system_prompt else None
        return chat_of(content, system_prompt, self.system_prompt)

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The answer as it is."""
        return {"generation": answered(output)}


class ChatGeneration(Task):
    """Asks the model with a chat, for its next message.

    Input columns: `messages`, a list of `{"role", "content"}` whose last one is the user's.
    Output columns: `generation`, `model_name`.

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Parrot(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "parrot"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": [input[-1]["content"]] * num_generations}
        >>> task = ChatGeneration(llm=Parrot())
        >>> task.load()
        >>> next(task.process([{"messages": [{"role": "user", "content": "hi"}]}]))[0]["generation"]
        'hi'
    """

    @property
    def inputs(self) -> StepColumns:
        return ["messages"]

    @property
    def outputs(self) -> StepColumns:
        return ["generation", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"generation": pa.string()})

    def format_input(self, input: Row) -> ChatType:
        """The row's chat."""
        messages = input["messages"]
        if not is_chat(messages):
            raise ValueError(
                "the column 'messages' has no chat: expected a list of dicts with 'role' and "
                f"'content', got {type(messages).__name__}"
            )
        if messages[-1]["role"] != "user":
            raise ValueError(
                f"the last message is by {messages[-1]['role']!r}; it has to be the user's"
            )
        return messages

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The answer as it is."""
        return {"generation": answered(output)}
