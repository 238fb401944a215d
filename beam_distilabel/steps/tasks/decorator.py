"""`@task` under the import path of distilabel 1.5."""

from beam_distilabel.decorators import task

__all__ = ["task"]
