"""Declared columns: Arrow types, and the features of `datasets` that go with them.

A schema carries features as `datasets` writes them: JSON under the metadata key `huggingface`. A
feature is worth something only while its column has the feature's own storage type, so every
function here keeps a feature exactly as long as that holds.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from beam_distilabel.schema.types import is_list, storage_type

FEATURES_KEY = b"huggingface"
"""The key of a schema's metadata under which `datasets` keeps features."""

_log = logging.getLogger(__name__)


def declared_schema(schema: pa.Schema) -> pa.Schema:
    """What `schema`, of a file or of a dataset's features, says of the columns of its rows.

    Types are those of the values that rows have: without dictionaries, extensions and views; a
    type that rows don't keep (a map, a union) is null, which stands for an unknown one. Of the
    metadata the features are left whose storage type is their column's.

    What can't stay, because rows are Python objects and files are Parquet:

    - `Array2D` to `Array5D` become lists of lists, `Json` becomes its text.
    - Parquet has neither seconds nor `date64`: a file gives `timestamp[s]` and `time32[s]` back in
      milliseconds and `date64` as `date32`. `datasets` then reads a file by those types.
    - Nanoseconds of a time of day: Python has microseconds, so the rest is gone before a row is
      made. The same holds for durations and timestamps unless pandas is there, whose objects stand
      in for Python's.
    - Maps, unions and lists of views are read as Python has them, and typed by their values.

    Example:
        >>> declared_schema(pa.schema([("a", pa.dictionary(pa.int8(), pa.string()))])).field("a")
        pyarrow.Field<a: string>
    """
    types = {field.name: plain_type(field.type) for field in schema}
    features = {
        name: feature
        for name, feature in features_of(schema).items()
        if name in types and type_of_feature(feature) == types[name]
    }
    return with_features(pa.schema(list(types.items())), features)


def plain_type(kind: Any) -> pa.DataType:
    """The type of what Python sees in an array of type `kind`; null where rows don't keep it."""
    types = pa.types
    if types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if types.is_struct(kind):
        fields = [pa.field(field.name, _below(plain_type(field.type))) for field in kind]
        # Without a part of it the values wouldn't fit.
        lost = any(
            types.is_null(plain.type) and not types.is_null(field.type)
            for plain, field in zip(fields, kind, strict=True)
        )
        return pa.null() if lost or not fields else pa.struct(fields)
    if is_list(kind):
        item = _below(plain_type(kind.value_type))
        if types.is_null(item) and not types.is_null(kind.value_type):
            return pa.null()
        if types.is_fixed_size_list(kind):
            return pa.list_(item, kind.list_size)
        return pa.large_list(item) if types.is_large_list(kind) else pa.list_(item)
    if types.is_string_view(kind):
        return pa.string()
    if types.is_binary_view(kind):
        return pa.binary()
    return pa.null() if types.is_nested(kind) else kind


def _below(kind: Any) -> pa.DataType:
    """`kind` where it lies in another type: there nobody looks whether a list of a size is null."""
    return pa.list_(kind.value_type) if pa.types.is_fixed_size_list(kind) else kind


def type_of_feature(feature: Any) -> pa.DataType | None:
    """The type of a feature's column, given as JSON.

    None where `datasets` doesn't know the feature, or knows it by an extension type of its own
    (`Array2D`), which columns of plain types don't have.
    """
    import datasets

    try:
        schema = datasets.Features.from_dict({"column": feature}).arrow_schema
    except Exception as error:  # whatever a newer version's JSON does to this one
        _log.debug("A feature is left out, %s: %r", error, feature)
        return None
    kind = schema.field(0).type
    return kind if plain_type(kind).equals(kind) else None


def features_of(schema: pa.Schema) -> dict[str, Any]:
    """Column name to feature, as JSON; empty where the metadata has none that can be read.

    Example:
        >>> schema = pa.schema([("a", pa.int64())])
        >>> features_of(with_features(schema, {"a": {"dtype": "int64", "_type": "Value"}}))
        {'a': {'dtype': 'int64', '_type': 'Value'}}
    """
    try:
        features = json.loads((schema.metadata or {})[FEATURES_KEY])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return dict(features) if isinstance(features, Mapping) else {}


def with_features(schema: pa.Schema, features: Mapping[str, Any]) -> pa.Schema:
    """`schema` with these features alone, given as JSON by column; other metadata is kept."""
    metadata = dict(schema.metadata or {})
    metadata.pop(FEATURES_KEY, None)
    if features:
        metadata[FEATURES_KEY] = json.dumps({"info": {"features": dict(features)}}).encode()
    return schema.with_metadata(metadata) if metadata else schema.remove_metadata()


def fit_features(
    schema: pa.Schema, declared: pa.Schema | None, written: Iterable[pa.Schema] = ()
) -> pa.Schema:
    """`schema` with the metadata of `declared`, less the features that its columns don't fit.

    Args:
        schema: logical types that were found, or unified.
        declared: the columns as they were declared: the types of its features.
        written: the schemas that `schema` unifies, each with the features that its own values fit:
            a feature that one of them has lost is lost for all.
    """
    if declared is None:
        return schema
    types = {field.name: storage_type(field.type) for field in schema}
    lost: set[str] = set()
    for part in written:
        lost.update(set(part.names) - features_of(part).keys())
    features = {
        name: feature
        for name, feature in features_of(declared).items()
        if name in types
        and name not in lost
        and declared.get_field_index(name) >= 0
        and storage_type(declared.field(name).type).equals(types[name])
    }
    return with_features(schema.with_metadata(declared.metadata), features)


def labels_fit(feature: Any, array: Any) -> bool:
    """Whether every `ClassLabel` in `feature`, given as JSON, has a name for what `array` holds.

    As in `datasets`, -1 and null stand for no label.

    Example:
        >>> label = {"names": ["no", "yes"], "_type": "ClassLabel"}
        >>> labels_fit(label, pa.array([0, 1, -1, None])), labels_fit(label, pa.array([2]))
        (True, False)
    """
    if isinstance(array, pa.ChunkedArray):
        return all(labels_fit(feature, chunk) for chunk in array.chunks)
    if isinstance(feature, list):  # how older versions write a list
        feature = {"_type": "List", "feature": feature[0]} if feature else {}
    if not isinstance(feature, Mapping):
        return True
    kind = feature.get("_type")
    if kind == "ClassLabel":
        names = feature.get("names")
        if not isinstance(names, list) or not pa.types.is_integer(array.type):
            return True
        bounds = pc.min_max(array)
        low, high = bounds["min"].as_py(), bounds["max"].as_py()
        return low is None or (low >= -1 and high < len(names))
    if is_list(array.type):
        return labels_fit(feature.get("feature"), array.flatten())
    if pa.types.is_struct(array.type):
        fields = zip(array.type, array.flatten(), strict=True)
        inner = feature.get("feature")
        if isinstance(kind, str) and isinstance(inner, Mapping):  # a struct of lists
            feature = {name: {"_type": "List", "feature": item} for name, item in inner.items()}
        return all(labels_fit(feature.get(field.name), part) for field, part in fields)
    return True
