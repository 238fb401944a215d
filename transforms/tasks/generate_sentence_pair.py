"""GenerateSentencePair: a text that belongs to an anchor, and one that doesn't.

The data that sentence encoders are trained on: (anchor, positive) pairs, or triplets with a
negative, which is hard where it looks as if it belonged (Reimers and Gurevych 2019,
https://arxiv.org/abs/1908.10084).

Example:
    >>> parse("## Positive\\nIt pours.\\n\\n## Negative\\nIt's dry.", triplet=True)
    {'positive': 'It pours.', 'negative': "It's dry."}
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import pyarrow as pa
from pydantic import model_validator
from typing_extensions import Self

from beam_distilabel.errors import DistilabelUserError, ParseError
from beam_distilabel.row import Row
from beam_distilabel.task import Task
from beam_distilabel.transforms.tasks.answers import json_object, text_of
from beam_distilabel.transforms.tasks.json_answers import texts_under
from beam_distilabel.typing import ChatType, StepColumns

Action = Literal["paraphrase", "semantically-similar", "query", "answer"]

_ACTIONS: Final[dict[Action, str]] = {
    "paraphrase": "says the same as the anchor in other words",
    "semantically-similar": "is close to the anchor in meaning",
    "query": "is a query that the anchor answers",
    "answer": "answers the anchor",
}
_NEGATIVE: Final = "may share words with the anchor, but has nothing to do with it"
_HARD_NEGATIVE: Final = (
    "is a hard one: it uses the anchor's key words and has a similar form, so that it could be "
    "taken for a positive at first sight, but it doesn't fit the anchor"
)
_HEADING: Final = re.compile(r"^[ \t]*#{1,6}[ \t*]*(positive|negative)\b[ \t:*]*", re.I | re.M)
_LABEL: Final = re.compile(
    r"^[ \t]*(?:\*\*[ \t]*)?(positive|negative)(?:[ \t]*:\*\*|\*\*[ \t]*:|\*\*[ \t]*$|[ \t]*:)",
    re.I | re.M,
)


def render(
    anchor: str,
    action: Action,
    triplet: bool = False,
    hard_negative: bool = False,
    context: str = "",
) -> list[dict[str, str]]:
    """Build the conversation that asks for a positive, and a negative if `triplet`.

    Args:
        anchor: the text.
        action: what the positive is to the anchor.
        triplet: whether a negative is asked for.
        hard_negative: whether that has to be hard to tell from a positive.
        context: what the texts are about; left out if empty.

    Returns:
        A system message and a user message.
    """
    lines = [
        "You write training data for a model that compares texts. For the anchor that you are "
        f"given, write a positive: a text that {_ACTIONS[action]}."
    ]
    if triplet:
        lines.append(
            f"Also write a negative: a text that {_HARD_NEGATIVE if hard_negative else _NEGATIVE}."
        )
    if context:
        lines.append("Both the anchor and what you write belong to the given context.")
    form = "## Positive\n<the positive>" + ("\n\n## Negative\n<the negative>" if triplet else "")
    lines.append(f"Write nothing but this, without explanations:\n\n{form}")
    user = f"## Context\n{context}\n\n## Anchor\n{anchor}" if context else f"## Anchor\n{anchor}"
    return [
        {"role": "system", "content": "\n\n".join(lines)},
        {"role": "user", "content": f"{user}\n"},
    ]


def parse(text: str | None, triplet: bool) -> dict[str, str]:
    """Split an answer into its sections.

    Args:
        text: sections under the headings `## Positive` and `## Negative`, also written
            `**Positive:**` or `Positive:`, or JSON with the keys
            `positive` and `negative`; None when the model gave none.
        triplet: whether there has to be a negative.

    Raises:
        ParseError: a section is missing or empty, or there are two of one kind.
    """
    if text is None:
        raise ParseError("the model gave no answer")
    wanted = ["positive", "negative"] if triplet else ["positive"]
    found: dict[str, Any] | None = json_object(text, {"positive"})
    if found is None or _HEADING.search(text):
        found = {}
        for heading, body in _sections(text):
            if heading in found:
                raise ParseError(f"the answer has two sections {heading!r}")
            found[heading] = body
    texts = {name: body.strip() for name, body in texts_under(found, wanted).items()}
    empty = [name for name, body in texts.items() if not body]
    if empty:
        raise ParseError(f"the section {empty[0]!r} is empty")
    return texts


def _sections(text: str) -> list[tuple[str, str]]:
    headings = list(_HEADING.finditer(text)) or list(_LABEL.finditer(text))
    begins = [*(heading.start() for heading in headings), len(text)]
    return [
        (heading[1].lower(), text[heading.end() : begins[number]])
        for number, heading in enumerate(headings, 1)
    ]


class GenerateSentencePair(Task):
    """Writes a text that belongs to an anchor, and one that doesn't.

    Attributes:
        action: what the positive is to the anchor: "paraphrase", "semantically-similar", "query"
            or "answer".
        triplet: whether a negative is written too; by default not.
        hard_negative: whether the negative looks like a positive; needs `triplet`.
        context: what the texts are about, for a model that can't know it; by default nothing.

    Input columns: `anchor`.
    Output columns: `positive`; `negative` with `triplet`; `model_name`.

    Raises:
        ValidationError: `hard_negative` is set and `triplet` isn't.

    Source: Reimers and Gurevych 2019, https://arxiv.org/abs/1908.10084

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Writer(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "writer"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ["## Positive\\nIs it raining?"] * num_generations}
        >>> task = GenerateSentencePair(llm=Writer(), action="query")
        >>> task.load()
        >>> next(task.process([{"anchor": "It rains."}]))[0]["positive"]
        'Is it raining?'
    """

    action: Action
    triplet: bool = False
    hard_negative: bool = False
    context: str = ""

    @model_validator(mode="after")
    def _negative_is_written(self) -> Self:
        if self.hard_negative and not self.triplet:
            raise DistilabelUserError(
                f"{type(self).__name__} {self.name or ''}: hard_negative=True needs triplet=True; "
                "without it no negative is written."
            )
        return self

    @property
    def inputs(self) -> StepColumns:
        return ["anchor"]

    @property
    def outputs(self) -> StepColumns:
        return [*self._sections(), "model_name"]

    def _sections(self) -> list[str]:
        return ["positive", "negative"] if self.triplet else ["positive"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of(dict.fromkeys(self._sections(), pa.string()))

    def get_structured_output(self) -> dict[str, Any]:
        """An object with the texts."""
        sections = self._sections()
        return {
            "properties": {name: {"title": name.title(), "type": "string"} for name in sections},
            "required": sections,
            "title": "Schema",
            "type": "object",
        }

    def format_input(self, input: Row) -> ChatType:
        """The conversation about one anchor."""
        anchor = text_of(input, "anchor")
        return render(anchor, self.action, self.triplet, self.hard_negative, self.context)  # type: ignore[return-value]

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The texts of one answer."""
        return dict(parse(output, self.triplet))
