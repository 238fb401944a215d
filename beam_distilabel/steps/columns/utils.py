"""The functions behind Steps that join and merge, under the import path of distilabel 1.5."""

from beam_distilabel.metadata import merge_distilabel_metadata
from beam_distilabel.transforms.columns.group_columns import group_columns
from beam_distilabel.transforms.columns.merge_columns import merge_columns

__all__ = ["group_columns", "merge_columns", "merge_distilabel_metadata"]
