"""EvolInstruct: makes instructions harder, or breeds new ones from them."""

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
Rewrite the prompt below so that even a strong AI assistant finds it harder to answer well. Do it \
this way:
{method}

People must be able to understand the new prompt and to answer it, and it must make sense. Keep \
what the prompt brings along, such as tables, code, formulas and inputs. Be brief: add 10 to 20 \
words at the most. The new prompt doesn't say that it was rewritten, and it doesn't answer \
anything. Write the new prompt and nothing else.

#Prompt#:
<PROMPT>

#New Prompt#:
"""

_CREATE: Final = """\
Let the prompt below inspire you to write an entirely new one. It belongs to the same field, but \
its subject is rarer, and it is about as long and as difficult.

People must be able to understand the new prompt and to answer it, and it must make sense. It \
doesn't say that it was inspired by another one, and it doesn't answer anything. Write the new \
prompt and nothing else.

#Prompt#:
<PROMPT>

#New Prompt#:
"""

IN_DEPTH_TEMPLATES: Final[dict[str, str]] = {
    name: _REWRITE.replace("{method}", method)
    for name, method in {
        "CONSTRAINTS": "Add one more requirement, or one more limit, that the answer has to meet.",
        "DEEPENING": "Where the prompt asks about a matter, ask about more of it, or about what "
        "lies beneath it.",
        "CONCRETIZING": "Put a specific case in the place of something general.",
        "INCREASED_REASONING_STEPS": "If the answer takes a simple thought or two, change the "
        "prompt so that it plainly calls for reasoning in several steps.",
    }.items()
}
"""The ways of making an instruction harder."""

MUTATION_TEMPLATES: Final[dict[str, str]] = {**IN_DEPTH_TEMPLATES, "BREADTH": _CREATE}
"""The ways of making an instruction harder, and the one of breeding another."""

_MARKER: Final = re.compile(r"prompt\s?#\s?:[*_]{0,3}", re.IGNORECASE)


def parse(output: str) -> str:
    """The evolved instruction in an answer: what follows the last `Prompt#:`, if there is one.

    Example:
        >>> parse("#New Prompt#:\\nName three primes above 90. ")
        'Name three primes above 90.'
    """
    marks = list(_MARKER.finditer(output))
    return output[marks[-1].end() if marks else 0 :].strip()


class EvolInstruct(Evolving):
    """Evolves instructions: an LLM rewrites each `num_evolutions` times, a random way each time.

    With `num_generations` every row evolves so many times, each time on its own. A row of which an
    evolution fails has no instruction; one of which only an answer fails keeps its instructions.

    Attributes:
        num_evolutions: how often an instruction is evolved.
        store_evolutions: whether all evolutions are kept, in a list, or the last one only.
        generate_answers: whether the evolved instructions are answered too.
        include_original_instruction: whether the list that `store_evolutions` makes begins with the
            row's instruction.
        mutation_templates: the prompts by name, with "<PROMPT>" for the instruction; default are
            CONSTRAINTS, DEEPENING, CONCRETIZING, INCREASED_REASONING_STEPS and BREADTH.
        seed: for the choice among the templates, on top of the run's own.

    Input columns: `instruction`.
    Output columns: `evolved_instruction`, or `evolved_instructions` with `store_evolutions`; with
        `generate_answers` also `answer`, or `answers`, one per evolved instruction; `model_name`.
        `distilabel_metadata` has `mutations_<name>`, the templates that were used, and the tokens
        of all that was asked in `statistics_<name>`.

    Raises:
        ValidationError: a template lacks "<PROMPT>".

    Source: Xu et al. 2023, https://arxiv.org/abs/2304.12244

    Citations:
        @misc{xu2023wizardlmempoweringlargelanguage,
            title={WizardLM: Empowering Large Language Models to Follow Complex Instructions},
            author={Can Xu and Qingfeng Sun and Kai Zheng and Xiubo Geng and Pu Zhao and
                Jiazhan Feng and Chongyang Tao and Daxin Jiang},
            year={2023},
            eprint={2304.12244},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2304.12244},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Writer(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "writer"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ["#New Prompt#: Name three primes above 90."]}
        >>> task = EvolInstruct(llm=Writer(), num_evolutions=1)
        >>> task.load()
        >>> next(task.process([{"instruction": "Name a prime."}]))[0]["evolved_instruction"]
        'Name three primes above 90.'
    """

    generate_answers: bool = False
    include_original_instruction: bool = False
    mutation_templates: dict[str, str] = Field(default_factory=lambda: dict(MUTATION_TEMPLATES))

    @property
    def inputs(self) -> StepColumns:
        return ["instruction"]

    @property
    def outputs(self) -> StepColumns:
        columns = ["evolved_instructions" if self.store_evolutions else "evolved_instruction"]
        if self.generate_answers:
            columns.append("answers" if self.store_evolutions else "answer")
        return [*columns, "model_name"]

    def output_schema(self) -> pa.Schema | None:
        texts = pa.list_(pa.string())
        return self._schema_of(
            {
                "evolved_instruction": pa.string(),
                "evolved_instructions": texts,
                "answer": pa.string(),
                "answers": texts,
            }
        )

    @property
    def placeholder(self) -> str:
        return "<PROMPT>"

    def _texts(self, row: Row) -> dict[str, str]:
        return {"<PROMPT>": text_of(row, "instruction")}

    def _evolved(self, output: str) -> str:
        return parse(output)

    def _kept(self, lineage: Lineage) -> list[str]:
        if not self.store_evolutions:
            return lineage.texts[-1:]
        return lineage.texts[0 if self.include_original_instruction else 1 :]

    def _to_answer(self, lineage: Lineage) -> list[str]:
        return self._kept(lineage) if self.generate_answers else []

    def _made(self, lineage: Lineage) -> dict[str, Any]:
        kept = self._kept(lineage)
        if self.store_evolutions:
            answers = {"answers": lineage.answers} if self.generate_answers else {}
            return {"evolved_instructions": kept, **answers}
        answer = {"answer": next(iter(lineage.answers), None)} if self.generate_answers else {}
        return {"evolved_instruction": kept[-1], **answer}
