"""Steps under distilabel's import path."""

from beam_distilabel.decorators import step
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.step import GeneratorStep, GlobalStep, Step, StepResources
from beam_distilabel.transforms.columns.combine_outputs import CombineOutputs
from beam_distilabel.transforms.columns.expand_columns import ExpandColumns
from beam_distilabel.transforms.columns.group_columns import GroupColumns
from beam_distilabel.transforms.columns.keep_columns import KeepColumns
from beam_distilabel.transforms.columns.merge_columns import MergeColumns
from beam_distilabel.transforms.columns.truncate_text_column import TruncateTextColumn
from beam_distilabel.transforms.embeddings.embedding_generation import EmbeddingGeneration
from beam_distilabel.transforms.filtering.deita_filtering import DeitaFiltering
from beam_distilabel.transforms.formatting.conversation_template import ConversationTemplate
from beam_distilabel.transforms.formatting.format_chat_generation_dpo import (
    FormatChatGenerationDPO,
)
from beam_distilabel.transforms.formatting.format_chat_generation_sft import (
    FormatChatGenerationSFT,
)
from beam_distilabel.transforms.formatting.format_text_generation_dpo import (
    FormatTextGenerationDPO,
)
from beam_distilabel.transforms.formatting.format_text_generation_sft import (
    FormatTextGenerationSFT,
)
from beam_distilabel.transforms.formatting.prepare_examples import PrepareExamples
from beam_distilabel.transforms.sinks.push_to_hub import PushToHub
from beam_distilabel.transforms.sources.data_sampler import DataSampler
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
    "CombineOutputs",
    "ConversationTemplate",
    "DataSampler",
    "DeitaFiltering",
    "EmbeddingGeneration",
    "ExpandColumns",
    "FormatChatGenerationDPO",
    "FormatChatGenerationSFT",
    "FormatTextGenerationDPO",
    "FormatTextGenerationSFT",
    "GeneratorStep",
    "GeneratorStepOutput",
    "GlobalStep",
    "GroupColumns",
    "KeepColumns",
    "LoadDataFromDicts",
    "LoadDataFromDisk",
    "LoadDataFromFileSystem",
    "LoadDataFromHub",
    "MergeColumns",
    "PrepareExamples",
    "PushToHub",
    "RuntimeParameter",
    "Step",
    "StepColumns",
    "StepInput",
    "StepOutput",
    "StepResources",
    "TruncateTextColumn",
    "make_generator_step",
    "step",
]
