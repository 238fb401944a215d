"""Columns of base64 text as columns of images."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from beam_distilabel.errors import DistilabelUserError

if TYPE_CHECKING:
    from datasets import Dataset


def with_images(subsets: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """`subsets` with `columns` of base64 text, or data URLs, as `datasets.Image` columns.

    Raises:
        DistilabelUserError: no subset has the column, or a value isn't base64.
    """
    parts = {
        name: dict(subset) if isinstance(subset, dict) else {"": subset}
        for name, subset in subsets.items()
    }
    found = {
        column
        for splits in parts.values()
        for dataset in splits.values()
        for column in dataset.column_names
    }
    missing = [name for name in columns if name not in found]
    if missing:
        raise DistilabelUserError(
            f"transform_columns_to_image: no subset has the columns {missing}."
        )
    done: dict[str, Any] = {}
    for name, splits in parts.items():
        images = {split: _decoded(dataset, columns, name) for split, dataset in splits.items()}
        subset = subsets[name]
        done[name] = type(subset)(images) if isinstance(subset, dict) else images[""]
    return done


def _decoded(dataset: Dataset, columns: Sequence[str], subset: str) -> Dataset:
    from datasets import Features, Image

    columns = [
        name
        for name in columns
        if name in dataset.column_names and not isinstance(dataset.features[name], Image)
    ]
    if not columns:
        return dataset
    features = Features({**dataset.features, **{name: Image() for name in columns}})

    def decode(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        decoded = {}
        for name in columns:
            decoded[name] = [_image(value, name, subset) for value in batch[name]]
        return decoded

    return dataset.map(decode, batched=True, features=features)


def _image(value: Any, column: str, subset: str) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        data = value.partition(",")[2] if value.startswith("data:") else value
        return {"bytes": base64.b64decode(data, validate=True), "path": None}
    except (AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise DistilabelUserError(
            f"transform_columns_to_image: column {column!r} of subset {subset!r} holds "
            f"{str(value)[:40]!r}, which isn't base64."
        ) from error
