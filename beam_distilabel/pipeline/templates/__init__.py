"""Pipelines that are ready to run."""

from beam_distilabel.pipeline.templates.instruction import InstructionResponsePipeline

__all__ = ["InstructionResponsePipeline"]
