# ruff: noqa
# mypy: ignore-errors
"""What users write for distilabel: Steps, Tasks and LLMs of their own.

The file imports `distilabel`, as a user's file does. The tests change that prefix and nothing
else, and run distilabel itself on the unchanged file (see `run_user_code.py`).
"""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Union

from pydantic import Field, PrivateAttr, field_validator, validate_call

from distilabel.mixins.runtime_parameters import RuntimeParameter
from distilabel.models import AsyncLLM
from distilabel.models.llms import LLM
from distilabel.steps import GeneratorStep, GlobalStep, Step, StepInput, step
from distilabel.steps.tasks import GeneratorTask, Task, TextGeneration, task
from distilabel.typing import FormattedInput, GenerateOutput

if TYPE_CHECKING:
    from distilabel.typing import ChatType, GeneratorStepOutput, StepColumns, StepOutput

# ---------------------------------------------------------------------------------- Steps


@step(inputs=["text"], outputs=["length"])
def Length(inputs: StepInput, extra: RuntimeParameter[int] = 0) -> "StepOutput":
    """Adds the number of characters, and `extra` to it."""
    for row in inputs:
        row["length"] = len(row["text"]) + extra
    yield inputs


@step(inputs=["text"], step_type="global")
def Longest(inputs: StepInput) -> "StepOutput":
    """Keeps the row with the longest text."""
    yield [max(inputs, key=lambda row: len(row["text"]))]


@step(outputs=["number"], step_type="generator")
def Numbers(offset: int = 0, count: RuntimeParameter[int] = 5) -> "GeneratorStepOutput":
    """Counts, two numbers at a time."""
    for start in range(offset, count, 2):
        numbers = range(start, min(start + 2, count))
        yield [{"number": number} for number in numbers], numbers.stop >= count


class Translate(Step):
    """Has something that is made in `load`, can't be pickled, and is gone after `unload`."""

    words: Dict[str, str] = Field(default_factory=dict)
    fallback: RuntimeParameter[str] = Field(default="?", description="For words not known.")

    _lock: Any = PrivateAttr(None)
    _known: Optional[Dict[str, str]] = PrivateAttr(default=None)

    @field_validator("words")
    @classmethod
    def _lower(cls, words: Dict[str, str]) -> Dict[str, str]:
        return {word.lower(): other for word, other in words.items()}

    def load(self) -> None:
        super().load()
        self._lock = threading.Lock()
        self._known = dict(self.words)

    def unload(self) -> None:
        self._known = None

    @property
    def inputs(self) -> "StepColumns":
        return ["text"]

    @property
    def outputs(self) -> "StepColumns":
        return {"translation": True}

    def process(self, inputs: StepInput) -> "StepOutput":
        with self._lock:
            for row in inputs:
                words = row["text"].split()
                found = [self._known.get(word.lower(), self.fallback) for word in words]
                row["translation"] = " ".join(found)
        yield inputs


class KeepShort(Step):
    """Yields fewer rows than it gets."""

    limit: int

    @property
    def inputs(self) -> List[str]:
        return ["text"]

    @property
    def outputs(self) -> List[str]:
        return []

    def process(self, inputs: StepInput) -> "StepOutput":
        self._logger.info("dropping what has more than %s characters", self.limit)
        yield [row for row in inputs if len(row["text"]) <= self.limit]


class SplitWords(Step):
    """Yields more rows than it gets."""

    @property
    def inputs(self) -> List[str]:
        return ["text"]

    @property
    def outputs(self) -> List[str]:
        return ["word"]

    def process(self, inputs: StepInput) -> "StepOutput":
        rows = []
        for row in inputs:
            for word in row["text"].split():
                rows.append({**row, "word": word})
        yield rows


class Zip(Step):
    """Takes the rows of several Steps."""

    @property
    def inputs(self) -> List[str]:
        return []

    @property
    def outputs(self) -> List[str]:
        return ["merged"]

    def process(self, *inputs: StepInput) -> "StepOutput":
        merged = []
        for rows in zip(*inputs):
            row = {}
            for one in rows:
                row.update(one)
            row["merged"] = len(rows)
            merged.append(row)
        yield merged


class Rank(GlobalStep):
    """Needs all rows."""

    descending: RuntimeParameter[bool] = Field(default=False, description="The longest first.")

    @property
    def inputs(self) -> List[str]:
        return ["text"]

    @property
    def outputs(self) -> List[str]:
        return ["rank"]

    def process(self, inputs: StepInput) -> "StepOutput":
        ordered = sorted(inputs, key=lambda row: len(row["text"]), reverse=self.descending)
        for rank, row in enumerate(ordered):
            row["rank"] = rank
        yield inputs


class Countdown(GeneratorStep):
    """Makes rows from nothing."""

    start: RuntimeParameter[int] = Field(default=None, description="Where to begin.")

    _labels: List[str] = PrivateAttr(default_factory=list)

    def load(self) -> None:
        super().load()
        self._logger.info("loading %s", self.name)
        self._labels = ["even", "odd"]

    @property
    def outputs(self) -> List[str]:
        return ["number", "label"]

    def process(self, offset: int = 0) -> "GeneratorStepOutput":
        numbers = list(range(self.start, 0, -1))[offset:]
        while numbers:
            batch, numbers = numbers[: self.batch_size], numbers[self.batch_size :]
            rows = [{"number": n, "label": self._labels[n % 2]} for n in batch]
            yield rows, not numbers


class Report(Step):
    """Leaves a file with the run."""

    @property
    def inputs(self) -> List[str]:
        return ["text"]

    @property
    def outputs(self) -> List[str]:
        return []

    def process(self, inputs: StepInput) -> "StepOutput":
        texts = sorted(row["text"] for row in inputs)

        def write(path: Path) -> None:
            (path / "texts.txt").write_text("\n".join(texts))

        self.save_artifact(name="texts", write_function=write, metadata={"kind": "text"})
        yield inputs


# ----------------------------------------------------------------------------------- LLMs


class Shout(LLM):
    """Answers a batch at a time."""

    mark: str = "!"

    _lock: Any = PrivateAttr(None)

    def load(self) -> None:
        super().load()
        self._lock = threading.Lock()

    @property
    def model_name(self) -> str:
        return "shout"

    @validate_call
    def generate(
        self,
        inputs: List[FormattedInput],
        num_generations: int = 1,
        repeat: int = 1,
    ) -> List[GenerateOutput]:
        outputs = []
        with self._lock:
            for messages in inputs:
                text = messages[-1]["content"].upper() + self.mark * repeat
                outputs.append(
                    {
                        "generations": [text] * num_generations,
                        "statistics": {
                            "input_tokens": [len(messages)],
                            "output_tokens": [len(text)] * num_generations,
                        },
                    }
                )
        return outputs


class Whisper(AsyncLLM):
    """Answers one input at a time, and only one way at a time."""

    model: str = "whisper"

    _num_generations_param_supported: bool = False
    _calls: Any = PrivateAttr(None)

    def load(self) -> None:
        super().load()
        self._logger.info("loading %s", self.model)
        self._calls = threading.local()

    @property
    def model_name(self) -> str:
        return self.model

    @validate_call
    async def agenerate(
        self, input: FormattedInput, suffix: str = "...", stop: Union[str, None] = None
    ) -> GenerateOutput:
        self._calls.last = input
        text = input[-1]["content"].lower()
        if stop is not None:
            text = text.partition(stop)[0]
        return {
            "generations": [text + suffix],
            "statistics": {"input_tokens": [len(input)], "output_tokens": [len(text)]},
        }


# ---------------------------------------------------------------------------------- Tasks


@task(inputs=["topic", "audience"], outputs=["headline"])
def Headline(output: Union[str, None], input: Union[Dict[str, Any], None] = None) -> Dict[str, Any]:
    """
    ---
    system_prompt: |
        You write headlines for {audience}.

    user_message_template: |
        A headline about {topic}
    ---
    """
    return {"headline": output.strip() if output else None}


class Explain(Task):
    """The usual kind."""

    style: str = "plain"
    limit: RuntimeParameter[int] = Field(default=1000, description="Characters to keep.")

    _prefix: str = PrivateAttr("")

    def load(self) -> None:
        super().load()
        self._prefix = f"({self.style}) "

    @property
    def inputs(self) -> "StepColumns":
        return ["topic"]

    @property
    def outputs(self) -> "StepColumns":
        return ["explanation", "model_name"]

    def format_input(self, input: Dict[str, Any]) -> "ChatType":
        return [
            {"role": "system", "content": "Explain."},
            {"role": "user", "content": self._prefix + input["topic"]},
        ]

    def format_output(
        self, output: Union[str, None], input: Optional[Dict[str, Any]] = None
    ) -> Dict[str, Any]:
        return {"explanation": output[: self.limit]}


class ExplainTwice(Explain):
    """Runs its LLM itself, and asks it again about its first answer."""

    def process(self, inputs: StepInput) -> "StepOutput":
        formatted = self._format_inputs(inputs)
        first = self.llm.generate_outputs(
            inputs=formatted,
            num_generations=1,
            **self.llm.get_generation_kwargs(),
        )
        follow_up = [
            [*messages, {"role": "user", "content": output["generations"][0] + " Why?"}]
            for messages, output in zip(formatted, first)
        ]
        second = self.llm.generate_outputs(
            inputs=follow_up,
            num_generations=self.num_generations,
            **self.llm.get_generation_kwargs(),
        )
        rows = []
        for row, outputs in zip(inputs, second):
            for formatted_output in self._format_outputs(outputs, row):
                rows.append({**row, **formatted_output, "model_name": self.llm.model_name})
        yield rows


class Follow(TextGeneration):
    """Changes a Task that the package has."""

    follower: bool = True

    _suffix: str = PrivateAttr("")

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._suffix = " (for followers)" if self.follower else ""

    @property
    def outputs(self) -> List[str]:
        return ["generation", "model_name", "follower"]

    def format_input(self, input: Dict[str, Any]) -> "ChatType":
        messages = super().format_input(input)
        messages[-1]["content"] += self._suffix
        return messages

    def format_output(
        self, output: Union[str, None], input: Union[Dict[str, Any], None] = None
    ) -> Dict[str, Any]:
        return {**super().format_output(output, input), "follower": self.follower}


class Panel(Explain):
    """Asks several LLMs, one of which is the Task's own."""

    others: List[LLM] = Field(default_factory=list)

    def load(self) -> None:
        super().load()
        for llm in self.others:
            llm.load()

    def unload(self) -> None:
        super().unload()
        for llm in self.others:
            llm.unload()

    def process(self, inputs: StepInput) -> "StepOutput":
        formatted = self._format_inputs(inputs)
        answers = [
            llm.generate_outputs(inputs=formatted, **llm.get_generation_kwargs())
            for llm in [self.llm, *self.others]
        ]
        yield [
            {
                **row,
                "explanation": " / ".join(outputs["generations"][0] for outputs in of_row),
                "model_name": self.llm.model_name,
            }
            for row, *of_row in zip(inputs, *answers)
        ]


class Invent(GeneratorTask):
    """Makes rows with an LLM from nothing."""

    count: RuntimeParameter[int] = Field(default=3, description="Rows to make.")

    @property
    def outputs(self) -> List[str]:
        return ["idea", "model_name"]

    def format_output(
        self, output: Union[str, None], input: Union[Dict[str, Any], None] = None
    ) -> Dict[str, Any]:
        return {"idea": output}

    def process(self, offset: int = 0) -> "GeneratorStepOutput":
        for number in range(offset, self.count):
            messages = [{"role": "user", "content": f"Idea {number}"}]
            outputs = self.llm.generate_outputs(
                inputs=[messages], num_generations=1, **self.llm.get_generation_kwargs()
            )
            row = {
                "idea": outputs[0]["generations"][0],
                "model_name": self.llm.model_name,
            }
            yield [row], number == self.count - 1
