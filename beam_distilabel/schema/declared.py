"""Rows whose columns were declared before anyone saw them: a declaration is a hint."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa

from beam_distilabel.schema.encoding import encode_rows
from beam_distilabel.schema.features import (
    features_of,
    fit_features,
    labels_fit,
    with_features,
)


class DeclaredColumns:
    """Encodes rows block by block under a declared schema, as far as the rows keep to it.

    A Step that nobody knows may have left a declared column out, or changed it. So a column is
    declared from the first row on that has it, and no longer once a value doesn't fit; from then on
    its type is inferred, as if it had never been declared. A `ClassLabel` with a value that is none
    of its labels loses that feature, and keeps its type. Every column is judged on its own.

    Args:
        schema: the declared columns, with their features; None declares nothing.

    Example:
        >>> declared = DeclaredColumns(pa.schema([("a", pa.int32()), ("b", pa.int32())]))
        >>> declared.encode([{"b": "one"}, {"a": 2, "b": "two"}])[1]
        b: string
        a: int32
    """

    def __init__(self, schema: pa.Schema | None) -> None:
        self._schema = schema
        self._unseen = {f.name: f.type for f in schema or () if not pa.types.is_null(f.type)}
        self._seen: dict[str, pa.DataType] = {}
        self._with_values: set[str] = set()
        self._unfit: set[str] = set()

    def encode(
        self,
        rows: Sequence[dict[Any, Any]],
        known: pa.Schema | None = None,
        drop: Collection[str] = (),
    ) -> tuple[pa.Table, pa.Schema]:
        """As `encode_rows`; the schema has the features that its columns fit.

        Args:
            rows: the next ones.
            known: the schema that this returned for the rows before.
            drop: columns to leave out.
        """
        if not self._seen and not self._unseen:
            table, schema = encode_rows(rows, known, drop=drop)
            return table, self._fit_features(table, schema)
        if self._unseen:
            for name in dict.fromkeys(name for row in rows for name in row):
                if name in self._unseen and name not in drop:
                    self._seen[name] = self._unseen.pop(name)
        known = self._without_null_arrays(rows, known)
        table, schema = encode_rows(rows, known, self._declared(), drop)
        misfits = [n for n, kind in self._seen.items() if not schema.field(n).type.equals(kind)]
        if misfits:
            table, schema = self._inferred(misfits, rows, known, table, schema)
        for name in self._seen:
            if name not in self._with_values and table.column(name).null_count < len(rows):
                self._with_values.add(name)
        earlier = known.names if known is not None else []
        if schema.names != earlier:
            # In the order of the rows, and not declared columns first.
            names = (name for row in rows for name in row)
            wanted = dict.fromkeys([*earlier, *names, *schema.names])
            order = [schema.get_field_index(name) for name in wanted if name in schema.names]
            table, schema = table.select(order), pa.schema([schema.field(i) for i in order])
        return table, self._fit_features(table, schema)

    def _inferred(
        self,
        names: Sequence[str],
        rows: Sequence[dict[Any, Any]],
        known: pa.Schema | None,
        table: pa.Table,
        schema: pa.Schema,
    ) -> tuple[pa.Table, pa.Schema]:
        """`table` and `schema` with these columns as if they had never been declared.

        The others stay as they are: what one column holds says nothing of another.
        """
        for name in names:
            del self._seen[name]
        # Where rows before had no value, the type was the declaration's alone.
        past = [f for f in known or () if f.name in names and f.name in self._with_values]
        others = [name for name in schema.names if name not in names]
        columns, kinds = encode_rows(rows, pa.schema(past), drop=others)
        for name in names:
            position = schema.get_field_index(name)
            schema = schema.set(position, kinds.field(name))
            stored = columns.schema.field(name)
            table = table.set_column(position, stored, columns.column(name))
        return table, schema

    def _fit_features(self, table: pa.Table, schema: pa.Schema) -> pa.Schema:
        """As the function of this name; a feature that a value didn't fit is gone for good."""
        fitting = fit_features(schema, self._schema)
        features = features_of(fitting)
        for name, feature in features.items():
            if name not in self._unfit and not labels_fit(feature, table.column(name)):
                self._unfit.add(name)
        if self._unfit.isdisjoint(features):
            return fitting
        kept = {name: feature for name, feature in features.items() if name not in self._unfit}
        return with_features(fitting, kept)

    def _without_null_arrays(
        self, rows: Sequence[dict[Any, Any]], known: pa.Schema | None
    ) -> pa.Schema | None:
        """`known`, with lists in place of the lists of fixed size of which `rows` lack one.

        Arrow writes null ones to Parquet, and can't read them again.
        """
        for name, kind in self._seen.items():
            if pa.types.is_fixed_size_list(kind) and any(row.get(name) is None for row in rows):
                self._seen[name] = pa.list_(kind.value_type)
                position = -1 if known is None else known.get_field_index(name)
                if known is not None and position >= 0:
                    known = known.set(position, pa.field(name, self._seen[name]))
        return known

    def _declared(self) -> pa.Schema:
        return pa.schema(list(self._seen.items()))
