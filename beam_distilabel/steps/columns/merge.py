"""MergeColumns under the import path of distilabel 1.5."""

from beam_distilabel.transforms.columns.merge_columns import MergeColumns

__all__ = ["MergeColumns"]
