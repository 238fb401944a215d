"""PrepareExamples and load_module_from_path under the import path of distilabel 1.5."""

from beam_distilabel.transforms.formatting.prepare_examples import PrepareExamples
from beam_distilabel.transforms.tasks.function_host import load_module_from_path

__all__ = ["PrepareExamples", "load_module_from_path"]
