"""GenerateTextRetrievalData: a query, a document that answers it, and one that only seems to.

Wang et al. 2023, "Improving Text Embeddings with Large Language Models",
https://arxiv.org/abs/2401.00368; see `embedding_data.py`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

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

QueryType = Literal["extremely long-tail", "long-tail", "common"]
QueryLength = Literal["less than 5 words", "5 to 15 words", "at least 10 words"]
NumWords = Literal[50, 100, 200, 300, 400, 500]

_QUERY_TYPES: tuple[QueryType, ...] = ("extremely long-tail", "long-tail", "common")
_QUERY_LENGTHS: tuple[QueryLength, ...] = (
    "less than 5 words",
    "5 to 15 words",
    "at least 10 words",
)
_NUM_WORDS: tuple[NumWords, ...] = (50, 100, 200, 300, 400, 500)


class GenerateTextRetrievalData(EmbeddingDataTask):
    """Writes a query for a retrieval task, a document that answers it and one that seems to.

    Attributes:
        language: the language of the texts; "English" by default.
        query_type: how common the query is: "extremely long-tail", "long-tail" or "common"; drawn
            for each row if None, the default, as all that follow.
        query_length: "less than 5 words", "5 to 15 words" or "at least 10 words".
        difficulty: the education that it takes to understand query and documents: "high school",
            "college" or "PhD".
        clarity: of the query: "clear", "understandable with some effort" or "ambiguous".
        num_words: the least number of words of the documents: 50, 100, 200, 300, 400 or 500.
        seed: of what is drawn; 42 by default.

    Input columns: `task`, what is to be found.
    Output columns: `user_query`, `positive_document`, `hard_negative_document`, `model_name`.

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
        >>> import json
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Writer(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "writer"
        ...     async def agenerate(self, input, num_generations=1):
        ...         texts = {"user_query": "Soup?", "positive_document": "Boil it."}
        ...         answer = json.dumps({**texts, "hard_negative_document": "Bake it."})
        ...         return {"generations": [answer] * num_generations}
        >>> task = GenerateTextRetrievalData(llm=Writer())
        >>> task.load()
        >>> next(task.process([{"task": "Find recipes."}]))[0]["user_query"]
        'Soup?'
    """

    keys: ClassVar[tuple[str, ...]] = (
        "user_query",
        "positive_document",
        "hard_negative_document",
    )

    language: str = "English"
    query_type: QueryType | None = None
    query_length: QueryLength | None = None
    difficulty: Difficulty | None = None
    clarity: Clarity | None = None
    num_words: NumWords | None = None

    def format_input(self, input: Row) -> ChatType:
        """The prompt for one task."""
        query_type = self._drawn(input, "query_type", _QUERY_TYPES)
        length = self._drawn(input, "query_length", _QUERY_LENGTHS)
        clarity = self._drawn(input, "clarity", CLARITIES)
        words = self._drawn(input, "num_words", _NUM_WORDS)
        difficulty = self._drawn(input, "difficulty", DIFFICULTIES)
        return prompt_of(
            f"Write one example for this text retrieval task: {text_of(input, 'task')}",
            {
                "user_query": "what a user who has this task searches for",
                "positive_document": "a document that serves the query",
                "hard_negative_document": "a document that is of little use for the query, though "
                "it looks relevant",
            },
            [
                f"The query is {query_type}, {clarity}, and has {length}.",
                f"Each document has at least {words} words.",
                f"All values are in {self.language}.",
                "The documents don't repeat the query, and don't say how relevant they are.",
                "The documents stand on their own; they don't refer to each other.",
                f"Query and documents take a {difficulty} education to understand.",
            ],
        )
