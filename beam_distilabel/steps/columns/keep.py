"""KeepColumns under the import path of distilabel 1.5."""

from beam_distilabel.transforms.columns.keep_columns import KeepColumns

__all__ = ["KeepColumns"]
