"""MathShepherdCompleter: labels steps by whether they can still lead to the right answer.

See `math_shepherd.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pyarrow as pa
from pydantic import PositiveInt, field_validator

from beam_distilabel.attempts import of_generation
from beam_distilabel.errors import (
    CheckpointError,
    DistilabelUserError,
    EngineError,
    GenerationError,
    ParseError,
)
from beam_distilabel.failures import Failure, attempts_of, kind_of, message_of
from beam_distilabel.metadata import METADATA, metadata_keys
from beam_distilabel.models.engine import gather_or_cancel
from beam_distilabel.row import Row
from beam_distilabel.task import Generate, Task
from beam_distilabel.transforms.tasks.answers import text_of
from beam_distilabel.transforms.tasks.math_answers import normalised
from beam_distilabel.transforms.tasks.math_shepherd import (
    ANSWER,
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
from beam_distilabel.typing import ChatType, FormattedInput, GenerateOutput, StepColumns

EXAMPLE: Final = """
An example of a problem, and the beginning of its solution:
A bus has 30 seats. At the first stop 12 people get on, at the second stop 5 more. How many seats \
are free?
Step 1: 12 + 5 = <<12+5=17>>17 people are on the bus.

An example of a completion:
Step 2: 30 - 17 = <<30-17=13>>13 seats are free.
The answer is: 13
"""

_SOLUTIONS: Final = pa.list_(pa.list_(pa.string()))


class Prefix(NamedTuple):
    """The beginning of a solution that is to be completed.

    Attributes:
        solution: the solution's number.
        step: the number of its last step, which the completions tell about.
        text: the problem and the steps.
    """

    solution: int
    step: int
    text: str


def prefixes(instruction: str, solutions: list[list[str]]) -> Iterator[Prefix]:
    """All beginnings of solutions that a step has to be judged by.

    The last step isn't among them: it is judged by the answer that follows it.

    Example:
        >>> [prefix.text for prefix in prefixes("?", [["a", "b", "c", "The answer is: 1"]])]
        ['?\\na', '?\\na\\nb']
    """
    for number, steps in enumerate(solutions):
        reasoning = steps[:-1] if _has_answer(steps) else steps
        for step in range(len(reasoning) - 1):
            yield Prefix(number, step, "\n".join([instruction, *reasoning[: step + 1]]))


def labelled(
    solutions: list[list[str]], leads: dict[tuple[int, int], bool], golden: str, tags: list[str]
) -> list[list[str]]:
    """The solutions with a tag after every step; an answer becomes a part of the last step.

    Args:
        solutions: lists of steps, with the answer at the end.
        leads: (solution, step) to whether a completion had the right answer.
        golden: the right answer, without the words before it.
        tags: that of a good step, and that of a bad one.

    Example:
        >>> steps = ["Step 1: a", "Step 2: b", "The answer is: 1"]
        >>> labelled([steps], {(0, 0): True}, "2", ["+", "-"])
        [['Step 1: a +', 'Step 2: b The answer is: 1 -']]
    """
    done = []
    for number, steps in enumerate(solutions):
        reasoning = list(steps)
        is_right = _is_right(steps, golden)
        if _has_answer(steps) and len(steps) > 1:
            answer = reasoning.pop()
            reasoning[-1] = f"{reasoning[-1]} {answer}"
        verdicts = [leads[number, step] for step in range(len(reasoning) - 1)] + [is_right]
        done.append(
            [
                f"{step} {tags[0] if good else tags[1]}"
                for step, good in zip(reasoning, verdicts, strict=True)
            ]
        )
    return done


def _has_answer(steps: list[str]) -> bool:
    return answer_of(steps[-1]) is not None


def _is_right(steps: list[str], golden: str) -> bool:
    """Whether steps end with the answer `golden`; without an answer they don't."""
    answer = answer_of(steps[-1])
    return answer is not None and normalised(answer) == normalised(golden)


class MathShepherdCompleter(Task):
    """Labels each step of solutions by whether it can still lead to the right answer.

    The model completes every beginning of every solution N times. A step is good if one of the
    completions after it comes to the golden answer (the paper's hard estimation); the last step is
    good if the solution's own answer is the golden one. Answers are compared by what they say, see
    `math_answers.normalised`; a completion or a solution without an answer doesn't come to the
    golden one. A row is one rollout: solutions of K steps take K - 1 requests each, all at once. If
    not one completion after a step can be read, or a solution goes on after its answer, the row is
    a failure.

    Attributes:
        system_prompt: a Jinja template that may use `extra_rules`, `few_shots` and
            `structured_prompt`; None for none.
        extra_rules: how calculations and results are written; by default as in GSM8K.
        few_shots: examples; by default one like those of GSM8K.
        N: how many completions of each beginning one answer has; 1 by default.
        tags: what is written after a good step, and after a bad one; "+" and "-" by default.

    Input columns: `instruction`; `solutions`, lists of steps; `golden_solution`, such a list, whose
        last step is the answer. `MathShepherdGenerator` makes both.
    Output columns: `solutions` with the tags, the answers as a part of the last steps;
        `model_name`.

    Raises:
        ValidationError: `system_prompt` uses an unknown variable, there aren't two tags, or
            `num_generations` isn't 1.

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
        >>> class Student(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "student"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ["Step 2: 2 + 1 = 3.\\nThe answer is: 3"]}
        >>> task = MathShepherdCompleter(llm=Student())
        >>> task.load()
        >>> row = {"instruction": "What is 1 + 1 + 1?",
        ...        "golden_solution": ["Step 1: 1 + 1 + 1 = 3.", "The answer is: 3"],
        ...        "solutions": [["Step 1: 1 + 1 = 2.", "Step 2: 2 + 1 = 4.", "The answer is: 4"]]}
        >>> next(task.process([row]))[0]["solutions"]
        [['Step 1: 1 + 1 = 2. +', 'Step 2: 2 + 1 = 4. The answer is: 4 -']]
    """

    system_prompt: str | None = SYSTEM_PROMPT
    extra_rules: str | None = RULES
    few_shots: str | None = EXAMPLE
    N: PositiveInt = 1
    tags: list[str] = ["+", "-"]

    @field_validator("system_prompt")
    @classmethod
    def _prompt_is_known(cls, system_prompt: str | None) -> str | None:
        return check_prompt(system_prompt, cls.__name__)

    @field_validator("tags")
    @classmethod
    def _two_tags(cls, tags: list[str]) -> list[str]:
        if len(tags) != 2 or tags[0] == tags[1]:
            raise DistilabelUserError(
                f"{cls.__name__}: tags={tags!r}; name two: that of good steps, that of bad ones."
            )
        return tags

    @field_validator("num_generations")
    @classmethod
    def _one_rollout(cls, num_generations: int | None) -> int | None:
        if num_generations not in (None, 1):
            raise DistilabelUserError(
                f"{cls.__name__}: num_generations={num_generations}; raise N, the number of "
                "completions that a step is judged by, instead."
            )
        return num_generations

    @property
    def inputs(self) -> StepColumns:
        return ["instruction", "solutions", "golden_solution"]

    @property
    def outputs(self) -> StepColumns:
        return ["solutions", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"solutions": _SOLUTIONS})

    def get_structured_output(self) -> dict[str, Any]:
        """An object with the list `solutions`."""
        return solutions_schema("MathShepherdCompleter")

    def format_input(self, input: Row) -> ChatType:
        """The conversation that asks to complete `instruction`: a problem and some steps."""
        begun = text_of(input, "instruction")
        lines = [f"The problem, and the beginning of its solution:\n{begun}\n"]
        if self.N > 1:
            lines.append(f"Go on from the last step, {self.N} times, each time in another way.")
            if not self.use_default_structured_output:
                lines.append(f"Between two completions write a line with {SEPARATOR} only.")
        else:
            lines.append("Go on from the last step.")
        values = {
            "extra_rules": self.extra_rules,
            "few_shots": self.few_shots,
            "structured_prompt": STRUCTURED if self.use_default_structured_output else "",
        }
        return conversation(self.system_prompt, values, "\n".join(lines))  # type: ignore[return-value]

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The completions of one beginning, step by step, under `solutions`."""
        solutions = solutions_in(output, self.use_default_structured_output)
        return {"solutions": solutions[: self.N]}

    async def rollout(self, row: Row, generate: Generate) -> list[Row]:
        """Has all beginnings completed, and labels the steps."""
        try:
            instruction = text_of(row, "instruction")
            solutions = _solutions(row)
            golden = _golden(row)
            begun = list(prefixes(instruction, solutions))
            sent = [self._format_input({"instruction": prefix.text}) for prefix in begun]
        except Exception as error:
            failure = Failure(self.unique_name, "render", message_of(error), row)
            return self._failed_rows(row, failure)

        async def ask(one: FormattedInput) -> GenerateOutput:
            try:
                return await generate(one)
            except (EngineError, CheckpointError):
                raise
            except Exception as error:  # the other beginnings' answers still count as paid for
                kind = "engine" if kind_of(error) == "user_code" else kind_of(error)
                known = {"kind": kind, "message": message_of(error), "attempts": attempts_of(error)}
                return {"generations": [None], "failures": [known]}

        metadata: dict[str, Any] = {}
        try:
            outputs = await gather_or_cancel(map(ask, sent))
            metadata = self._metadata(sent, outputs)
            leads = self._leads(begun, outputs, golden)
        except (EngineError, CheckpointError):
            raise
        except Exception as error:
            kind = kind_of(error)
            failure = Failure(self.unique_name, kind, message_of(error), row, attempts_of(error))
            [failed] = self._failed_rows(row, failure)
            # What was answered has been paid for, and can be looked at.
            metadata.pop(metadata_keys(self.unique_name).failure, None)
            return [{**failed, METADATA: {**failed[METADATA], **metadata}}]
        labels = labelled(solutions, leads, golden, self.tags)
        return self._rows_made(row, [{"solutions": labels, METADATA: metadata}])

    def _leads(
        self, begun: list[Prefix], outputs: list[GenerateOutput], golden: str
    ) -> dict[tuple[int, int], bool]:
        """(solution, step) to whether a completion after it comes to the right answer.

        Raises:
            GenerationError: the model refused one of the beginnings.
            ParseError: not one completion of a beginning can be read.
        """
        leads: dict[tuple[int, int], bool] = {}
        for prefix, output in zip(begun, outputs, strict=True):
            known = next(iter(output.get("failures") or ()), None)
            where = f"solution {prefix.solution + 1}, after step {prefix.step + 1}"
            if known is not None:
                refused = GenerationError(f"{where}: {known['message']}", known["kind"])
                refused.attempts = known.get("attempts", 1)
                raise refused
            try:
                completions = self.format_output(output["generations"][0])["solutions"]
            except ParseError as error:
                raise ParseError(f"{where}: {error}") from None
            leads[prefix.solution, prefix.step] = any(
                _is_right(steps, golden) for steps in completions
            )
        return leads

    def _metadata(self, sent: list[Any], outputs: list[GenerateOutput]) -> dict[str, Any]:
        """What was asked and answered about all beginnings, in their order."""
        keys = metadata_keys(self.unique_name)
        metadata: dict[str, Any] = {}
        if self.add_raw_output:
            metadata[keys.raw_output] = [output["generations"][0] for output in outputs]
        if self.add_raw_input:
            metadata[keys.raw_input] = [one[0] if isinstance(one, tuple) else one for one in sent]
        counts: dict[str, int] = {"input_tokens": 0, "output_tokens": 0}
        for output in outputs:
            for name, values in (output.get("statistics") or {}).items():
                spent = of_generation(values, 0, 1)
                counts[name] = counts.get(name, 0) + (spent if isinstance(spent, int) else 0)
        metadata[keys.statistics] = counts
        metadata[keys.finish_reason] = None
        metadata[keys.failure] = None
        return metadata


def _solutions(row: Row) -> list[list[str]]:
    """The solutions of a row.

    Raises:
        ValueError: the column has something else.
    """
    value = row.get("solutions")
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(steps, list) and steps for steps in value)
        or not all(isinstance(step, str) for steps in value for step in steps)
    ):
        raise ValueError(
            f"the column 'solutions' needs lists of steps, none of them empty, got {value!r:.80}"
        )
    for number, steps in enumerate(value, 1):
        if any(answer_of(step) is not None for step in steps[:-1]):
            raise ValueError(f"the column 'solutions': number {number} goes on after its answer")
    return value


def _golden(row: Row) -> str:
    """The right answer of a row.

    Raises:
        ValueError: the golden solution doesn't end with one.
    """
    value = row.get("golden_solution")
    last = value[-1] if isinstance(value, list) and value else None
    answer = answer_of(last) if isinstance(last, str) else None
    if answer is None:
        raise ValueError(
            f"the column 'golden_solution' needs steps that end with {ANSWER!r} and the answer, "
            f"got {value!r:.80}"
        )
    return answer
