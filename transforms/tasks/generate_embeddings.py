"""GenerateEmbeddings: the vector that a language model makes of a text."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pydantic import field_validator

from beam_distilabel.errors import DistilabelUserError, GenerationError
from beam_distilabel.models.base import LLM
from beam_distilabel.row import Row
from beam_distilabel.step import Step
from beam_distilabel.transforms.tasks.text_generation import is_chat
from beam_distilabel.typing import ChatType, StepColumns, StepInput, StepOutput


class GenerateEmbeddings(Step):
    """Makes a vector of each row's text: the last hidden state of a language model's last token.

    DEITA measures by it how different instructions are. `EmbeddingGeneration` does the same with
    models that were trained for it.

    Attributes:
        llm: one that gives its hidden states: `TransformersLLM`, or a class of your own with
            `get_last_hidden_states`.

    Input columns: `text`, a text or a chat (a list of `{"role", "content"}`).
    Output columns: `embedding` (a list of numbers), `model_name`.

    Raises:
        ValidationError: the LLM gives no hidden states.

    Source: Liu et al. 2023, https://arxiv.org/abs/2312.15685

    Citations:
        @misc{liu2024makesgooddataalignment,
            title={What Makes Good Data for Alignment? A Comprehensive Study of Automatic Data
                Selection in Instruction Tuning},
            author={Wei Liu and Weihao Zeng and Keqing He and Yong Jiang and Junxian He},
            year={2024},
            eprint={2312.15685},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2312.15685},
        }

    Example:
        >>> import numpy as np
        >>> class Lengths(LLM):
        ...     @property
        ...     def model_name(self): return "lengths"
        ...     def get_last_hidden_states(self, inputs):
        ...         return [np.array([[0.0], [len(chat[-1]["content"])]]) for chat in inputs]
        >>> step = GenerateEmbeddings(llm=Lengths())
        >>> step.load()
        >>> next(step.process([{"text": "four"}]))
        [{'text': 'four', 'embedding': [4.0], 'model_name': 'lengths'}]
    """

    llm: LLM

    @field_validator("llm")
    @classmethod
    def _gives_hidden_states(cls, llm: LLM) -> LLM:
        if type(llm).get_last_hidden_states is LLM.get_last_hidden_states:
            raise DistilabelUserError(
                f"{cls.__name__}: {type(llm).__name__} gives no hidden states; take "
                "TransformersLLM, or the Step EmbeddingGeneration with an embedding model."
            )
        return llm

    @property
    def inputs(self) -> StepColumns:
        return ["text"]

    @property
    def outputs(self) -> StepColumns:
        return ["embedding", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return pa.schema([("embedding", pa.list_(pa.float64())), ("model_name", pa.string())])

    def load(self) -> None:
        """Load the model; Steps of a process that use equal ones share it."""
        super().load()
        self.llm.load()

    def unload(self) -> None:
        super().unload()
        self.llm.unload()

    def format_input(self, input: Row) -> ChatType:
        """The row's chat, or its text as a user's message.

        Raises:
            GenerationError: `text` is neither.
        """
        text: Any = input.get("text")
        if isinstance(text, str):
            return [{"role": "user", "content": text}]
        if is_chat(text):
            return text
        raise GenerationError(
            f"the column 'text' has {type(text).__name__}, expected text or a chat", "render"
        )

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        """Make the vectors of a batch of rows; call `load()` first."""
        chats = [self.format_input(row) for row in inputs]
        states = self.llm.get_last_hidden_states(chats)
        name = self.llm.model_name
        yield [
            {**row, "embedding": state[-1].tolist(), "model_name": name}
            for row, state in zip(inputs, states, strict=True)
        ]
