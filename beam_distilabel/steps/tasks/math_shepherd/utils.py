"""FormatPRM under the import path of distilabel 1.5."""

from beam_distilabel.transforms.formatting.format_prm import FormatPRM

__all__ = ["FormatPRM"]
