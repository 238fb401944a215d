"""Tasks under distilabel's import path."""

from beam_distilabel.decorators import task
from beam_distilabel.task import GeneratorTask, GlobalTask, ImageTask, Task
from beam_distilabel.transforms.formatting.format_prm import FormatPRM
from beam_distilabel.transforms.tasks.api_gen_execution_checker import APIGenExecutionChecker
from beam_distilabel.transforms.tasks.api_gen_generator import APIGenGenerator
from beam_distilabel.transforms.tasks.api_gen_semantic_checker import APIGenSemanticChecker
from beam_distilabel.transforms.tasks.clair import CLAIR
from beam_distilabel.transforms.tasks.complexity_scorer import ComplexityScorer
from beam_distilabel.transforms.tasks.embedding_task_generator import EmbeddingTaskGenerator
from beam_distilabel.transforms.tasks.evol_complexity import EvolComplexity
from beam_distilabel.transforms.tasks.evol_instruct import EvolInstruct
from beam_distilabel.transforms.tasks.evol_quality import EvolQuality
from beam_distilabel.transforms.tasks.generate_embeddings import GenerateEmbeddings
from beam_distilabel.transforms.tasks.generate_sentence_pair import GenerateSentencePair
from beam_distilabel.transforms.tasks.generate_text_classification_data import (
    GenerateTextClassificationData,
)
from beam_distilabel.transforms.tasks.generate_text_matching_data import (
    GenerateLongTextMatchingData,
    GenerateShortTextMatchingData,
)
from beam_distilabel.transforms.tasks.generate_text_retrieval_data import GenerateTextRetrievalData
from beam_distilabel.transforms.tasks.genstruct import Genstruct
from beam_distilabel.transforms.tasks.image_generation import ImageGeneration
from beam_distilabel.transforms.tasks.instruction_backtranslation import InstructionBacktranslation
from beam_distilabel.transforms.tasks.magpie import Magpie, MagpieGenerator
from beam_distilabel.transforms.tasks.math_shepherd_completer import MathShepherdCompleter
from beam_distilabel.transforms.tasks.math_shepherd_generator import MathShepherdGenerator
from beam_distilabel.transforms.tasks.prometheus_eval import PrometheusEval
from beam_distilabel.transforms.tasks.quality_scorer import QualityScorer
from beam_distilabel.transforms.tasks.self_instruct import SelfInstruct
from beam_distilabel.transforms.tasks.structured_generation import StructuredGeneration
from beam_distilabel.transforms.tasks.text_classification import TextClassification
from beam_distilabel.transforms.tasks.text_generation import ChatGeneration, TextGeneration
from beam_distilabel.transforms.tasks.text_generation_with_image import TextGenerationWithImage
from beam_distilabel.transforms.tasks.triplet_generators import (
    BitextRetrievalGenerator,
    MonolingualTripletGenerator,
)
from beam_distilabel.transforms.tasks.ultrafeedback import UltraFeedback
from beam_distilabel.transforms.tasks.urial import URIAL
from beam_distilabel.typing import ChatItem, ChatType

__all__ = [
    "APIGenExecutionChecker",
    "APIGenGenerator",
    "APIGenSemanticChecker",
    "BitextRetrievalGenerator",
    "CLAIR",
    "ChatGeneration",
    "ChatItem",
    "ChatType",
    "ComplexityScorer",
    "EmbeddingTaskGenerator",
    "EvolComplexity",
    "EvolInstruct",
    "EvolQuality",
    "FormatPRM",
    "GenerateEmbeddings",
    "GenerateLongTextMatchingData",
    "GenerateSentencePair",
    "GenerateShortTextMatchingData",
    "GenerateTextClassificationData",
    "GenerateTextRetrievalData",
    "GeneratorTask",
    "Genstruct",
    "GlobalTask",
    "ImageGeneration",
    "ImageTask",
    "InstructionBacktranslation",
    "Magpie",
    "MagpieGenerator",
    "MathShepherdCompleter",
    "MathShepherdGenerator",
    "MonolingualTripletGenerator",
    "PrometheusEval",
    "QualityScorer",
    "SelfInstruct",
    "StructuredGeneration",
    "Task",
    "TextClassification",
    "TextGeneration",
    "TextGenerationWithImage",
    "URIAL",
    "UltraFeedback",
    "task",
]
