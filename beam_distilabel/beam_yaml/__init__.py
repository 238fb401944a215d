"""Steps, Tasks and pipelines in Beam YAML: `type: PrometheusEval`.

A file's `providers` name this package once; after that every Step has its name as a `type`. What
`config` holds are the constructor's arguments. See docs/beam.md.
"""

from pathlib import Path

try:
    from beam_distilabel.beam_yaml.provider import DistilabelProvider, as_transform, step_classes
except ImportError as error:
    raise ImportError(
        f"Beam YAML needs packages that aren't installed ({error}): "
        "pip install 'beam-distilabel[beam-yaml]'"
    ) from error
from beam_distilabel.beam_yaml.transforms import DistilabelPipeline, WriteDistiset

PROVIDERS = str(Path(__file__).with_name("providers.yaml"))
"""The file that a YAML file's `providers` may include."""

__all__ = [
    "PROVIDERS",
    "DistilabelPipeline",
    "DistilabelProvider",
    "WriteDistiset",
    "as_transform",
    "step_classes",
]
