"""CLAIR: a minimal revision of a student's solution, for pairs that differ only in what matters."""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa

from beam_distilabel.errors import ParseError
from beam_distilabel.row import Row
from beam_distilabel.task import Task
from beam_distilabel.transforms.tasks.answers import text_of
from beam_distilabel.typing import ChatType, StepColumns

SYSTEM_PROMPT: Final = (
    "You are a teacher who improves a student's answer with as few changes as possible. You are "
    "given a {task} and a {student_solution}. Revise the {student_solution} so that it becomes "
    "clearer, more correct and more engaging; keep every part that needs no correction word for "
    "word. The {corrected_student_solution} must stand on its own: it doesn't mention that "
    "anything was revised or corrected."
)

_ANSWER_FORM: Final = """\
Answer in two parts, each after its heading. In the first, reason about what in the \
{student_solution} could be improved, and how. The second is the whole revised solution and \
nothing else.

{teacher_reasoning}: <your reasoning>

{corrected_student_solution}: <the revised solution>
"""

_HEADINGS: Final = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for kind in ("corrected", "worsened")
    for pattern in (
        rf"^[ \t#*_]{{0,10}}\{{?{kind}[_ ]student[_ ]solution\}}?[*_]{{0,3}}[ \t]?:[*_]{{0,3}}",
        rf"\*\*{kind} student solution:\*\*",
        rf"^[ \t#*_]{{0,10}}\{{?{kind}[_ ]student[_ ]solution\}}?[ \t#*_]{{0,10}}$",
        rf"\{{{kind}_student_solution\}}:?",
    )
)
"""Where the revision begins, the clearest first: the prose may name it, too."""

_REASONING: Final = re.compile(
    r"^[ \t#*_]{0,10}(?:\{teacher_reasoning\}|teacher[_ ]reasoning(?=[ \t*_]{0,4}:))"
    r"[*_]{0,3}[ \t]?:?[*_]{0,3}",
    re.IGNORECASE | re.MULTILINE,
)


def parse(text: str | None) -> tuple[str, str]:
    """Split a teacher's answer into the revision and its reason.

    Args:
        text: the answer; None where the model gave none.

    Returns:
        The revised solution and the reasoning.

    Raises:
        ParseError: there is no answer, no heading of the revision, or nothing after it.

    Example:
        >>> parse("{teacher_reasoning}: 5 is odd.\\n\\n{corrected_student_solution}: 4")
        ('4', '5 is odd.')
    """
    if text is None:
        raise ParseError("the model gave no answer")
    for heading in _HEADINGS:
        match = heading.search(text)
        if match:
            break
    else:
        raise ParseError("expected the heading {corrected_student_solution} in the answer")
    revision = text[match.end() :].strip()
    if not revision:
        raise ParseError("there is nothing after the heading of the revision")
    reasoning = text[: match.start()]
    begin = _REASONING.search(reasoning)
    return revision, reasoning[begin.end() if begin else 0 :].strip()


class CLAIR(Task):
    """Revises a solution as little as needed (contrastive learning from AI revisions).

    The student's solution and its revision make a preference pair that differs in little but
    quality.

    Attributes:
        system_prompt: what the teacher is told; it may name `{task}`, `{student_solution}` and
            `{corrected_student_solution}`, which are the headings of the user's message.

    Input columns: `task`, `student_solution`.
    Output columns: `revision`; `rational`, the teacher's reasoning; `model_name`.

    Source: D'Oosterlinck et al. 2024, https://arxiv.org/abs/2408.06266

    Citations:
        @misc{doosterlinck2024anchored,
            title={Anchored Preference Optimization and Contrastive Revisions: Addressing
                Underspecification in Alignment},
            author={Karel D'Oosterlinck and Winnie Xu and Chris Develder and Thomas Demeester and
                Amanpreet Singh and Christopher Potts and Douwe Kiela and Shikib Mehri},
            year={2024},
            eprint={2408.06266},
            archivePrefix={arXiv},
            primaryClass={cs.LG},
            url={https://arxiv.org/abs/2408.06266},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Teacher(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "teacher"
        ...     async def agenerate(self, input, num_generations=1):
        ...         answer = "{teacher_reasoning}: 5 is wrong.\\n{corrected_student_solution}: 4"
        ...         return {"generations": [answer] * num_generations}
        >>> task = CLAIR(llm=Teacher())
        >>> task.load()
        >>> row = next(task.process([{"task": "2+2?", "student_solution": "5"}]))[0]
        >>> row["revision"], row["rational"]
        ('4', '5 is wrong.')
    """

    system_prompt: str = SYSTEM_PROMPT

    @property
    def inputs(self) -> StepColumns:
        return ["task", "student_solution"]

    @property
    def outputs(self) -> StepColumns:
        return ["revision", "rational", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"revision": pa.string(), "rational": pa.string()})

    def format_input(self, input: Row) -> ChatType:
        """The system message, and the task with the student's solution."""
        task, solution = text_of(input, "task"), text_of(input, "student_solution")
        prompt = f"{{task}}: {task}\n\n{{student_solution}}: {solution}\n\n{_ANSWER_FORM}"
        return [
            {"role": "system", "content": self.system_prompt},
            {"role": "user", "content": prompt},
        ]

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The revision and the reasoning of one answer."""
        revision, rational = parse(output)
        return {"revision": revision, "rational": rational}
