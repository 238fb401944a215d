"""InferenceEndpointsLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.inference_endpoints import InferenceEndpointsLLM

__all__ = ["InferenceEndpointsLLM"]
