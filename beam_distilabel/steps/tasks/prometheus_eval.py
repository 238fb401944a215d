"""PrometheusEval under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.prometheus_eval import PrometheusEval

__all__ = ["PrometheusEval"]
