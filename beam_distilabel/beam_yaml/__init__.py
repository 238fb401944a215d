"""Steps, Tasks and pipelines in Beam YAML: `type: PrometheusEval`.

A file's `providers` name this package once; after that every Step has its name as a `type`. What
`config` holds are the constructor's arguments. See docs/beam.md.
"""

from pathlib import Path

from beam_distilabel.beam_yaml.provider import as_transform, provider, register, step_classes
from beam_distilabel.beam_yaml.transforms import DistilabelPipeline, WriteDistiset

PROVIDERS = str(Path(__file__).with_name("providers.yaml"))
"""The file that a YAML file's `providers` may include."""

register()

__all__ = [
    "PROVIDERS",
    "DistilabelPipeline",
    "WriteDistiset",
    "as_transform",
    "provider",
    "step_classes",
]
