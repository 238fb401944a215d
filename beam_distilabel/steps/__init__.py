"""Steps under distilabel's import path."""

from beam_distilabel.decorators import step
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.step import GeneratorStep, GlobalStep, Step, StepResources
from beam_distilabel.transforms.columns.keep_columns import KeepColumns
from beam_distilabel.transforms.embeddings.embedding_generation import EmbeddingGeneration
from beam_distilabel.transforms.sinks.push_to_hub import PushToHub
from beam_distilabel.transforms.sources.load_data_from_dataset import make_generator_step
from beam_distilabel.transforms.sources.load_data_from_dicts import LoadDataFromDicts
from beam_distilabel.transforms.sources.load_data_from_disk import LoadDataFromDisk
from beam_distilabel.transforms.sources.load_data_from_file_system import LoadDataFromFileSystem
from beam_distilabel.transforms.sources.load_data_from_hub import LoadDataFromHub
from beam_distilabel.typing import (
    GeneratorStepOutput,
    StepColumns,
    StepInput,
    StepOutput,
)

__all__ = [
    "EmbeddingGeneration",
    "GeneratorStep",
    "GeneratorStepOutput",
    "GlobalStep",
    "KeepColumns",
    "LoadDataFromDicts",
    "LoadDataFromDisk",
    "LoadDataFromFileSystem",
    "LoadDataFromHub",
    "PushToHub",
    "RuntimeParameter",
    "Step",
    "StepColumns",
    "StepInput",
    "StepOutput",
    "StepResources",
    "make_generator_step",
    "step",
]
