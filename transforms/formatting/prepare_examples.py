"""PrepareExamples: queries and answers as a text of examples."""

from __future__ import annotations

from string import Formatter
from typing import ClassVar

import pyarrow as pa
from pydantic import field_validator

from beam_distilabel.metadata import METADATA
from beam_distilabel.row import Row
from beam_distilabel.step import RowStep
from beam_distilabel.transforms.columns.values import check_equal_lengths, list_in
from beam_distilabel.typing import StepColumns


class PrepareExamples(RowStep):
    """Writes pairs of query and answers as one text, as APIGen's prompts want their examples.

    Its input is what `DataSampler` draws. Other columns are left out.

    Attributes:
        template: how a pair is written, with the placeholders `{query}` and `{answers}`.

    Input columns: `query`, `answers` (lists of the same length).
    Output columns: `examples`.

    Example:
        >>> step = PrepareExamples(template="{query} -> {answers}")
        >>> next(step.process([{"query": ["1+1", "2+2"], "answers": ["2", "4"]}]))
        [{'examples': '1+1 -> 2\\n\\n2+2 -> 4'}]
    """

    keeps_other_columns: ClassVar[bool] = False

    template: str = "## Query:\n{query}\n## Answers:\n{answers}"

    @field_validator("template")
    @classmethod
    def _has_the_placeholders(cls, template: str) -> str:
        try:
            parts = list(Formatter().parse(template))
        except ValueError as error:
            raise ValueError(
                f"{template!r} can't be read ({error}); write a brace that is meant as one twice."
            ) from None
        fields = {name for _, name, _, _ in parts if name is not None}
        # A template may come with a file: it names the two columns and reaches nothing else.
        if fields != {"query", "answers"} or any(spec or form for _, _, spec, form in parts):
            raise ValueError(
                f"{template!r} has the placeholders {sorted(fields)}; use {{query}} and "
                "{answers}, both and as they are, and write a brace that is meant as one twice."
            )
        return template

    @property
    def inputs(self) -> StepColumns:
        return ["query", "answers"]

    @property
    def outputs(self) -> StepColumns:
        return ["examples"]

    def output_schema(self) -> pa.Schema | None:
        return pa.schema([("examples", pa.string())])

    def transform_row(self, row: Row) -> Row:
        queries, answers = list_in(row, "query"), list_in(row, "answers")
        check_equal_lengths([("query", len(queries)), ("answers", len(answers))])
        written = [
            self.template.format(query=query, answers=answer)
            for query, answer in zip(queries, answers, strict=True)
        ]
        made: Row = {"examples": "\n\n".join(written)}
        if METADATA in row:
            made[METADATA] = row[METADATA]
        return made
