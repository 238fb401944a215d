"""DeitaFiltering under the import path of distilabel 1.5."""

from beam_distilabel.transforms.filtering.deita_filtering import DeitaFiltering

__all__ = ["DeitaFiltering"]
