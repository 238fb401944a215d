"""Routing under the import path of distilabel 1.5."""

from beam_distilabel.pipeline.routing import (
    RoutingBatchFunction,
    routing_batch_function,
    sample_n_steps,
)

__all__ = ["RoutingBatchFunction", "routing_batch_function", "sample_n_steps"]
