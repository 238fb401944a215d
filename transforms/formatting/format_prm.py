"""FormatPRM: solutions with a verdict per step, for training a process reward model."""

from __future__ import annotations

from typing import Literal, NamedTuple

import pyarrow as pa
from pydantic import field_validator

from beam_distilabel.errors import ColumnError
from beam_distilabel.row import Row
from beam_distilabel.step import RowStep
from beam_distilabel.transforms.columns.values import described, list_in, named_once, text_in
from beam_distilabel.typing import StepColumns


class FormatPRM(RowStep):
    """Makes training data for a process reward model of a solution whose steps end with a verdict.

    Of a row with several solutions `ExpandColumns` makes a row of each first. The form
    "math-shepherd" is that of the paper (https://arxiv.org/abs/2312.08935), "trl" that of TRL's
    stepwise supervision.

    Attributes:
        format: "math-shepherd" (the default) or "trl".
        step_token: what stands for the verdict in `input`; default is that of the paper.
        tags: what the steps end with: the tag of a good step, then that of a bad one.

    Input columns: `instruction`, `solutions` (the steps of one solution).
    Output columns: `input` and `label` (texts) of "math-shepherd"; `prompt`, `completions` (the
        steps without their tags) and `labels` (whether each is good) of "trl".

    Example:
        >>> step = FormatPRM(format="trl")
        >>> row = {"instruction": "1+1+1?", "solutions": ["Step 1: 1+1=2 +", "Step 2: 2+1=4 -"]}
        >>> [done] = next(step.process([row]))
        >>> done["completions"], done["labels"]
        (['Step 1: 1+1=2', 'Step 2: 2+1=4'], [True, False])
    """

    format: Literal["math-shepherd", "trl"] = "math-shepherd"
    step_token: str = "ки"
    tags: list[str] = ["+", "-"]

    @field_validator("tags")
    @classmethod
    def _two_tags(cls, tags: list[str]) -> list[str]:
        named_once(tags)
        if len(tags) != 2:
            raise ValueError(
                f"{tags!r} has {len(tags)} tags; name two, that of good steps and that of bad ones."
            )
        return tags

    @property
    def inputs(self) -> StepColumns:
        return ["instruction", "solutions"]

    @property
    def outputs(self) -> StepColumns:
        if self.format == "math-shepherd":
            return ["input", "label"]
        return ["prompt", "completions", "labels"]

    def output_schema(self) -> pa.Schema | None:
        types = {
            "completions": pa.list_(pa.string()),
            "labels": pa.list_(pa.bool_()),
        }
        return pa.schema([(name, types.get(name, pa.string())) for name in self.outputs])

    def transform_row(self, row: Row) -> Row:
        instruction = text_in(row, "instruction")
        steps = list_in(row, "solutions")
        if not steps:
            raise ColumnError("the column 'solutions' has no steps")
        verdicts = [self._verdict(number, step) for number, step in enumerate(steps)]
        if self.format == "trl":
            return {
                **row,
                "prompt": instruction,
                "completions": [verdict.text.strip() for verdict in verdicts],
                "labels": [verdict.is_good for verdict in verdicts],
            }
        asked = "\n".join(verdict.text + self.step_token for verdict in verdicts)
        return {
            **row,
            "input": f"{instruction} {asked}",
            "label": f"{instruction} " + "\n".join(steps),
        }

    def _verdict(self, number: int, step: object) -> _Verdict:
        if not isinstance(step, str):
            hint = "; expand it by ExpandColumns" if isinstance(step, list) else ""
            raise ColumnError(
                f"item {number} of the column 'solutions' is {described(step)}, not a text{hint}"
            )
        # Of two tags that both fit, the longer one is meant.
        for tag in sorted(self.tags, key=len, reverse=True):
            if step.endswith(tag):
                return _Verdict(step.removesuffix(tag), tag == self.tags[0])
        raise ColumnError(
            f"step {number} of the column 'solutions' ends with none of the tags {self.tags}: "
            f"{step[-40:]!r}"
        )


class _Verdict(NamedTuple):
    """A step without its tag, and whether that says it is good."""

    text: str
    is_good: bool
