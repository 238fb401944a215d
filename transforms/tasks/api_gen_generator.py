"""APIGenGenerator: questions, and the function calls that answer them.

The first stage of APIGen (Liu et al. 2024, "APIGen: Automated Pipeline for Generating Verifiable
and Diverse Function-Calling Datasets", https://arxiv.org/abs/2406.18518). The prompt is ours.
"""

from __future__ import annotations

import json
import random
from typing import Any, Final

import pyarrow as pa
from pydantic import PositiveInt, field_validator

from beam_distilabel.errors import DistilabelUserError, ParseError
from beam_distilabel.metadata import METADATA
from beam_distilabel.row import DRAW, Row, content, seed_from
from beam_distilabel.task import Task
from beam_distilabel.transforms.tasks.answers import text_of
from beam_distilabel.transforms.tasks.json_answers import json_answer
from beam_distilabel.typing import ChatType, StepColumns

SYSTEM_PROMPT: Final = """\
You write data that teaches a model to call functions: questions that a user could ask, and the \
calls that answer them.

A question reads as a user would write it, is about one concrete case, and has all that the calls \
need: no argument is guessed. It doesn't name the function or its parameters.

Every argument has the type and the range that the function's description asks for. Where a \
question takes several calls, all of them are listed, in order. The questions differ in wording, \
length and purpose from each other and from the examples."""

_FORM: Final = """\
Answer with a JSON array and nothing else, of this form:
[{"query": "<the question>", "answers": [{"name": "<function>", "arguments": {"<parameter>": \
<value>}}]}]"""


def calls_of(pairs: Any) -> tuple[str, list[dict[str, Any]]]:
    """The first pair of a question and its calls, checked.

    Args:
        pairs: JSON: a list of pairs, an object with such a list under `pairs`, or one pair.

    Raises:
        ParseError: it has another form.

    Example:
        >>> calls_of([{"query": "?", "answers": [{"name": "f", "arguments": {}}]}])
        ('?', [{'name': 'f', 'arguments': {}}])
    """
    if isinstance(pairs, dict):
        pairs = pairs.get("pairs", [pairs])
    first = pairs[0] if isinstance(pairs, list) and pairs else None
    if not isinstance(first, dict):
        raise ParseError("expected a list of questions with their calls")
    query, calls = first.get("query"), first.get("answers")
    if not isinstance(query, str) or not query.strip():
        raise ParseError("the first pair has no question under 'query'")
    if not isinstance(calls, list) or not calls:
        raise ParseError("the first pair has no calls under 'answers'")
    for call in calls:
        if (
            not isinstance(call, dict)
            or not isinstance(call.get("name"), str)
            or not isinstance(call.get("arguments", {}), dict)
        ):
            raise ParseError(f"expected calls with 'name' and 'arguments', got {str(call)[:80]}")
    return query, calls


def _has_calls(pairs: Any) -> bool:
    try:
        calls_of(pairs)
    except ParseError:
        return False
    return True


class APIGenGenerator(Task):
    """Writes a question for a function, and the calls of it that answer the question.

    Several questions may be asked for at once, which makes them differ; the first one is kept.

    Attributes:
        system_prompt: what makes good questions and calls.
        number: how many questions one answer has: a number, a list to draw from, or a dict of
            numbers to their weights; 1 by default. What is drawn depends on the row alone.
        use_tools: whether a row's `tools`, the function's parameters, are shown; True by default.

    Input columns: `examples`, such as `PrepareExamples` makes; `func_name`; `func_desc`; `tools`
        (optional).
    Output columns: `query`; `answers`, the calls as a JSON list; `model_name`.

    Raises:
        ValidationError: `number` has nothing to draw from.

    Source: Liu et al. 2024, https://arxiv.org/abs/2406.18518

    Citations:
        @misc{liu2024apigenautomatedpipelinegenerating,
            title={APIGen: Automated Pipeline for Generating Verifiable and Diverse Function-Calling
                Datasets},
            author={Zuxin Liu and Thai Hoang and Jianguo Zhang and Ming Zhu and Tian Lan and
                Shirley Kokane and Juntao Tan and Weiran Yao and Zhiwei Liu and Yihao Feng and
                Rithesh Murthy and Liangwei Yang and Silvio Savarese and Juan Carlos Niebles and
                Huan Wang and Shelby Heinecke and Caiming Xiong},
            year={2024},
            eprint={2406.18518},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2406.18518},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Writer(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "writer"
        ...     async def agenerate(self, input, num_generations=1):
        ...         calls = '[{"name": "root", "arguments": {"of": 9}}]'
        ...         answer = '[{"query": "What is the root of 9?", "answers": %s}]' % calls
        ...         return {"generations": [answer] * num_generations}
        >>> task = APIGenGenerator(llm=Writer())
        >>> task.load()
        >>> row = {"examples": "...", "func_name": "root", "func_desc": "The square root."}
        >>> next(task.process([row]))[0]["answers"]
        '[{"name": "root", "arguments": {"of": 9}}]'
    """

    system_prompt: str = SYSTEM_PROMPT
    number: PositiveInt | list[PositiveInt] | dict[PositiveInt, float] = 1
    use_tools: bool = True

    @field_validator("number")
    @classmethod
    def _has_a_choice(cls, number: Any) -> Any:
        if isinstance(number, (list, dict)) and not number:
            raise DistilabelUserError(f"{cls.__name__}: number={number!r} has nothing to draw.")
        if isinstance(number, dict) and (
            min(number.values()) < 0 or not 0 < sum(number.values()) < float("inf")
        ):
            raise DistilabelUserError(
                f"{cls.__name__}: number={number!r} needs weights of 0 or more, not all 0."
            )
        return number

    @property
    def inputs(self) -> StepColumns:
        return {"examples": True, "func_name": True, "func_desc": True, "tools": False}

    @property
    def outputs(self) -> StepColumns:
        return ["query", "answers", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"query": pa.string(), "answers": pa.string()})

    def get_structured_output(self) -> dict[str, Any]:
        """An object with the list `pairs` of questions and calls."""
        call = {
            "properties": {
                "name": {"title": "Name", "type": "string"},
                "arguments": {"title": "Arguments", "type": "object"},
            },
            "required": ["name", "arguments"],
            "title": "Answer",
            "type": "object",
        }
        pair = {
            "properties": {
                "query": {"title": "Query", "type": "string"},
                "answers": {"items": call, "title": "Answers", "type": "array"},
            },
            "required": ["query", "answers"],
            "title": "QueryAnswer",
            "type": "object",
        }
        return {
            "properties": {"pairs": {"items": pair, "title": "Pairs", "type": "array"}},
            "required": ["pairs"],
            "title": "QueryAnswerPairs",
            "type": "object",
        }

    def format_input(self, input: Row) -> ChatType:
        """The conversation about one function."""
        number = self._number(input)
        what = "a question" if number == 1 else f"{number} different questions"
        lines = [
            "Examples of questions and their calls:",
            text_of(input, "examples"),
            "",
            f"The function `{text_of(input, 'func_name')}`:",
            text_of(input, "func_desc"),
        ]
        if self.use_tools and input.get("tools"):
            tools = input["tools"]
            shown = tools if isinstance(tools, str) else json.dumps(tools, default=str)
            lines += ["", "Its parameters, in the order in which the calls list them:", shown]
        lines += ["", f"Write {what} that this function answers, each with its calls."]
        if number > 1:
            lines.append("Some may take several calls of it.")
        lines.append(_FORM)
        return [
            {"role": "system", "content": self.system_prompt},
            {"role": "user", "content": "\n".join(lines)},
        ]

    def _number(self, row: Row) -> int:
        if isinstance(self.number, int):
            return self.number
        told = {name: value for name, value in content(row).items() if name != METADATA}
        draw = random.Random(
            seed_from(self._context.seed, self.unique_name, told, row.get(DRAW, 0), "number")
        )
        if isinstance(self.number, list):
            return draw.choice(self.number)
        return draw.choices(list(self.number), list(self.number.values()))[0]

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The first question of an answer and its calls."""
        query, calls = calls_of(json_answer(output, (dict, list), _has_calls))
        return {"query": query, "answers": json.dumps(calls)}
