"""What the Tasks of Math-Shepherd share: solutions step by step, in prompts and in answers.

Wang et al. 2023, "Math-Shepherd: Verify and Reinforce LLMs Step-by-step without Human Annotations",
https://arxiv.org/abs/2312.08935. The prompts are ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from beam_distilabel.errors import DistilabelUserError, ParseError
from beam_distilabel.transforms.tasks.json_answers import json_answer, without_thoughts
from beam_distilabel.transforms.tasks.prompt_templates import fill_template, template_variables

SYSTEM_PROMPT: Final = """\
You solve problems of school mathematics for students, one small step after the other.

Each step stands in a line of its own that begins with "Step 1:", "Step 2:" and so on, and says in \
a sentence what is worked out and how. The last line is "The answer is: " and the result, with \
nothing after it.

{{ extra_rules }}{{ few_shots }}{{ structured_prompt }}"""

RULES: Final = """\
Write every calculation with its result in double angle brackets, such as 3 + 4 = <<3+4=7>>7. \
Write the result as a plain number, without its unit.
"""

EXAMPLE: Final = """
An example of a problem:
A bus has 30 seats. At the first stop 12 people get on, at the second stop 5 more. How many seats \
are free?

An example of its solution:
Step 1: 12 + 5 = <<12+5=17>>17 people are on the bus.
Step 2: 30 - 17 = <<30-17=13>>13 seats are free.
The answer is: 13
"""

STRUCTURED: Final = """
Answer with a JSON object and nothing else: {"solutions": [{"solution": "<all lines of one \
solution>"}]}
"""

SEPARATOR: Final = "---"
ANSWER: Final = "The answer is:"

# Within a line only what was asked for; at its beginning also what Markdown and habit make of it.
_MARKDOWN = r"^[ \t]*(?:#{1,6}[ \t]+|[-+>*][ \t]+)?"
_LABEL = (
    rf"{_MARKDOWN}\**(?i:the answer is)"
    r"(?:\**:\**|\**[ \t]+(?=\S+(?:[ \t]\S+)?[ \t]*$))"  # no colon: a word or two follow
)
_BEGINNING = re.compile(
    rf"(?:{_MARKDOWN})?(?P<open>\*{{0,3}})"
    r"(?:(?P<step>Step \d{1,4})|The answer is)(?P<close>\**:\**)"
    rf"|{_LABEL}",
    re.MULTILINE,
)
_ANSWER = re.compile(_LABEL, re.MULTILINE)
_AROUND_ANSWERS = " \t\r\n*`"
_SEPARATOR = re.compile(r"^[ \t]*-{3,}[ \t]*$", re.MULTILINE)
_VARIABLES = frozenset(("extra_rules", "few_shots", "structured_prompt"))


def split_steps(text: str) -> list[str]:
    """The steps of a solution, and its answer at the end if it has one.

    What stands before the first step is left out, and so is what stands after the answer's line.
    Markdown around "Step 1:" and the answer is left out.

    Example:
        >>> split_steps("Well. Step 1: 1+1=2. **Step 2:** 2+1=3. The answer is: **3**\\nBye!")
        ['Step 1: 1+1=2.', 'Step 2: 2+1=3.', 'The answer is: 3']
    """
    steps: list[str] = []
    beginnings = list(_BEGINNING.finditer(text))
    ends = [*(beginning.start() for beginning in beginnings[1:]), len(text)]
    for beginning, end in zip(beginnings, ends, strict=False):
        body = text[beginning.end() : end].strip()
        opened = beginning["open"]
        if opened and "*" not in (beginning["close"] or ""):
            body = body.replace(opened, "", 1)  # the emphasis ends within the step
        if beginning["step"]:
            steps.append(f"{beginning['step']}: {body}".strip())
            continue
        answer = body.split("\n", 1)[0].strip(_AROUND_ANSWERS)
        return [*steps, f"{ANSWER} {answer}"] if answer else steps
    return steps


def answer_of(step: str) -> str | None:
    """The answer that a step consists of; None if it is another step.

    Example:
        >>> answer_of("**The answer is:** 3"), answer_of("Step 3: The answer is: 3")
        ('3', None)
    """
    label = _ANSWER.match(step)
    return (step[label.end() :].strip(_AROUND_ANSWERS) or None) if label else None


def split_solutions(text: str) -> list[str]:
    """The solutions that lines of hyphens separate.

    Example:
        >>> split_solutions("Step 1: a\\n---\\nStep 1: b")
        ['Step 1: a', 'Step 1: b']
    """
    return [part.strip() for part in _SEPARATOR.split(text) if part.strip()]


def solutions_in(text: str | None, structured: bool) -> list[list[str]]:
    """The solutions of an answer, step by step; those without any step are left out.

    Args:
        text: the answer; None when the model gave none.
        structured: whether it is JSON.

    Raises:
        ParseError: there is no solution in it.
    """
    if text is None:
        raise ParseError("the model gave no answer")
    texts = _structured(text) if structured else split_solutions(without_thoughts(text))
    solutions = [steps for steps in map(split_steps, texts) if steps]
    if not solutions:
        raise ParseError(f"expected steps, 'Step 1: ...', got {text[:80]!r}")
    return solutions


def _structured(text: str) -> list[str]:
    solutions = json_answer(text, dict, lambda found: "solutions" in found).get("solutions")
    if not isinstance(solutions, list):
        raise ParseError("expected a list under 'solutions'")
    found = [one.get("solution") if isinstance(one, dict) else one for one in solutions]
    return [one for one in found if isinstance(one, str)]


def solutions_schema(title: str) -> dict[str, Any]:
    """The JSON schema of an object with a list of solutions."""
    solution = {
        "properties": {"solution": {"title": "Solution", "type": "string"}},
        "required": ["solution"],
        "title": "Solution",
        "type": "object",
    }
    return {
        "properties": {"solutions": {"items": solution, "title": "Solutions", "type": "array"}},
        "required": ["solutions"],
        "title": title,
        "type": "object",
    }


def check_prompt(template: str | None, described: str) -> str | None:
    """A system prompt whose variables are known.

    Raises:
        DistilabelUserError: it has others.
    """
    unknown = sorted(template_variables(template or "") - _VARIABLES)
    if unknown:
        raise DistilabelUserError(
            f"{described}: system_prompt uses {', '.join(map(repr, unknown))}; known are "
            f"{', '.join(sorted(_VARIABLES))}."
        )
    return template


def conversation(
    system_prompt: str | None, values: Mapping[str, str | None], question: str
) -> list[dict[str, str]]:
    """The conversation that asks a question, after the filled system prompt if there is one."""
    messages = [{"role": "user", "content": question}]
    if system_prompt:
        filled = fill_template(system_prompt, {name: values.get(name) or "" for name in _VARIABLES})
        messages.insert(0, {"role": "system", "content": filled})
    return messages
