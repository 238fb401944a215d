"""Tasks under distilabel's import path."""

from beam_distilabel.decorators import task
from beam_distilabel.task import GeneratorTask, GlobalTask, ImageTask, Task
from beam_distilabel.transforms.formatting.format_prm import FormatPRM
from beam_distilabel.transforms.tasks.magpie import Magpie, MagpieGenerator
from beam_distilabel.transforms.tasks.prometheus_eval import PrometheusEval
from beam_distilabel.transforms.tasks.structured_generation import StructuredGeneration
from beam_distilabel.transforms.tasks.text_generation import ChatGeneration, TextGeneration
from beam_distilabel.transforms.tasks.text_generation_with_image import TextGenerationWithImage
from beam_distilabel.typing import ChatItem, ChatType

__all__ = [
    "ChatGeneration",
    "ChatItem",
    "ChatType",
    "FormatPRM",
    "GeneratorTask",
    "GlobalTask",
    "ImageTask",
    "Magpie",
    "MagpieGenerator",
    "PrometheusEval",
    "StructuredGeneration",
    "Task",
    "TextGeneration",
    "TextGenerationWithImage",
    "task",
]
