"""What is known of a pipeline's columns before it runs: which are read, which models are asked
about, and of which type they are.

All follow columns by name through the graph, mappings included. What a Step of a user's own reads
can't be known, nor what it makes; the Steps of this package read what they declare.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from beam_distilabel.metadata import METADATA
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.row import RESERVED
from beam_distilabel.schema.features import features_of, with_features
from beam_distilabel.step import column_flags
from beam_distilabel.task import _Task
from beam_distilabel.transforms.columns.keep_columns import KeepColumns
from beam_distilabel.transforms.sources.loader import FileLoader, renamed

_OURS = "beam_distilabel.transforms."
_SINKS = "beam_distilabel.transforms.sinks."

Names = frozenset[str] | None
"""Columns by name; None means all, whatever there are."""


# --- which columns are read -----------------------------------------------------------------------


def columns_to_read(graph: Graph) -> dict[str, Names]:
    """Per generator, the columns that it has to read, by its own names for them; None for all.

    A column is left out only where every path to every leaf passes a `KeepColumns` without it, and
    no Step before that may read it. Steps of this package read the columns that they declare; a
    Step of a user's own may read all.

    Args:
        graph: a validated graph; nothing is read, and nothing is set.
    """
    sent: dict[str, Names] = {}
    for name in reversed(graph.in_order()):
        # A leaf's rows are written as they are.
        successors = [
            _received(graph.steps[other], sent[other]) for other in graph.successors(name)
        ]
        if name in graph.routers:
            successors.append(graph.routers[name].columns)
        sent[name] = _union(successors) if successors else None
    return {
        name: _as_read(step, sent[name]) for name, step in graph.steps.items() if step.is_generator
    }


def prune_columns(graph: Graph) -> dict[str, Names]:
    """Make the loaders of `graph` leave unread what `columns_to_read` leaves out.

    Args:
        graph: the run's own copies of the Steps, validated.

    Returns:
        What `columns_to_read` says.
    """
    needed = columns_to_read(graph)
    for name, columns in needed.items():
        step = graph.steps[name]
        if isinstance(step, FileLoader):
            step.read_only(columns)
    return needed


def _received(step: Any, sent: Names) -> Names:
    """The columns of a Step's input that matter, given those of its output that do."""
    if not _is_ours(step) or _draws_per_row(step):
        return None
    mapped = {*step.input_mappings, *step.input_mappings.values()}
    own = {*step.get_inputs(), *column_flags(step.inputs), *mapped, METADATA}
    if not step.keeps_other_columns:
        return frozenset(own)
    if sent is None:
        return None
    # A column that the Step overwrites is kept too: a row that fails may still have the old one.
    renamed_to = {made for made, wanted in step.output_mappings.items() if wanted in sent}
    return frozenset(own | renamed_to | sent)


def _as_read(step: Any, sent: Names) -> Names:
    """The columns of rows that a generator sends, by the names under which it reads them."""
    if sent is None or not isinstance(step, FileLoader) or not _is_ours(step):
        return None
    mappings: Mapping[str, str] = step.output_mappings
    plain = {name for name in sent if mappings.get(name, name) in sent}
    return frozenset(plain | {made for made, wanted in mappings.items() if wanted in sent})


def _union(columns: Iterable[Names]) -> Names:
    found: frozenset[str] = frozenset()
    for names in columns:
        if names is None:
            return None
        found |= names
    return found


def _draws_per_row(step: Any) -> bool:
    """Whether every row is a draw of its own for `step`, by all of its columns."""
    return isinstance(step, _Task) and step.draws_per_row


def _is_ours(step: Any) -> bool:
    """Whether the code of `step` is this package's own, and reads what it declares: no sink."""
    module = type(step).__module__
    return module.startswith(_OURS) and not module.startswith(_SINKS)


# --- which columns a model is asked about ---------------------------------------------------------


def asked_columns(graph: Graph) -> dict[str, Names]:
    """Per generator, the columns that decide what Tasks ask; none without a Task, None for all.

    A Task asks about the columns that it declares. Of what those are made of, Steps of this package
    read the columns that they declare; a Step of a user's own may read all.

    Args:
        graph: a validated graph; nothing is read, and nothing is set.
    """
    after = _asked_after(graph)
    return {name: after[name] for name, step in graph.steps.items() if step.is_generator}


def routed_columns(graph: Graph) -> dict[str, Names]:
    """Per Step with a router, the columns of its rows that decide what Tasks below it ask; None for
    all, also where there is no Task.

    Args:
        graph: a validated graph; nothing is read, and nothing is set.
    """
    if not graph.routers:
        return {}
    after = _asked_after(graph)
    return {name: after[name] or None for name in graph.routers}


def _asked_after(graph: Graph) -> dict[str, Names]:
    """Per Step, the columns of what it sends on that decide what Tasks below it ask."""
    needed: dict[str, Names] = {}
    sent: dict[str, Names] = {}
    for name in reversed(graph.in_order()):
        step = graph.steps[name]
        sent[name] = _union(needed[other] for other in graph.successors(name))
        needed[name] = sent[name] if step.is_generator else _asked(step, sent[name])
    return sent


def number_by_prompts(graph: Graph) -> None:
    """Make the Steps of `graph` tell rows apart (`DRAW`) that would be asked about alike: those of
    one source, and those that are made of one row.

    Rows that differ in a column that no prompt has, an id say, would get the same answer otherwise.

    Args:
        graph: this application's own copies of the Steps, validated.
    """
    for name, columns in _asked_after(graph).items():
        graph.steps[name]._draw_columns = tuple(sorted(columns)) if columns else None


def _asked(step: Any, after: Names) -> Names:
    """The columns of a Step's input that decide what it and those after it ask."""
    if after is None or _draws_per_row(step):
        return None
    own, made = {*step.get_inputs()}, {*step.get_outputs()}
    if isinstance(step, _Task):
        return frozenset((own | (after - made)) - {METADATA})
    passes_on = isinstance(step, KeepColumns) or type(step).__module__.startswith(_SINKS)
    if not after or passes_on:
        return after
    if not _is_ours(step):
        return None
    if not step.keeps_other_columns:
        return frozenset(own)
    return frozenset(own | (after - made)) if after & made else after


# --- of which type they are -----------------------------------------------------------------------


class Column(NamedTuple):
    """What is known of a column.

    Attributes:
        type: an Arrow type, null where it isn't known.
        feature: of `datasets`, as JSON.
        hint: what the rows that a graph receives were said to have, passed on as it is.
    """

    type: pa.DataType
    feature: Any = None
    hint: Any = None


UNKNOWN = Column(pa.null())


class KnownRows(NamedTuple):
    """What is known of a Step's rows: columns by name, and whether there may be others."""

    columns: dict[str, Column]
    has_others: bool


def subset_schemas(graph: Graph) -> dict[str, pa.Schema]:
    """Per subset, the columns of its rows as far as they are known, for `WriteDistiset(schemas=)`.

    A column has the type and the feature that the Step declares which makes it. Other Steps are
    taken to pass it on; `KeepColumns` restricts, mappings rename. A column that a Step makes
    without a type, or that branches which meet don't agree on, is of type null: unknown.

    Args:
        graph: a validated graph; loaders look into their data.
    """
    sent = sent_schemas(graph)
    return {subset: sent[leaf] for leaf, subset in graph.subsets().items()}


def sent_schemas(graph: Graph) -> dict[str, pa.Schema]:
    """Per Step, what `subset_schemas` says of a subset, of the rows that it sends on."""
    return {name: _schema(known.columns) for name, known in known_rows(graph).items()}


def known_rows(graph: Graph, received: KnownRows | None = None) -> dict[str, KnownRows]:
    """Per Step, what is known of the rows that it sends on.

    Args:
        graph: a validated graph; loaders look into their data.
        received: what is known of the rows that the graph is given; None for nothing.
    """
    rows: dict[str, KnownRows] = {}
    for name in graph.in_order():
        step = graph.steps[name]
        before = [rows[other] for other in graph.predecessors(name)]
        if not before and received is not None:
            before = [received]
        rows[name] = rows_sent(step, before)
    return rows


def rows_sent(step: Any, before: Sequence[KnownRows]) -> KnownRows:
    """What is known of the rows that a Step sends on, given those of its predecessors."""
    return _loaded(step) if step.is_generator else _passed(step, _joined(before))


def _loaded(step: Any) -> KnownRows:
    made = _made(step)
    mapped = (
        renamed(made, step.output_mappings) if _is_ours(step) else step._map_outputs(made, None)
    )
    return KnownRows(_visible(mapped), has_others=not made)


def _passed(step: Any, before: KnownRows) -> KnownRows:
    source: dict[str, Any] = dict(before.columns)
    if before.has_others:
        for name in step.input_mappings.values():
            source.setdefault(name, UNKNOWN)
    row = step._map_inputs(source)
    if isinstance(step, KeepColumns):
        kept = {name: row.get(name, UNKNOWN) for name in step.columns}
        after = {**kept, **({METADATA: row[METADATA]} if METADATA in row else {})}
    elif step.keeps_other_columns:
        after = {name: column for name, column in row.items() if name not in step._removed_columns}
        after |= _made(step)
        types = {name: column.type for name, column in row.items()}
        for name, kind in step._types_made_of(types).items():
            after[name] = Column(kind)
    else:
        after = _made(step)
    mapped = step._map_outputs(after, source)
    return KnownRows(_visible(mapped), before.has_others and step.keeps_other_columns)


def _made(step: Any) -> dict[str, Any]:
    """The columns that a Step declares to make, before mappings."""
    schema = step.output_schema()
    features = features_of(schema) if schema is not None else {}
    types = {field.name: field.type for field in schema} if schema is not None else {}
    # Also what `get_outputs` adds by itself, a Task's metadata say.
    known = {step.output_mappings.get(name, name) for name in column_flags(step.outputs)}
    names = [*column_flags(step.outputs), *(n for n in step.get_outputs() if n not in known)]
    return {
        name: Column(types[name], features.get(name)) if name in types else UNKNOWN
        for name in dict.fromkeys([*names, *types])
    }


def _joined(branches: Sequence[KnownRows]) -> KnownRows:
    """The rows of a Step with several predecessors; of one without any, rows from outside."""
    if not branches:
        return KnownRows({}, has_others=True)
    names = dict.fromkeys(name for branch in branches for name in branch.columns)
    columns = {}
    for name in names:
        found = [
            branch.columns.get(name, UNKNOWN)
            for branch in branches
            if name in branch.columns or branch.has_others
        ]
        columns[name] = found[0] if all(column == found[0] for column in found) else UNKNOWN
    return KnownRows(columns, any(branch.has_others for branch in branches))


def _visible(row: Mapping[str, Any]) -> dict[str, Column]:
    return {name: column for name, column in row.items() if name not in RESERVED}


def _schema(columns: Mapping[str, Column]) -> pa.Schema:
    schema = pa.schema([(name, column.type) for name, column in columns.items()])
    features = {n: column.feature for n, column in columns.items() if column.feature is not None}
    return with_features(schema, features)


# --- where rows come from -------------------------------------------------------------------------


def described_sources(graph: Graph) -> dict[str, dict[str, Any]]:
    """Loader to what it reads, as JSON-like facts without secrets, for the record of a run."""
    found = {}
    for name, step in graph.steps.items():
        facts = step.described_source() if step.is_generator else None
        if facts is not None:
            found[name] = facts
    return found


def source_bytes(graph: Graph) -> int | None:
    """The size of what all loaders read, None where one doesn't know: it reads only a part, say."""
    total = 0
    for step in graph.steps.values():
        if step.is_generator:
            size = step.source_bytes()
            if size is None:
                return None
            total += size
    return total


__all__ = [
    "Column",
    "KnownRows",
    "asked_columns",
    "columns_to_read",
    "described_sources",
    "known_rows",
    "number_by_prompts",
    "prune_columns",
    "routed_columns",
    "rows_sent",
    "sent_schemas",
    "source_bytes",
    "subset_schemas",
]
