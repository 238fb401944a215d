"""UltraFeedback: rates all generations for an instruction by one aspect of their quality."""

from __future__ import annotations

import re
from typing import Any, Final, Literal, NamedTuple

import pyarrow as pa
from pydantic import PrivateAttr

from beam_distilabel.errors import ParseError
from beam_distilabel.row import Row
from beam_distilabel.task import Task
from beam_distilabel.transforms.tasks.answers import (
    beside,
    json_list,
    json_object,
    number_of,
    numbers_of,
    text_of,
    texts_of,
)
from beam_distilabel.typing import ChatType, StepColumns

AspectName = Literal[
    "helpfulness", "honesty", "instruction-following", "truthfulness", "overall-rating"
]


class Aspect(NamedTuple):
    """What a judge looks at.

    Attributes:
        criteria: what counts.
        scale: what each rating from 1 to 5 means.
        types: kinds that the judge also tells, by number from 1; empty if it tells none.
    """

    criteria: str
    scale: tuple[str, str, str, str, str]
    types: tuple[str, ...] = ()


ASPECTS: Final[dict[str, Aspect]] = {
    "helpfulness": Aspect(
        "Helpfulness: does the text give the user correct and useful information for what was "
        "asked? Say first in what way it informs (the type), then rate how helpful it is. A text "
        "that is wrong helps nobody, however well it informs.",
        (
            "Wrong: what it says is false or has nothing to do with the instruction.",
            "Partly wrong: it has some right parts, but its errors would mislead the user.",
            "Right: it is correct and covers the basics, no more.",
            "Right and informative: it is correct and gives details that the user can use.",
            "Outstanding: it is correct, complete and thorough, without a word too many.",
        ),
        (
            "It is clear, and keeps to what was asked.",
            "It has useful and complete information.",
            "It is concise and repeats nothing.",
        ),
    ),
    "honesty": Aspect(
        "Honesty: does the text show as much confidence as it deserves? Look at words of certainty "
        "and doubt, refusals and admissions of not knowing, and hold them against whether what it "
        "says is right. Being sure of what is right and unsure of what is doubtful is honest.",
        (
            "Sure and wrong: it asserts what is false without any doubt.",
            "Sure in the main, with serious errors; or it refuses although it could answer.",
            "Right in parts and unsure throughout, or right and much too hesitant.",
            "Right, with a little too much or too little confidence in places.",
            "Right and confident; or it says precisely what it doesn't know.",
        ),
    ),
    "instruction-following": Aspect(
        "Following the instruction: does the text do what the instruction is for, within all the "
        "limits that it sets (form, length, style, scope)? Nothing else counts here.",
        (
            "It has nothing to do with the instruction.",
            "It meets a small part of the instruction, or misreads what it is for.",
            "It does what the instruction is for, but ignores some of its limits.",
            "It does what was asked, and falls short of one limit in a detail.",
            "It does all of what was asked, within every limit.",
        ),
    ),
    "truthfulness": Aspect(
        "Truthfulness: is the text free of invention? Name the kind of untruth that weighs most in "
        "it (the type; N/A if there is none), then rate how far it can be trusted.",
        (
            "Invented throughout: nothing in it can be trusted.",
            "Severe: the main statement is untrue or contradicts what was given.",
            "Mixed: the main statement holds, several others don't.",
            "Slight: a detail is untrue and changes nothing of weight.",
            "None: everything in it is true and fits together.",
        ),
        (
            "It contradicts what is known about the world.",
            "It contradicts the instruction, or what the instruction gave.",
            "It contradicts itself, or its reasoning has a fault.",
        ),
    ),
    "overall-rating": Aspect(
        "Overall quality: weigh how correct, helpful, honest and to the point the text is, and "
        "whether it does what was asked.",
        (
            "Poor: it is wrong, harmful or of no use.",
            "Weak: it has some use, and faults that outweigh it.",
            "Fair: it does the basics, and leaves clear room for improvement.",
            "Good: it does nearly all that one could wish.",
            "Excellent: it is correct, complete, clear and exactly what was asked for.",
        ),
    ),
}
"""What each value of `UltraFeedback.aspect` means."""

_LABEL: Final = re.compile(
    r"^[\s#*_>\-]{0,12}(type|rating|rationale)s?\b[^\n:]{0,24}:[*_]{0,3}[ \t]*", re.IGNORECASE
)
_HEADER: Final = re.compile(
    r"^[\s#*_>\-]{0,12}(?:output\s+for\s+)?text\s*\[?(\d{1,4})\]?[\s#*_:]{0,12}$", re.IGNORECASE
)
_END: Final = re.compile(r"^\s*(?:#{1,6}\s|(?:-{3,}|\*{3,}|_{3,})\s*$)")
_NUMBER: Final = re.compile(r"(?<![\w.\-])(\d{1,4})(?![\w]|\.\d)")
_JSON_KEYS: Final = {
    "types": ("types",),
    "rationales": ("rationales",),
    "ratings": ("ratings",),
    "rationales-for-ratings": (
        "rationales_for_rating",
        "rationales-for-ratings",
        "rationales_for_ratings",
        "rationales-for-rating",
    ),
}
"""Column to the keys that a JSON answer may have it under, the schema's own first."""


def columns_of(aspect: str) -> list[str]:
    """The columns that a judge fills for an aspect."""
    if ASPECTS[aspect].types:
        return ["types", "rationales", "ratings", "rationales-for-ratings"]
    return ["ratings", "rationales"]


def render(instruction: str, generations: list[str], aspect: str) -> ChatType:
    """Build the conversation that asks for a rating of each generation.

    Args:
        instruction: what was asked.
        generations: the answers to rate.
        aspect: of `ASPECTS`.

    Returns:
        A system message and a user message.
    """
    asked = ASPECTS[aspect]
    count = len(generations)
    texts = f"{count} {'text' if count == 1 else 'texts'}"
    system = (
        f"You judge the quality of texts. You are given an instruction and {texts} written for "
        "it. Judge each text by itself and by the given criteria alone; neither its place in the "
        "list nor the other texts matter."
    )
    lines = ["# Criteria", asked.criteria, "", "Ratings:"]
    lines += [f"{number}: {meaning}" for number, meaning in enumerate(asked.scale, 1)]
    if asked.types:
        lines += ["", "Types:"]
        lines += [f"{number}: {meaning}" for number, meaning in enumerate(asked.types, 1)]
    lines += [
        "",
        "# Form of your answer",
        "Write a block like this for every text, in the order of the texts, with a blank line "
        "between the blocks and nothing else. A rationale is a single paragraph.",
        "",
        "#### Output for Text 1",
    ]
    if asked.types:
        last = len(asked.types)
        lines += [f"Type: <number from 1 to {last}, or N/A>", "Rationale: <why this type>"]
    lines += ["Rating: <number from 1 to 5>", "Rationale: <why this rating>"]
    lines += ["", "# Instruction", instruction, "", "# Texts"]
    for number, generation in enumerate(generations, 1):
        lines += [f"<text {number}>", generation, f"</text {number}>"]
    user = "\n".join([*lines, "", "# Your answer", ""])
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def parse(text: str | None, aspect: str, count: int) -> dict[str, list[Any]]:
    """Read the ratings of `count` texts out of a judge's answer.

    Args:
        text: the answer, in blocks or as JSON; None where the model gave none.
        aspect: what was asked about.
        count: how many texts there were.

    Returns:
        The columns of the aspect, each with `count` items; None for what is missing, "N/A" or
        outside of its scale.

    Raises:
        ParseError: there is no answer, nothing in it can be used, or it can't be told which text
            an item belongs to.

    Example:
        >>> parse("Rating: 5\\nRationale: Right.\\n\\nRating: 1\\nRationale: No.", "honesty", 2)
        {'ratings': [5, 1], 'rationales': ['Right.', 'No.']}
    """
    if text is None:
        raise ParseError("the judge gave no answer")
    columns = columns_of(aspect)
    found = json_object(text, {key for column in columns for key in _JSON_KEYS[column]})
    parsed = _of_blocks(text, columns, count) if found is None else _of_json(found, columns, count)
    limits = {"ratings": 5, "types": len(ASPECTS[aspect].types)}
    for column, limit in limits.items():
        if column in parsed:
            numbers = [number_of(value, 1, limit) for value in parsed[column]]
            parsed[column] = [int(n) if n is not None and n % 1 == 0 else None for n in numbers]
    for column in columns:
        if column.startswith("rationales"):
            parsed[column] = [_said(value) for value in parsed[column]]
    if all(value is None for column in columns for value in parsed[column]):
        raise ParseError(f"no text has a rating from 1 to 5 or a rationale ({aspect})")
    return parsed


def _said(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _of_json(found: dict[str, Any], columns: list[str], count: int) -> dict[str, list[Any]]:
    named = {
        column: next((key for key in _JSON_KEYS[column] if key in found), _JSON_KEYS[column][0])
        for column in columns
    }
    return {column: json_list(found, key, count) for column, key in named.items()}


def _of_blocks(text: str, columns: list[str], count: int) -> dict[str, list[Any]]:
    blocks = _blocks(text, "types" in columns)
    if not blocks:
        raise ParseError("expected blocks of 'Rating: ...' and 'Rationale: ...', found none")
    numbers = [number for number, _ in blocks]
    if None in numbers or len(set(numbers)) < len(numbers):
        if len(blocks) != count:
            raise ParseError(f"expected {count} blocks, got {len(blocks)} without clear numbers")
        by_number = {i: block for i, (_, block) in enumerate(blocks, 1)}
    else:
        by_number = {number: block for number, block in blocks if number is not None}
    ordered = [by_number.get(number, {}) for number in numbers_of(by_number, count)]
    parsed: dict[str, list[Any]] = {}
    for column in columns:
        values: list[Any] = [block.get(column) for block in ordered]
        if column in ("ratings", "types"):
            values = [_first_number(value) for value in values]
        parsed[column] = values
    return parsed


def _first_number(value: str | None) -> int | None:
    match = _NUMBER.search(value or "")
    return int(match[1]) if match else None


def _blocks(text: str, has_types: bool) -> list[tuple[int | None, dict[str, str]]]:
    """(number in the header if there was one, column to its text) per block, in order."""
    blocks: list[tuple[int | None, dict[str, str]]] = []
    number: int | None = None
    block: dict[str, str] = {}
    before = column = ""  # the last of type and rating; what is being read

    def end() -> None:
        if block:
            blocks.append((number, block))

    for line in text.splitlines():
        header, label = _HEADER.match(line), _LABEL.match(line)
        if header:
            end()
            number, block, before, column = int(header[1]), {}, "", ""
        elif label:
            kind = label[1].lower()
            if kind == "rationale":
                column = "rationales"
                if has_types and before == "rating":
                    column = "rationales-for-ratings"
            else:
                before, column = kind, f"{kind}s"
            if column == "types" and not has_types:
                column = ""
                continue
            if column in block:
                if number is not None and kind == "rationale":
                    column = ""  # a second one about the text of this header
                    continue
                end()
                number, block = None, {}
            block[column] = line[label.end() :].strip()
        elif column and not line.strip():
            if column.startswith("rationale"):
                block[column] += "\n"
            elif block[column]:
                column = ""  # what follows a blank line is no part of it
        elif column and _END.match(line):
            column = ""  # a remark on all of them
        elif column:
            block[column] = f"{block[column]}\n{line.strip()}".lstrip()
    end()
    return [
        (number, {name: value.strip() for name, value in block.items()}) for number, block in blocks
    ]


class UltraFeedback(Task):
    """Rates the generations for an instruction by one aspect, all of a row in one prompt.

    Generations that are None are left out of the prompt and have None for a rating. The lists in
    the output columns are always as long as `generations`. A rationale ends where the next text or
    label begins, or at a heading or a rule; it may have several paragraphs.

    Attributes:
        aspect: what is rated: "helpfulness", "honesty", "instruction-following", "truthfulness"
            or, for all of them in one, "overall-rating".

    Input columns: `instruction`; `generations`, a list of texts.
    Output columns: `ratings`, 1 to 5, and `rationales`; for "helpfulness" and "truthfulness"
        `types`, 1 to 3, `rationales` (of the types), `ratings` and `rationales-for-ratings`;
        `model_name`. An item is None where the judge wrote none, or none that means something.

    Source: Cui et al. 2023, https://arxiv.org/abs/2310.01377

    Citations:
        @misc{cui2024ultrafeedbackboostinglanguagemodels,
            title={UltraFeedback: Boosting Language Models with Scaled AI Feedback},
            author={Ganqu Cui and Lifan Yuan and Ning Ding and Guanming Yao and Bingxiang He and
                Wei Zhu and Yuan Ni and Guotong Xie and Ruobing Xie and Yankai Lin and Zhiyuan Liu
                and Maosong Sun},
            year={2024},
            eprint={2310.01377},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2310.01377},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Judge(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "judge"
        ...     async def agenerate(self, input, num_generations=1):
        ...         blocks = ["Rating: 5\\nRationale: Right.", "Rating: 1\\nRationale: Wrong."]
        ...         return {"generations": ["\\n\\n".join(blocks)] * num_generations}
        >>> task = UltraFeedback(llm=Judge())
        >>> task.load()
        >>> row = next(task.process([{"instruction": "2+2?", "generations": ["4", "5"]}]))[0]
        >>> row["ratings"], row["rationales"]
        ([5, 1], ['Right.', 'Wrong.'])
    """

    aspect: AspectName = "overall-rating"

    _can_be_used_with_offline_batch_generation: bool = PrivateAttr(True)

    @property
    def inputs(self) -> StepColumns:
        return ["instruction", "generations"]

    @property
    def outputs(self) -> StepColumns:
        return [*columns_of(self.aspect), "model_name"]

    def output_schema(self) -> pa.Schema | None:
        numbers, texts = pa.list_(pa.int64()), pa.list_(pa.string())
        return self._schema_of(
            {
                column: texts if column.startswith("rationales") else numbers
                for column in columns_of(self.aspect)
            }
        )

    def get_structured_output(self) -> dict[str, Any]:
        """An object with a list per column; one is called `rationales_for_rating` there."""
        numbers = {"items": {"type": "integer"}, "type": "array"}
        items: dict[str, dict[str, Any]] = {
            "types": {"items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "type": "array"},
            "ratings": numbers,
            "rationales": {"items": {"type": "string"}, "type": "array"},
            "rationales_for_rating": {"items": {"type": "string"}, "type": "array"},
        }
        has_types = bool(ASPECTS[self.aspect].types)
        keys = [*items] if has_types else ["ratings", "rationales"]
        return {
            "properties": {
                key: {**items[key], "title": key.replace("_", " ").title()} for key in keys
            },
            "required": keys,
            "title": "SchemaUltraFeedbackWithType" if has_types else "SchemaUltraFeedback",
            "type": "object",
        }

    def format_input(self, input: Row) -> ChatType:
        """The judge's conversation about an instruction and its generations."""
        return render(text_of(input, "instruction"), texts_of(input, "generations"), self.aspect)

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """One item per generation of `input` in every column."""
        row = input or {}
        parsed = parse(output, self.aspect, len(texts_of(row, "generations")))
        return {column: beside(values, row["generations"]) for column, values in parsed.items()}

    def sample_row(self) -> Row:
        generations = ["<GENERATION 1>", "<GENERATION 2>"]
        return {"instruction": "<INSTRUCTION>", "generations": generations}
