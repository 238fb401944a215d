"""TruncateTextColumn under the import path of distilabel 1.5."""

from beam_distilabel.transforms.columns.truncate_text_column import TruncateTextColumn

__all__ = ["TruncateTextColumn"]
