"""GroupColumns under the import path of distilabel 1.5."""

from beam_distilabel.transforms.columns.group_columns import GroupColumns

__all__ = ["GroupColumns"]
