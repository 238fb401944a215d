"""APIGenExecutionChecker under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.api_gen_execution_checker import APIGenExecutionChecker

__all__ = ["APIGenExecutionChecker"]
