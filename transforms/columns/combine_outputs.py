"""CombineOutputs: the columns of several branches in one row."""

from __future__ import annotations

from collections.abc import Sequence

from beam_distilabel.metadata import merge_rows
from beam_distilabel.row import Row
from beam_distilabel.step import JoinStep


class CombineOutputs(JoinStep):
    """Makes one row of what several predecessors made of it, with the columns of all.

    Rows belong together by their ids, whatever the batches; where a router chose some of the
    branches, the row has the columns of those. Of a column that several have the last predecessor's
    value stays; `distilabel_metadata` has the entries of all.

    Input columns: any.
    Output columns: those of all predecessors.

    Example:
        >>> next(CombineOutputs().process([{"a": 1, "b": 2}], [{"b": 3, "c": 4}]))
        [{'a': 1, 'b': 3, 'c': 4}]
    """

    def join_rows(self, rows: Sequence[Row]) -> Row:
        return merge_rows(rows)
