"""DataSampler: rows of values drawn from a list."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pydantic import Field, field_validator

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.row import Row, seed_from
from beam_distilabel.step import StepResult
from beam_distilabel.transforms.sources.load_data_from_dicts import LoadDataFromDicts


class DataSampler(LoadDataFromDicts):
    """Makes rows whose columns are lists of values, drawn with replacement from a list of dicts.

    For examples in prompts that differ from row to row: joined with another loader, row by row, of
    as many rows. What is drawn depends on the run's seed, the Step's name and the row's number: a
    run that is repeated draws the same. A dict that lacks a key gives None.

    Attributes:
        data: what to draw from, at least one dict; not serialized with the pipeline.
        size: how many values each list has; default is 2.
        samples: how many rows are made; default is 100.

    Output columns:
        the keys of all dicts, in order of first appearance.

    Example:
        >>> sampler = DataSampler(data=[{"word": "one"}, {"word": "two"}], size=3, samples=1)
        >>> [row], is_last = next(sampler.process())
        >>> len(row["word"]), set(row["word"]) <= {"one", "two"}, is_last
        (3, True, True)
    """

    # A pipeline that was loaded from a file has none: the default isn't checked.
    data: list[dict[str, Any]] = Field(
        default_factory=list, exclude=True, repr=False, validate_default=False
    )
    size: int = Field(
        default=2, ge=1, description="The number of values that are drawn for each row."
    )
    samples: int = Field(default=100, ge=0, description="The number of rows that are made.")

    @field_validator("data")
    @classmethod
    def _has_something_to_draw_from(cls, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not data:
            raise ValueError("it is empty; there has to be something to draw from.")
        return data

    def output_schema(self) -> pa.Schema | None:
        """None: the types of the values aren't known."""
        return None

    def count_rows(self) -> int | None:
        """How many rows the Step makes."""
        return self.samples

    def described_source(self) -> dict[str, Any] | None:
        """What is drawn from, as JSON-like facts for the record of a run."""
        return {"rows": self.samples, "drawn_from": len(self.data), "size": self.size}

    def apply_to(self, pbegin: Any) -> StepResult:
        """Draw the rows, and put them into the job graph, or stage them."""
        self._check_data()
        return super().apply_to(pbegin)

    def _data_rows(self) -> Iterator[Row]:
        self._check_data()
        columns = self.outputs
        for number in range(self.samples):
            draw = random.Random(seed_from(self._context.seed, self.name, number))
            drawn = draw.choices(self.data, k=self.size)
            yield {name: [item.get(name) for item in drawn] for name in columns}

    def _check_data(self) -> None:
        if not self.data:
            raise DistilabelUserError(
                f"{self._described()} has no data to draw from: a pipeline is serialized without "
                "it. Set the Step's `data`."
            )
