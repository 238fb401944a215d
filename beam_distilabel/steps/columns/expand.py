"""ExpandColumns under the import path of distilabel 1.5."""

from beam_distilabel.transforms.columns.expand_columns import ExpandColumns

__all__ = ["ExpandColumns"]
