"""One Arrow schema for rows that were written apart: inference, unification, conversion. Pure.

Types are inferred by pyarrow, column by column; only a column that pyarrow refuses, or that it
would coerce silently (text among bytes, dates among datetimes), is walked value by value.

Two types unify to the smallest type that holds both: `null + T = T`; `bool + int = int`;
`int + float = float`; structs unite their fields; lists unify their items. What has no such type
(text and numbers, a struct and a list, an integer beyond 64 bits) becomes JSON text: the logical
type `JSON`, stored as a string. The rules are associative and commutative but for the order of
fields, so the schema depends neither on the order of rows nor on how they were cut into batches.

What changes on the way, and nothing else: `{}` becomes null (Parquet has no struct without fields)
or a struct of nulls; keys missing from some rows become null; an integer among floats becomes the
nearest float and a bool among numbers 0 or 1; keys that aren't text become text; a lone surrogate
becomes its escape, as in `"\\ud800"`; tuples, sets and arrays become lists; a dict of more than
`MAX_FIELDS` keys, and what lies deeper than `MAX_DEPTH` levels, becomes JSON text. In JSON text
bytes are base64, and the numbers that JSON lacks are the strings `"NaN"`, `"Infinity"` and
`"-Infinity"`.
"""

from beam_distilabel.schema.conversion import convert, convert_table
from beam_distilabel.schema.encoding import encode_column, encode_rows
from beam_distilabel.schema.inference import first_json_row, type_of
from beam_distilabel.schema.json_text import to_json
from beam_distilabel.schema.types import (
    JSON,
    MAX_DEPTH,
    MAX_FIELDS,
    PLACEHOLDER,
    json_paths,
    storage_schema,
    storage_type,
)
from beam_distilabel.schema.unification import unify_schemas, unify_types

__all__ = [
    "JSON",
    "MAX_DEPTH",
    "MAX_FIELDS",
    "PLACEHOLDER",
    "convert",
    "convert_table",
    "encode_column",
    "encode_rows",
    "first_json_row",
    "json_paths",
    "storage_schema",
    "storage_type",
    "to_json",
    "type_of",
    "unify_schemas",
    "unify_types",
]
