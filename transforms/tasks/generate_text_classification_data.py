"""GenerateTextClassificationData: a text for a classification task, with two labels.

Wang et al. 2023, "Improving Text Embeddings with Large Language Models",
https://arxiv.org/abs/2401.00368; see `embedding_data.py`.
"""

from __future__ import annotations

from typing import ClassVar

from beam_distilabel.row import Row
from beam_distilabel.transforms.tasks.answers import text_of
from beam_distilabel.transforms.tasks.embedding_data import (
    CLARITIES,
    DIFFICULTIES,
    Clarity,
    Difficulty,
    EmbeddingDataTask,
    prompt_of,
)
from beam_distilabel.typing import ChatType


class GenerateTextClassificationData(EmbeddingDataTask):
    """Writes a text for a classification task, its label and another one that misleads.

    Attributes:
        language: the language of the texts; "English" by default.
        difficulty: the education that it takes to understand the text: "high school", "college" or
            "PhD"; drawn for each row if None, the default.
        clarity: "clear", "understandable with some effort" or "ambiguous"; likewise.
        seed: of what is drawn; 42 by default.

    Input columns: `task`, what is to be told apart.
    Output columns: `input_text`, `label`, `misleading_label`, `model_name`.

    Source: Wang et al. 2023, https://arxiv.org/abs/2401.00368

    Citations:
        @misc{wang2024improvingtextembeddingslarge,
            title={Improving Text Embeddings with Large Language Models},
            author={Liang Wang and Nan Yang and Xiaolong Huang and Linjun Yang and
                Rangan Majumder and Furu Wei},
            year={2024},
            eprint={2401.00368},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2401.00368},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Writer(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "writer"
        ...     async def agenerate(self, input, num_generations=1):
        ...         answer = '{"input_text": "Fine!", "label": "good", "misleading_label": "bad"}'
        ...         return {"generations": [answer] * num_generations}
        >>> task = GenerateTextClassificationData(llm=Writer())
        >>> task.load()
        >>> next(task.process([{"task": "Good or bad?"}]))[0]["label"]
        'good'
    """

    keys: ClassVar[tuple[str, ...]] = ("input_text", "label", "misleading_label")

    language: str = "English"
    difficulty: Difficulty | None = None
    clarity: Clarity | None = None

    def format_input(self, input: Row) -> ChatType:
        """The prompt for one task."""
        clarity = self._drawn(input, "clarity", CLARITIES)
        difficulty = self._drawn(input, "difficulty", DIFFICULTIES)
        return prompt_of(
            f"Write one example for this text classification task: {text_of(input, 'task')}",
            {
                "input_text": "the text that is to be classified",
                "label": "the label that is right for it",
                "misleading_label": "a label that the task has too, and that is wrong for it",
            },
            [
                f"All values are in {self.language}.",
                f"The text is {clarity}, and takes a {difficulty} education to understand.",
                "Neither label stands in the text; that would give it away.",
                "The misleading label is related, yet fits less well than the right one.",
                "Be inventive in wording, form and subject.",
            ],
        )
