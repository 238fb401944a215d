"""APIGenSemanticChecker under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.api_gen_semantic_checker import APIGenSemanticChecker

__all__ = ["APIGenSemanticChecker"]
