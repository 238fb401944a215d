"""MonolingualTripletGenerator and BitextRetrievalGenerator: a text, a near one and a farther one.

Wang et al. 2023, "Improving Text Embeddings with Large Language Models",
https://arxiv.org/abs/2401.00368; see `embedding_data.py`.
"""

from __future__ import annotations

from typing import ClassVar

from beam_distilabel.row import Row
from beam_distilabel.transforms.tasks.embedding_data import (
    HIGH_SCORES,
    LOW_SCORES,
    SCHOOL_DIFFICULTIES,
    UNITS,
    EmbeddingDataGenerator,
    HighScore,
    LowScore,
    SchoolDifficulty,
    Unit,
    prompt_of,
)
from beam_distilabel.typing import ChatType


class TripletGenerator(EmbeddingDataGenerator):
    """Writes three texts, the second of which is nearer to the first than the third is.

    Attributes:
        unit: what the texts are: "sentence", "phrase" or "passage"; drawn if None, the default, as
            all that follow.
        difficulty: the education that it takes to understand them: "elementary school", "high
            school" or "college".
        high_score: how similar the second is to the first, from 1 to 5: "4", "4.5" or "5".
        low_score: how similar the third is: "2.5", "3" or "3.5".
    """

    keys: ClassVar[tuple[str, ...]] = ("S1", "S2", "S3")

    unit: Unit | None = None
    difficulty: SchoolDifficulty | None = None
    high_score: HighScore | None = None
    low_score: LowScore | None = None

    def _asked(self, row: Row, opening: str, first: str, others: str) -> ChatType:
        unit = self._drawn(row, "unit", UNITS)
        high = self._drawn(row, "high_score", HIGH_SCORES)
        low = self._drawn(row, "low_score", LOW_SCORES)
        difficulty = self._drawn(row, "difficulty", SCHOOL_DIFFICULTIES)
        return prompt_of(
            opening.format(unit=unit),
            {
                "S1": f"a {unit}{first}",
                "S2": f"a {unit}{others} whose similarity to S1 is {high}",
                "S3": f"a {unit}{others} whose similarity to S1 is {low}",
            },
            [
                "Similarity is in meaning, from 1 (unrelated) to 5 (the same).",
                "The texts have few words in common beyond what their similarity takes.",
                f"They take {difficulty} education to understand.",
                "Be inventive in subject and wording, and don't mention the scores.",
            ],
        )


class MonolingualTripletGenerator(TripletGenerator):
    """Writes three texts of one language: two that are near in meaning and one farther away.

    Attributes:
        language: the language of the texts; "English" by default.
        unit: see `TripletGenerator`, as `difficulty`, `high_score` and `low_score`.
        num_generations: how many rows are made.
        seed: of what is drawn; 42 by default.

    Output columns: `S1`, `S2`, `S3`, `model_name`.

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
        ...         answer = '{"S1": "Rain.", "S2": "It pours.", "S3": "It is wet."}'
        ...         return {"generations": [answer] * num_generations}
        >>> task = MonolingualTripletGenerator(llm=Writer())
        >>> task.load()
        >>> next(task.process())[0][0]["S2"]
        'It pours.'
    """

    language: str = "English"

    def format_input(self, input: Row) -> ChatType:
        """The prompt; what is drawn depends on the draw alone."""
        opening = f"Write three texts in {self.language}, a {{unit}} each."
        return self._asked(input, opening, "", "")


class BitextRetrievalGenerator(TripletGenerator):
    """Writes a text, and two in another language: a near translation and a farther one.

    Attributes:
        source_language: the language of the first text; "English" by default.
        target_language: the language of the others.
        unit: see `TripletGenerator`, as `difficulty`, `high_score` and `low_score`.
        num_generations: how many rows are made.
        seed: of what is drawn; 42 by default.

    Output columns: `S1`, `S2`, `S3`, `model_name`.

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
        ...         answer = '{"S1": "Rain.", "S2": "Es regnet.", "S3": "Es ist nass."}'
        ...         return {"generations": [answer] * num_generations}
        >>> task = BitextRetrievalGenerator(llm=Writer(), target_language="German")
        >>> task.load()
        >>> next(task.process())[0][0]["S2"]
        'Es regnet.'
    """

    source_language: str = "English"
    target_language: str

    def format_input(self, input: Row) -> ChatType:
        """The prompt; what is drawn depends on the draw alone."""
        return self._asked(
            input,
            "Write a {unit} and two translations of it, one of which is only near.",
            f" in {self.source_language}",
            f" in {self.target_language}",
        )
