"""GenerateShortTextMatchingData and GenerateLongTextMatchingData: two texts that match.

Wang et al. 2023, "Improving Text Embeddings with Large Language Models",
https://arxiv.org/abs/2401.00368; see `embedding_data.py`.
"""

from __future__ import annotations

from typing import ClassVar

from beam_distilabel.row import Row
from beam_distilabel.transforms.tasks.answers import text_of
from beam_distilabel.transforms.tasks.embedding_data import EmbeddingDataTask, prompt_of
from beam_distilabel.typing import ChatType


class _GenerateTextMatchingData(EmbeddingDataTask):
    """Writes two texts that belong together by a matching task."""

    keys: ClassVar[tuple[str, ...]] = ("input", "positive_document")

    form: ClassVar[str]
    """What both texts are like."""

    language: str = "English"

    def format_input(self, input: Row) -> ChatType:
        """The prompt for one task."""
        return prompt_of(
            f"Write one example for this text matching task: {text_of(input, 'task')}",
            {
                "input": "a text that the task could be given",
                "positive_document": "a text that matches it, as the task has it",
            },
            [
                f"All values are in {self.language}.",
                f"Both texts are {self.form}.",
                "The texts have few words in common: what matches is what they mean.",
                "Be inventive in wording, form and subject.",
            ],
        )


class GenerateShortTextMatchingData(_GenerateTextMatchingData):
    """Writes two short texts that belong together by a matching task.

    Attributes:
        language: the language of the texts; "English" by default.
        seed: accepted as in distilabel; nothing is drawn.

    Input columns: `task`, by what texts match.
    Output columns: `input`, `positive_document`, `model_name`.

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
        ...         answer = '{"input": "A storm.", "positive_document": "Storm hits town"}'
        ...         return {"generations": [answer] * num_generations}
        >>> task = GenerateShortTextMatchingData(llm=Writer())
        >>> task.load()
        >>> next(task.process([{"task": "Find the headline."}]))[0]["positive_document"]
        'Storm hits town'
    """

    form: ClassVar[str] = "short, a sentence or less"


class GenerateLongTextMatchingData(_GenerateTextMatchingData):
    """Writes two long texts that belong together by a matching task.

    Attributes:
        language: the language of the texts; "English" by default.
        seed: accepted as in distilabel; nothing is drawn.

    Input columns: `task`, by what texts match.
    Output columns: `input`, `positive_document`, `model_name`.

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
        ...         answer = '{"input": "A storm.", "positive_document": "Storm hits town"}'
        ...         return {"generations": [answer] * num_generations}
        >>> task = GenerateLongTextMatchingData(llm=Writer())
        >>> task.load()
        >>> next(task.process([{"task": "Find the headline."}]))[0]["positive_document"]
        'Storm hits town'
    """

    form: ClassVar[str] = "long, several sentences or paragraphs"
