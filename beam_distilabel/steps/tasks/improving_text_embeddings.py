"""The Tasks for embeddings' training data under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.embedding_task_generator import EmbeddingTaskGenerator
from beam_distilabel.transforms.tasks.generate_text_classification_data import (
    GenerateTextClassificationData,
)
from beam_distilabel.transforms.tasks.generate_text_matching_data import (
    GenerateLongTextMatchingData,
    GenerateShortTextMatchingData,
)
from beam_distilabel.transforms.tasks.generate_text_retrieval_data import GenerateTextRetrievalData
from beam_distilabel.transforms.tasks.triplet_generators import (
    BitextRetrievalGenerator,
    MonolingualTripletGenerator,
)

__all__ = [
    "BitextRetrievalGenerator",
    "EmbeddingTaskGenerator",
    "GenerateLongTextMatchingData",
    "GenerateShortTextMatchingData",
    "GenerateTextClassificationData",
    "GenerateTextRetrievalData",
    "MonolingualTripletGenerator",
]
