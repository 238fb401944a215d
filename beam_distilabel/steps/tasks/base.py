"""The Task base classes under the import path of distilabel 1.5."""

from beam_distilabel.task import GeneratorTask, GlobalTask, ImageTask, Task

__all__ = ["GeneratorTask", "GlobalTask", "ImageTask", "Task"]
