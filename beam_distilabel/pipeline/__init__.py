"""Pipelines: graphs of Steps, what is wrong with them, and running them."""

from beam_distilabel.pipeline.pipeline import Pipeline
from beam_distilabel.pipeline.registry import register
from beam_distilabel.pipeline.route import Route

# By way of the alias module: loading it later would put it in the place of the function.
from beam_distilabel.pipeline.routing_batch_function import (
    RoutingBatchFunction,
    routing_batch_function,
    sample_n_steps,
)
from beam_distilabel.pipeline.run import RunHandle
from beam_distilabel.pipeline.serialization import read_parameters
from beam_distilabel.pipeline.templates import InstructionResponsePipeline

__all__ = [
    "InstructionResponsePipeline",
    "Pipeline",
    "Route",
    "RoutingBatchFunction",
    "RunHandle",
    "read_parameters",
    "register",
    "routing_batch_function",
    "sample_n_steps",
]
