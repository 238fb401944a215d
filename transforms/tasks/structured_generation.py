"""StructuredGeneration: every row says what form its answer has."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from beam_distilabel.models.structured_output import plain_structure
from beam_distilabel.row import Row
from beam_distilabel.task import Task
from beam_distilabel.transforms.tasks.text_generation import answered, chat_of
from beam_distilabel.typing import FormattedInput, StepColumns


class StructuredGeneration(Task):
    """Asks the model with an instruction, for an answer of the form that the row gives.

    Attributes:
        use_system_prompt: whether the row's `system_prompt` column is used.

    Input columns: `instruction`; `structured_output`, `{"format": "json" | "regex" | "choice" |
    "grammar", "schema": ...}`, also as JSON text, or None for an answer of any form;
    `system_prompt` (with `use_system_prompt`, optional).
    Output columns: `generation`, the answer's text, not parsed; `model_name`.

    In tables, where all rows have the same columns, give the schemas as JSON text: a schema that is
    a dict would get the properties of all others, without values. Those are left out, as far as
    they can be told from what was meant.

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Obedient(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "obedient"
        ...     async def agenerate(self, input, num_generations=1):
        ...         chat, structure = input
        ...         return {"generations": structure["schema"][:num_generations]}
        >>> task = StructuredGeneration(llm=Obedient())
        >>> task.load()
        >>> structure = {"format": "choice", "schema": ["yes", "no"]}
        >>> row = {"instruction": "Is water wet?", "structured_output": structure}
        >>> next(task.process([row]))[0]["generation"]
        'yes'
    """

    use_system_prompt: bool = False

    @property
    def inputs(self) -> StepColumns:
        columns = {"instruction": True, "structured_output": True}
        return {**columns, "system_prompt": False} if self.use_system_prompt else columns

    @property
    def outputs(self) -> StepColumns:
        return ["generation", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"generation": pa.string()})

    def format_input(self, input: Row) -> FormattedInput:
        """The chat, and the structure of its answer."""
        instruction = input.get("instruction")
        if not isinstance(instruction, str):
            raise ValueError(
                f"the column 'instruction' has {type(instruction).__name__}, expected text"
            )
        system_prompt = input.get("system_prompt") if self.use_system_prompt else None
        return chat_of(instruction, system_prompt), structure_of(input["structured_output"])

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The answer as it is."""
        return {"generation": answered(output)}


def structure_of(value: Any) -> dict[str, Any] | None:
    """What a row's `structured_output` asks for.

    Raises:
        DistilabelUserError: it can't be used.
        ValueError: it is text and no JSON.

    Example:
        >>> structure_of('{"format": "regex", "schema": "[0-9]+"}')
        {'format': 'regex', 'schema': '[0-9]+'}
    """
    return plain_structure(json.loads(value) if isinstance(value, str) and value else value)
