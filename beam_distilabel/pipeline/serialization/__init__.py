"""Pipelines as data: distilabel's `pipeline.yaml`, written and read.

Class names are looked up among the Steps and models that exist in this process, see
`beam_distilabel.pipeline.registry`. A file never causes an import, an evaluation or a network call.

- `dumps`: pipelines to data.
- `loading`: data to pipelines.
- `documents`: YAML and JSON to data, whoever wrote it.
- `files`: where they are.
"""

from beam_distilabel.pipeline.registry import known_classes
from beam_distilabel.pipeline.serialization.dumps import dump_pipeline, dump_step
from beam_distilabel.pipeline.serialization.files import format_of, read, read_parameters, save
from beam_distilabel.pipeline.serialization.loading import (
    add_steps,
    load_model,
    pipeline_arguments,
)

__all__ = [
    "add_steps",
    "dump_pipeline",
    "dump_step",
    "format_of",
    "known_classes",
    "load_model",
    "pipeline_arguments",
    "read",
    "read_parameters",
    "save",
]
