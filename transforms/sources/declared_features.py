"""Whether files have the features already that a repository's card declares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from beam_distilabel.schema.features import plain_type
from beam_distilabel.schema.types import is_bytes, is_list, is_text


def have_features(schemas: Iterable[pa.Schema | None], declared: pa.Schema) -> bool:
    """Whether rows read by the files' own types are those that the declared features make.

    Args:
        schemas: of every file, None of one whose type has none.
        declared: the Arrow schema of the features.
    """
    names = sorted(declared.names)
    return all(
        schema is not None
        and sorted(schema.names) == names
        and all(_is_kept(f.type, declared.field(f.name).type) for f in schema)
        for schema in schemas
    )


def _is_kept(stored: Any, declared: Any) -> bool:
    """Whether values of the type `stored` are the same once they are cast to `declared`."""
    types = pa.types
    if stored.equals(declared):
        return True
    stored, declared = plain_type(stored), plain_type(declared)
    if types.is_null(stored) or stored.equals(declared):
        return True
    if types.is_struct(stored) and types.is_struct(declared):
        children = {field.name: field.type for field in stored}
        return sorted(children) == sorted(field.name for field in declared) and all(
            _is_kept(children[field.name], field.type) for field in declared
        )
    if is_list(stored) and is_list(declared):
        if types.is_fixed_size_list(declared):
            return False
        return _is_kept(stored.value_type, declared.value_type)
    if types.is_integer(stored) and types.is_integer(declared):
        signed = types.is_signed_integer
        if signed(stored) == signed(declared):
            return bool(stored.bit_width <= declared.bit_width)
        return bool(signed(declared) and stored.bit_width < declared.bit_width)
    if types.is_floating(stored) and types.is_floating(declared):
        return bool(stored.bit_width <= declared.bit_width)
    return (is_text(stored) and is_text(declared)) or (is_bytes(stored) and is_bytes(declared))


__all__ = ["have_features"]
