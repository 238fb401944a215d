"""EvolQuality: makes responses better."""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa
from pydantic import Field

from beam_distilabel.row import Row
from beam_distilabel.transforms.tasks.answers import text_of
from beam_distilabel.transforms.tasks.evolving import Evolving, Lineage
from beam_distilabel.typing import StepColumns

_REWRITE: Final = """\
Rewrite the response to the prompt below so that it becomes a better one. Do it this way:
{method}

The new response must answer the prompt, make sense and be understood by people. Keep what the \
response brings along, such as tables, code and formulas. Be brief: add 10 to 20 words at the \
most. The new response doesn't say that it was rewritten. Write the new response and nothing else.

#Prompt#:
<PROMPT>

#Response#:
<RESPONSE>

#New Response#:
"""

MUTATION_TEMPLATES: Final[dict[str, str]] = {
    name: _REWRITE.replace("{method}", method)
    for name, method in {
        "HELPFULNESS": "Make it more helpful to the user who wrote the prompt.",
        "RELEVANCE": "Make it keep more closely to what the prompt asks.",
        "DEEPENING": "Go deeper into the matter that the prompt is about.",
        "CREATIVITY": "Make it more inventive.",
        "DETAILS": "Give more details.",
    }.items()
}
"""The ways of making a response better."""

_MARKER: Final = re.compile(r"\A[\s#*_]{0,10}new response\s?#\s?:[*_]{0,3}", re.IGNORECASE)


class EvolQuality(Evolving):
    """Evolves responses: an LLM improves each `num_evolutions` times, a random way each time.

    With `num_generations` every row evolves so many times, each time on its own. A row of which an
    evolution fails has no response.

    Attributes:
        num_evolutions: how often a response is evolved.
        store_evolutions: whether all evolutions are kept, in a list, or the last one only.
        include_original_response: whether the list that `store_evolutions` makes begins with the
            row's response.
        mutation_templates: the prompts by name, with "<PROMPT>" for the instruction and
            "<RESPONSE>" for the response; default are HELPFULNESS, RELEVANCE, DEEPENING, CREATIVITY
            and DETAILS.
        seed: for the choice among the templates, on top of the run's own.

    Input columns: `instruction`, `response`.
    Output columns: `evolved_response`, or `evolved_responses` with `store_evolutions`;
        `model_name`. `distilabel_metadata` has `mutations_<name>`, the templates that were used,
        and the tokens of all that was asked in `statistics_<name>`.

    Raises:
        ValidationError: a template lacks "<RESPONSE>".

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
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Editor(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "editor"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ["It is 4, since 2+2=4."]}
        >>> task = EvolQuality(llm=Editor(), num_evolutions=1)
        >>> task.load()
        >>> row = {"instruction": "2+2?", "response": "4"}
        >>> next(task.process([row]))[0]["evolved_response"]
        'It is 4, since 2+2=4.'
    """

    include_original_response: bool = False
    mutation_templates: dict[str, str] = Field(default_factory=lambda: dict(MUTATION_TEMPLATES))

    @property
    def inputs(self) -> StepColumns:
        return ["instruction", "response"]

    @property
    def outputs(self) -> StepColumns:
        made = "evolved_responses" if self.store_evolutions else "evolved_response"
        return [made, "model_name"]

    def output_schema(self) -> pa.Schema | None:
        texts = pa.list_(pa.string())
        return self._schema_of({"evolved_response": pa.string(), "evolved_responses": texts})

    @property
    def placeholder(self) -> str:
        return "<RESPONSE>"

    def _texts(self, row: Row) -> dict[str, str]:
        return {"<PROMPT>": text_of(row, "instruction"), "<RESPONSE>": text_of(row, "response")}

    def _evolved(self, output: str) -> str:
        return _MARKER.sub("", output)

    def _made(self, lineage: Lineage) -> dict[str, Any]:
        if not self.store_evolutions:
            return {"evolved_response": lineage.texts[-1]}
        return {"evolved_responses": lineage.texts[0 if self.include_original_response else 1 :]}
