"""MathShepherdGenerator: solutions step by step; see `math_shepherd.py`."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
from pydantic import PositiveInt, field_validator

from beam_distilabel.errors import ParseError
from beam_distilabel.row import Row
from beam_distilabel.task import Task
from beam_distilabel.transforms.tasks.answers import text_of
from beam_distilabel.transforms.tasks.math_shepherd import (
    ANSWER,
    EXAMPLE,
    RULES,
    SEPARATOR,
    STRUCTURED,
    SYSTEM_PROMPT,
    answer_of,
    check_prompt,
    conversation,
    solutions_in,
    solutions_schema,
)
from beam_distilabel.typing import ChatType, StepColumns

_STEPS: Final = pa.list_(pa.string())


class MathShepherdGenerator(Task):
    """Solves a problem step by step: once, as the solution that counts, or several times.

    Attributes:
        system_prompt: a Jinja template that may use `extra_rules`, `few_shots` and
            `structured_prompt`; None for none.
        extra_rules: how calculations and results are written; by default as in GSM8K.
        few_shots: examples; by default one like those of GSM8K.
        M: None (the default) for one solution, the golden one, best by a strong model; or how many
            solutions one answer has, best by the model that is to be judged.

    Input columns: `instruction`, the problem.
    Output columns: `golden_solution`, a list of steps whose last one is the answer; or with `M`
        `solutions`, up to M such lists; `model_name`. A solution without a step or without an
        answer is left out; where none is left the row is a failure.

    Raises:
        ValidationError: `system_prompt` uses an unknown variable.

    Source: Wang et al. 2023, https://arxiv.org/abs/2312.08935

    Citations:
        @misc{wang2024mathshepherdverifyreinforcellms,
            title={Math-Shepherd: Verify and Reinforce LLMs Step-by-step without Human Annotations},
            author={Peiyi Wang and Lei Li and Zhihong Shao and R. X. Xu and Damai Dai and Yifei Li
                and Deli Chen and Y. Wu and Zhifang Sui},
            year={2024},
            eprint={2312.08935},
            archivePrefix={arXiv},
            primaryClass={cs.AI},
            url={https://arxiv.org/abs/2312.08935},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Tutor(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "tutor"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ["Step 1: 1 + 1 = 2.\\nThe answer is: 2"]}
        >>> task = MathShepherdGenerator(llm=Tutor())
        >>> task.load()
        >>> next(task.process([{"instruction": "What is 1 + 1?"}]))[0]["golden_solution"]
        ['Step 1: 1 + 1 = 2.', 'The answer is: 2']
    """

    system_prompt: str | None = SYSTEM_PROMPT
    extra_rules: str | None = RULES
    few_shots: str | None = EXAMPLE
    M: PositiveInt | None = None

    @field_validator("system_prompt")
    @classmethod
    def _prompt_is_known(cls, system_prompt: str | None) -> str | None:
        return check_prompt(system_prompt, cls.__name__)

    @property
    def inputs(self) -> StepColumns:
        return ["instruction"]

    @property
    def outputs(self) -> StepColumns:
        return ["solutions" if self.M else "golden_solution", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"solutions": pa.list_(_STEPS), "golden_solution": _STEPS})

    def get_structured_output(self) -> dict[str, Any]:
        """An object with the list `solutions`."""
        return solutions_schema("MathShepherdGenerator")

    def format_input(self, input: Row) -> ChatType:
        """The conversation about one problem."""
        problem = text_of(input, "instruction")
        lines = [f"The problem:\n{problem}\n"]
        if self.M and self.M > 1:
            lines.append(f"Solve it {self.M} times, each time in another way.")
            if not self.use_default_structured_output:
                lines.append(f"Between two solutions write a line with {SEPARATOR} only.")
        else:
            lines.append("Solve it.")
        values = {
            "extra_rules": self.extra_rules,
            "few_shots": self.few_shots,
            "structured_prompt": STRUCTURED if self.use_default_structured_output else "",
        }
        return conversation(self.system_prompt, values, "\n".join(lines))  # type: ignore[return-value]

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The solutions of one answer, step by step; those without a step or an answer are none."""
        solutions = solutions_in(output, self.use_default_structured_output)
        whole = [steps for steps in solutions if len(steps) > 1 and answer_of(steps[-1])]
        if not whole:
            raise ParseError(f"expected steps and then {ANSWER!r} with the answer")
        if self.M:
            return {"solutions": whole[: self.M]}
        if len(solutions) > 1:
            raise ParseError(f"expected one solution, got {len(solutions)}")
        return {"golden_solution": whole[0]}
