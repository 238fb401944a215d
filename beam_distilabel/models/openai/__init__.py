"""Endpoints that speak OpenAI's protocol."""

from beam_distilabel.models.openai.llm import OpenAILLM

__all__ = ["OpenAILLM"]
