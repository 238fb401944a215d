"""`@step` under the import path of distilabel 1.5."""

from beam_distilabel.decorators import step

__all__ = ["step"]
