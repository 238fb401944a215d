"""MixtureOfAgentsLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.mixture_of_agents import MixtureOfAgentsLLM

__all__ = ["MixtureOfAgentsLLM"]
