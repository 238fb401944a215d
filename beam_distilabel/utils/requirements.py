"""The decorator `requirements` under the import path of distilabel 1.5."""

from beam_distilabel.requirements import requirements

__all__ = ["requirements"]
