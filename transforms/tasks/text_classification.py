"""TextClassification: labels for a text, free or out of a list."""

from __future__ import annotations

import json
from typing import Any, Final

import pyarrow as pa
from pydantic import BaseModel, Field, PositiveInt, model_validator
from typing_extensions import Self

from beam_distilabel.errors import DistilabelUserError, ParseError
from beam_distilabel.row import Row
from beam_distilabel.task import Task
from beam_distilabel.transforms.tasks.answers import json_object, text_of
from beam_distilabel.typing import ChatType, StepColumns

SYSTEM_PROMPT: Final = (
    "You are an AI system that classifies texts. You read the text you are given and name the "
    "labels that fit it, and do nothing else."
)
CONTEXT: Final = (
    "Find short labels to the point, which say precisely what the text's main subjects or "
    "categories are."
)


class _DefaultLabel(BaseModel):
    """A field whose name Beam gives to a method of every PTransform."""

    default_label: str | list[str] | None = Field(
        default="Unclassified", description="The label of a text that says too little."
    )


# pydantic would take Beam's method for the field's default, here and in classes derived from it.
setattr(_DefaultLabel, "default_label", _DefaultLabel.model_fields["default_label"])  # noqa: B010


class TextClassification(_DefaultLabel, Task):  # type: ignore[misc]
    """Labels a text, with `n` labels of the model's own or out of `available_labels`.

    Answers follow a JSON schema unless `use_default_structured_output` is False.

    Attributes:
        system_prompt: the system message; none if None.
        n: how many labels a text gets.
        context: what the labels are to say.
        examples: texts and their labels, one in each item, as the model is shown them.
        available_labels: the labels to choose from, or label to what it means; any if None. An
            answer with another label is a failure.
        default_label: for a text that is ambiguous or says too little; with `n` above 1 it may be a
            list.
        query_title: what the prompt calls the text.
        use_default_structured_output: whether answers follow the Task's own JSON schema.

    Input columns: `text`.
    Output columns: `labels`, a text, or if `n` is above 1 a list of up to `n` texts; `model_name`.

    Raises:
        ValidationError: `available_labels` is empty.

    Source: Tam et al. 2024, https://arxiv.org/abs/2408.02442

    Citations:
        @misc{tam2024letmespeakfreely,
            title={Let Me Speak Freely? A Study on the Impact of Format Restrictions on Performance
                of Large Language Models},
            author={Zhi Rui Tam and Cheng-Kuang Wu and Yi-Lin Tsai and Chieh-Yen Lin and
                Hung-yi Lee and Yun-Nung Chen},
            year={2024},
            eprint={2408.02442},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2408.02442},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Classifier(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "classifier"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ['{"labels": "Good"}'] * num_generations}
        >>> task = TextClassification(llm=Classifier(), available_labels=["good", "bad"])
        >>> task.load()
        >>> next(task.process([{"text": "I like it."}]))[0]["labels"]
        'good'
    """

    system_prompt: str | None = SYSTEM_PROMPT
    n: PositiveInt = Field(default=1, description="The number of labels of a text.")
    context: str | None = Field(default=CONTEXT, description="What the labels are to say.")
    examples: list[str] | None = Field(
        default=None, description="Texts and their labels, which the model is shown."
    )
    available_labels: list[str] | dict[str, str] | None = Field(
        default=None, description="The labels to choose from, or label to what it means."
    )
    query_title: str = Field(default="User Query", description="What the prompt calls the text.")
    use_default_structured_output: bool = True

    @model_validator(mode="after")
    def _labels_to_choose_from(self) -> Self:
        if self.available_labels is not None and not self.available_labels:
            raise DistilabelUserError(
                f"{type(self).__name__} {self.name or ''}: available_labels is empty; name the "
                "labels, or leave it None for labels of the model's own."
            )
        return self

    @property
    def inputs(self) -> StepColumns:
        return ["text"]

    @property
    def outputs(self) -> StepColumns:
        return ["labels", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"labels": pa.string() if self.n == 1 else pa.list_(pa.string())})

    def get_structured_output(self) -> dict[str, Any]:
        """An object with `labels`, a text or a list of texts."""
        labels: dict[str, Any] = {"title": "Labels", "type": "string"}
        if self.n > 1:
            labels = {"items": {"type": "string"}, "title": "Labels", "type": "array"}
        return {
            "properties": {"labels": labels},
            "required": ["labels"],
            "title": "SingleLabelSchema" if self.n == 1 else "MultiLabelSchema",
            "type": "object",
        }

    def format_input(self, input: Row) -> ChatType:
        """The system message, and the prompt about one text."""
        messages: ChatType = [{"role": "user", "content": self._prompt(text_of(input, "text"))}]
        if self.system_prompt:
            messages.insert(0, {"role": "system", "content": self.system_prompt})
        return messages

    def _prompt(self, text: str) -> str:
        wanted = (
            "the one label that fits it best"
            if self.n == 1
            else f"the {self.n} labels that fit it best"
        )
        lines = [
            "# Task",
            f"Give the {self.query_title.lower()} below {wanted}. Don't explain your choice.",
        ]
        if self.default_label is not None:
            default = json.dumps(self.default_label, ensure_ascii=False)
            lines.append(f"If it is ambiguous, or says too little, answer with {default}.")
        if self.context:
            lines.append(self.context)
        lines += ["", "# Labels", *self._choice()]
        if self.examples:
            lines += ["", "# Examples", *(f"- {example}" for example in self.examples)]
        labels = '"label"' if self.n == 1 else "[" + ", ".join(['"label"'] * self.n) + "]"
        lines += [
            "",
            f"# {self.query_title}",
            "<text>",
            text,
            "</text>",
            "",
            "# Form of your answer",
            "JSON of this form, and nothing else:",
            f'{{"labels": {labels}}}',
        ]
        return "\n".join(lines)

    def _choice(self) -> list[str]:
        """What the prompt says about the labels that there are."""
        if self.available_labels is None:
            return ["Use common terms that everybody understands, no more special than the text."]
        lines = ["Choose among these labels, and spell them as they are here:"]
        if isinstance(self.available_labels, dict):
            return lines + [f"- {label}: {what}" for label, what in self.available_labels.items()]
        return lines + [f"- {label}" for label in self.available_labels]

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The label, or the list of labels, of one answer."""
        if output is None:
            raise ParseError("the model gave no answer")
        found = json_object(output, {"labels"})
        if found is None:
            raise ParseError('expected JSON such as {"labels": ...} in the answer')
        given = found["labels"]
        labels = [given] if isinstance(given, str) else given
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise ParseError("expected a text or a list of texts under 'labels'")
        known = [*dict.fromkeys(self._known(label.strip()) for label in labels)]
        if not 1 <= len(known) <= self.n:
            raise ParseError(f"expected 1 to {self.n} labels, got {len(known)}")
        return {"labels": known[0] if self.n == 1 else known}

    def _known(self, label: str) -> str:
        """`label` as it is spelled among those to choose from.

        Raises:
            ParseError: it is empty, or none of them.
        """
        if not label:
            raise ParseError("a label is empty")
        if self.available_labels is None:
            return label
        default = self.default_label or []
        labels = [*self.available_labels, *([default] if isinstance(default, str) else default)]
        if label in labels:
            return label
        spelled = {one.casefold(): one for one in reversed(labels)}
        if label.casefold() not in spelled:
            raise ParseError(f"the label {label[:80]!r} is none of the available ones")
        return spelled[label.casefold()]
