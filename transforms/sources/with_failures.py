"""What sources that aren't Steps share: rows, and the failures of what can't become a row."""

from __future__ import annotations

from typing import Any

import apache_beam as beam

from beam_distilabel.step import StepResult

ROWS = "rows"
FAILURES = "failures"


class RowsAndFailures(beam.PTransform):
    """A PTransform that gives rows; `with_failures()` gives their failures, too.

    Subclasses define `apply_to`.
    """

    def apply_to(self, pcoll: Any) -> StepResult:
        """Apply the transform inside of `expand`: rows and failures."""
        raise NotImplementedError

    def expand(self, pcoll: Any) -> Any:
        return self.apply_to(pcoll).rows

    def with_failures(self) -> beam.PTransform:
        """This transform with two outputs: `{"rows": ..., "failures": ...}`."""
        return _Both(self)


class _Both(beam.PTransform):
    def __init__(self, transform: RowsAndFailures) -> None:
        super().__init__()
        self._transform = transform

    def default_label(self) -> str:
        return str(self._transform.default_label())

    def expand(self, pcoll: Any) -> dict[str, Any]:
        result = self._transform.apply_to(pcoll)
        return {ROWS: result.rows, FAILURES: result.failures}
