"""distilabel's import paths lead to this package's own objects."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import beam_distilabel.errors
import beam_distilabel.exceptions
import beam_distilabel.models
import beam_distilabel.steps
import beam_distilabel.steps.tasks
import beam_distilabel.typing

ALIASES = {
    "steps.tasks:APIGenExecutionChecker": (
        "transforms.tasks.api_gen_execution_checker:APIGenExecutionChecker"
    ),
    "steps.tasks:APIGenGenerator": "transforms.tasks.api_gen_generator:APIGenGenerator",
    "steps.tasks:APIGenSemanticChecker": (
        "transforms.tasks.api_gen_semantic_checker:APIGenSemanticChecker"
    ),
    "steps.tasks:EmbeddingTaskGenerator": (
        "transforms.tasks.embedding_task_generator:EmbeddingTaskGenerator"
    ),
    "steps.tasks:GenerateSentencePair": (
        "transforms.tasks.generate_sentence_pair:GenerateSentencePair"
    ),
    "steps.tasks:GenerateTextClassificationData": (
        "transforms.tasks.generate_text_classification_data:GenerateTextClassificationData"
    ),
    "steps.tasks:GenerateLongTextMatchingData": (
        "transforms.tasks.generate_text_matching_data:GenerateLongTextMatchingData"
    ),
    "steps.tasks:GenerateShortTextMatchingData": (
        "transforms.tasks.generate_text_matching_data:GenerateShortTextMatchingData"
    ),
    "steps.tasks:GenerateTextRetrievalData": (
        "transforms.tasks.generate_text_retrieval_data:GenerateTextRetrievalData"
    ),
    "steps.tasks:BitextRetrievalGenerator": (
        "transforms.tasks.triplet_generators:BitextRetrievalGenerator"
    ),
    "steps.tasks:MonolingualTripletGenerator": (
        "transforms.tasks.triplet_generators:MonolingualTripletGenerator"
    ),
    "steps.tasks:ImageGeneration": "transforms.tasks.image_generation:ImageGeneration",
    "steps.tasks:MathShepherdCompleter": (
        "transforms.tasks.math_shepherd_completer:MathShepherdCompleter"
    ),
    "steps.tasks:MathShepherdGenerator": (
        "transforms.tasks.math_shepherd_generator:MathShepherdGenerator"
    ),
    "steps.tasks.apigen.generator:APIGenGenerator": (
        "transforms.tasks.api_gen_generator:APIGenGenerator"
    ),
    "steps.tasks.apigen.semantic_checker:APIGenSemanticChecker": (
        "transforms.tasks.api_gen_semantic_checker:APIGenSemanticChecker"
    ),
    "steps.tasks.apigen.execution_checker:APIGenExecutionChecker": (
        "transforms.tasks.api_gen_execution_checker:APIGenExecutionChecker"
    ),
    "steps.tasks.math_shepherd.generator:MathShepherdGenerator": (
        "transforms.tasks.math_shepherd_generator:MathShepherdGenerator"
    ),
    "steps.tasks.math_shepherd.completer:MathShepherdCompleter": (
        "transforms.tasks.math_shepherd_completer:MathShepherdCompleter"
    ),
    "steps.tasks.image_generation:ImageGeneration": (
        "transforms.tasks.image_generation:ImageGeneration"
    ),
    "steps.tasks.sentence_transformers:GenerateSentencePair": (
        "transforms.tasks.generate_sentence_pair:GenerateSentencePair"
    ),
    "steps.tasks.improving_text_embeddings:EmbeddingTaskGenerator": (
        "transforms.tasks.embedding_task_generator:EmbeddingTaskGenerator"
    ),
    "steps.tasks.improving_text_embeddings:GenerateTextClassificationData": (
        "transforms.tasks.generate_text_classification_data:GenerateTextClassificationData"
    ),
    "steps.tasks.improving_text_embeddings:GenerateLongTextMatchingData": (
        "transforms.tasks.generate_text_matching_data:GenerateLongTextMatchingData"
    ),
    "steps.tasks.improving_text_embeddings:GenerateShortTextMatchingData": (
        "transforms.tasks.generate_text_matching_data:GenerateShortTextMatchingData"
    ),
    "steps.tasks.improving_text_embeddings:GenerateTextRetrievalData": (
        "transforms.tasks.generate_text_retrieval_data:GenerateTextRetrievalData"
    ),
    "steps.tasks.improving_text_embeddings:BitextRetrievalGenerator": (
        "transforms.tasks.triplet_generators:BitextRetrievalGenerator"
    ),
    "steps.tasks.improving_text_embeddings:MonolingualTripletGenerator": (
        "transforms.tasks.triplet_generators:MonolingualTripletGenerator"
    ),
    "constants:DISTILABEL_METADATA_KEY": "metadata:METADATA",
    "constants:DISTISET_ARTIFACTS_FOLDER": "layout:ARTIFACTS_FOLDER",
    "constants:DISTISET_CONFIG_FOLDER": "distiset.disk:CONFIGS_FOLDER",
    "constants:PIPELINE_CONFIG_FILENAME": "layout:PIPELINE_FILE",
    "constants:PIPELINE_LOG_FILENAME": "layout:LOG_FILE",
    "distiset:Distiset": "distiset.distiset:Distiset",
    "exceptions:DistilabelException": "errors:DistilabelException",
    "llms:CudaDevicePlacementMixin": (
        "models.mixins.cuda_device_placement:CudaDevicePlacementMixin"
    ),
    "models:CudaDevicePlacementMixin": (
        "models.mixins.cuda_device_placement:CudaDevicePlacementMixin"
    ),
    "models:GenerateOutput": "typing:GenerateOutput",
    "models.llms.utils:compute_tokens": "models.output:compute_tokens",
    "models.llms.utils:prepare_output": "models.output:prepare_output",
    "pipeline:InstructionResponsePipeline": (
        "pipeline.templates.instruction:InstructionResponsePipeline"
    ),
    "steps:make_generator_step": "transforms.sources.load_data_from_dataset:make_generator_step",
    "steps.base:StepResources": "step:StepResources",
    "steps.tasks:Magpie": "transforms.tasks.magpie:Magpie",
    "steps.tasks:MagpieGenerator": "transforms.tasks.magpie:MagpieGenerator",
    "steps.tasks.magpie.base:Magpie": "transforms.tasks.magpie:Magpie",
    "steps.tasks.magpie.base:MagpieBase": "transforms.tasks.magpie:MagpieBase",
    "steps.tasks.magpie.generator:MagpieGenerator": "transforms.tasks.magpie:MagpieGenerator",
    "utils.requirements:requirements": "requirements:requirements",
    "distiset:create_distiset": "distiset.opening:create_distiset",
    "llms.base:AsyncLLM": "models.base:AsyncLLM",
    "llms.vllm:vLLM": "models.vllm:vLLM",
    "llms:LLM": "models.base:LLM",
    "llms:vLLM": "models.vllm:vLLM",
    "llms.openai:OpenAILLM": "models.openai:OpenAILLM",
    "llms.vllm:ClientvLLM": "models.vllm.client:ClientvLLM",
    "llms:OpenAILLM": "models.openai:OpenAILLM",
    "mixins.runtime_parameters:RuntimeParameter": "runtime_parameters:RuntimeParameter",
    "mixins.runtime_parameters:RuntimeParametersMixin": "runtime_parameters:RuntimeParametersMixin",
    "models.image_generation.base:AsyncImageGenerationModel": (
        "models.image_generation:AsyncImageGenerationModel"
    ),
    "models.image_generation.base:ImageGenerationModel": (
        "models.image_generation:ImageGenerationModel"
    ),
    "models.llms.base:LLM": "models.base:LLM",
    "models.llms.typing:GenerateOutput": "typing:GenerateOutput",
    "models.llms.typing:HiddenState": "typing:HiddenState",
    "embeddings:Embeddings": "models.embeddings.base:Embeddings",
    "embeddings:vLLMEmbeddings": "models.vllm.embeddings:vLLMEmbeddings",
    "models.embeddings.vllm:vLLMEmbeddings": "models.vllm.embeddings:vLLMEmbeddings",
    "models.embeddings:Embeddings": "models.embeddings.base:Embeddings",
    "models:Embeddings": "models.embeddings.base:Embeddings",
    "models:vLLMEmbeddings": "models.vllm.embeddings:vLLMEmbeddings",
    "steps.embeddings.embedding_generation:EmbeddingGeneration": (
        "transforms.embeddings.embedding_generation:EmbeddingGeneration"
    ),
    "steps:EmbeddingGeneration": "transforms.embeddings.embedding_generation:EmbeddingGeneration",
    "models.llms:AsyncLLM": "models.base:AsyncLLM",
    "models.llms.anyscale:AnyscaleLLM": "models.openai.anyscale:AnyscaleLLM",
    "models.llms.azure:AzureOpenAILLM": "models.openai.azure:AzureOpenAILLM",
    "models.llms.openai:OpenAILLM": "models.openai:OpenAILLM",
    "models.llms.together:TogetherLLM": "models.openai.together:TogetherLLM",
    "models.llms.anthropic:AnthropicLLM": "models.anthropic:AnthropicLLM",
    "models.llms.cohere:CohereLLM": "models.cohere:CohereLLM",
    "models.llms.groq:GroqLLM": "models.groq:GroqLLM",
    "models.llms.litellm:LiteLLM": "models.litellm:LiteLLM",
    "models.llms.mistral:MistralLLM": "models.mistral:MistralLLM",
    "models.llms.vertexai:VertexAILLM": "models.vertexai:VertexAILLM",
    "models.llms.vllm:ClientvLLM": "models.vllm.client:ClientvLLM",
    "models.llms.vllm:vLLM": "models.vllm:vLLM",
    "models.llms:AzureOpenAILLM": "models.openai.azure:AzureOpenAILLM",
    "models:ClientvLLM": "models.vllm.client:ClientvLLM",
    "models:LLM": "models.base:LLM",
    "models:OpenAILLM": "models.openai:OpenAILLM",
    "models:vLLM": "models.vllm:vLLM",
    "models.llms.huggingface.transformers:TransformersLLM": "models.transformers:TransformersLLM",
    "llms.huggingface.transformers:TransformersLLM": "models.transformers:TransformersLLM",
    "models:TransformersLLM": "models.transformers:TransformersLLM",
    "models.llms.llamacpp:LlamaCppLLM": "models.llamacpp:LlamaCppLLM",
    "llms.llamacpp:LlamaCppLLM": "models.llamacpp:LlamaCppLLM",
    "models:LlamaCppLLM": "models.llamacpp:LlamaCppLLM",
    "models.llms.mlx:MlxLLM": "models.mlx:MlxLLM",
    "llms.mlx:MlxLLM": "models.mlx:MlxLLM",
    "models:MlxLLM": "models.mlx:MlxLLM",
    "models.llms.moa:MixtureOfAgentsLLM": "models.mixture_of_agents:MixtureOfAgentsLLM",
    "llms.moa:MixtureOfAgentsLLM": "models.mixture_of_agents:MixtureOfAgentsLLM",
    "models:MixtureOfAgentsLLM": "models.mixture_of_agents:MixtureOfAgentsLLM",
    "models.llms.huggingface.inference_endpoints:InferenceEndpointsLLM": (
        "models.inference_endpoints:InferenceEndpointsLLM"
    ),
    "llms.huggingface.inference_endpoints:InferenceEndpointsLLM": (
        "models.inference_endpoints:InferenceEndpointsLLM"
    ),
    "models:InferenceEndpointsLLM": "models.inference_endpoints:InferenceEndpointsLLM",
    "models.llms.ollama:OllamaLLM": "models.ollama:OllamaLLM",
    "llms.ollama:OllamaLLM": "models.ollama:OllamaLLM",
    "models:OllamaLLM": "models.ollama:OllamaLLM",
    "llms:InferenceEndpointsLLM": "models.inference_endpoints:InferenceEndpointsLLM",
    "models.llms.huggingface:TransformersLLM": "models.transformers:TransformersLLM",
    "models.mixins.magpie:MagpieChatTemplateMixin": "models.magpie:MagpieChatTemplateMixin",
    "pipeline.local:Pipeline": "pipeline.pipeline:Pipeline",
    "pipeline.routing_batch_function:RoutingBatchFunction": "pipeline.routing:RoutingBatchFunction",
    "pipeline.routing_batch_function:sample_n_steps": "pipeline.routing:sample_n_steps",
    "pipeline.routing_batch_function:routing_batch_function": (
        "pipeline.routing:routing_batch_function"
    ),
    "pipeline:Pipeline": "pipeline.pipeline:Pipeline",
    "pipeline:Route": "pipeline.route:Route",
    "pipeline:routing_batch_function": "pipeline.routing:routing_batch_function",
    "pipeline:sample_n_steps": "pipeline.routing:sample_n_steps",
    "steps.base:Step": "step:Step",
    "steps.columns.combine:CombineOutputs": "transforms.columns.combine_outputs:CombineOutputs",
    "steps.columns.expand:ExpandColumns": "transforms.columns.expand_columns:ExpandColumns",
    "steps.columns.group:GroupColumns": "transforms.columns.group_columns:GroupColumns",
    "steps.columns.merge:MergeColumns": "transforms.columns.merge_columns:MergeColumns",
    "steps.columns.utils:group_columns": "transforms.columns.group_columns:group_columns",
    "steps.columns.utils:merge_columns": "transforms.columns.merge_columns:merge_columns",
    "steps.columns.utils:merge_distilabel_metadata": "metadata:merge_distilabel_metadata",
    "steps.deita:DeitaFiltering": "transforms.filtering.deita_filtering:DeitaFiltering",
    "steps.formatting.conversation:ConversationTemplate": (
        "transforms.formatting.conversation_template:ConversationTemplate"
    ),
    "steps.formatting.dpo:FormatChatGenerationDPO": (
        "transforms.formatting.format_chat_generation_dpo:FormatChatGenerationDPO"
    ),
    "steps.formatting.dpo:FormatTextGenerationDPO": (
        "transforms.formatting.format_text_generation_dpo:FormatTextGenerationDPO"
    ),
    "steps.formatting.sft:FormatChatGenerationSFT": (
        "transforms.formatting.format_chat_generation_sft:FormatChatGenerationSFT"
    ),
    "steps.formatting.sft:FormatTextGenerationSFT": (
        "transforms.formatting.format_text_generation_sft:FormatTextGenerationSFT"
    ),
    "steps.generators.data_sampler:DataSampler": "transforms.sources.data_sampler:DataSampler",
    "steps.truncate:TruncateTextColumn": (
        "transforms.columns.truncate_text_column:TruncateTextColumn"
    ),
    "steps.tasks.apigen.utils:PrepareExamples": (
        "transforms.formatting.prepare_examples:PrepareExamples"
    ),
    "steps:PrepareExamples": "transforms.formatting.prepare_examples:PrepareExamples",
    "steps.tasks.apigen.utils:load_module_from_path": (
        "transforms.tasks.function_host:load_module_from_path"
    ),
    "steps.tasks.math_shepherd.utils:FormatPRM": "transforms.formatting.format_prm:FormatPRM",
    "steps.tasks:FormatPRM": "transforms.formatting.format_prm:FormatPRM",
    "steps:CombineOutputs": "transforms.columns.combine_outputs:CombineOutputs",
    "steps:ExpandColumns": "transforms.columns.expand_columns:ExpandColumns",
    "steps:GroupColumns": "transforms.columns.group_columns:GroupColumns",
    "steps:MergeColumns": "transforms.columns.merge_columns:MergeColumns",
    "steps:DeitaFiltering": "transforms.filtering.deita_filtering:DeitaFiltering",
    "steps:ConversationTemplate": (
        "transforms.formatting.conversation_template:ConversationTemplate"
    ),
    "steps:FormatChatGenerationDPO": (
        "transforms.formatting.format_chat_generation_dpo:FormatChatGenerationDPO"
    ),
    "steps:FormatTextGenerationDPO": (
        "transforms.formatting.format_text_generation_dpo:FormatTextGenerationDPO"
    ),
    "steps:FormatChatGenerationSFT": (
        "transforms.formatting.format_chat_generation_sft:FormatChatGenerationSFT"
    ),
    "steps:FormatTextGenerationSFT": (
        "transforms.formatting.format_text_generation_sft:FormatTextGenerationSFT"
    ),
    "steps:DataSampler": "transforms.sources.data_sampler:DataSampler",
    "steps:TruncateTextColumn": "transforms.columns.truncate_text_column:TruncateTextColumn",
    "steps.columns.keep:KeepColumns": "transforms.columns.keep_columns:KeepColumns",
    "steps.decorator:step": "decorators:step",
    "steps.generators.data:LoadDataFromDicts": (
        "transforms.sources.load_data_from_dicts:LoadDataFromDicts"
    ),
    "steps.generators.huggingface:LoadDataFromDisk": (
        "transforms.sources.load_data_from_disk:LoadDataFromDisk"
    ),
    "steps.generators.huggingface:LoadDataFromFileSystem": (
        "transforms.sources.load_data_from_file_system:LoadDataFromFileSystem"
    ),
    "steps.generators.huggingface:LoadDataFromHub": (
        "transforms.sources.load_data_from_hub:LoadDataFromHub"
    ),
    "steps.globals.huggingface:PushToHub": "transforms.sinks.push_to_hub:PushToHub",
    "steps:PushToHub": "transforms.sinks.push_to_hub:PushToHub",
    "steps.generators.utils:make_generator_step": (
        "transforms.sources.load_data_from_dataset:make_generator_step"
    ),
    "steps.tasks.base:Task": "task:Task",
    "steps.tasks.decorator:task": "decorators:task",
    "steps.tasks.prometheus_eval:PrometheusEval": "transforms.tasks.prometheus_eval:PrometheusEval",
    "steps.tasks.structured_generation:StructuredGeneration": (
        "transforms.tasks.structured_generation:StructuredGeneration"
    ),
    "steps.tasks:StructuredGeneration": (
        "transforms.tasks.structured_generation:StructuredGeneration"
    ),
    "steps.tasks.text_generation_with_image:TextGenerationWithImage": (
        "transforms.tasks.text_generation_with_image:TextGenerationWithImage"
    ),
    "steps.tasks:TextGenerationWithImage": (
        "transforms.tasks.text_generation_with_image:TextGenerationWithImage"
    ),
    "steps.tasks.text_generation:ChatGeneration": "transforms.tasks.text_generation:ChatGeneration",
    "steps.tasks.text_generation:TextGeneration": "transforms.tasks.text_generation:TextGeneration",
    "steps.tasks.ultrafeedback:UltraFeedback": "transforms.tasks.ultrafeedback:UltraFeedback",
    "steps.tasks.instruction_backtranslation:InstructionBacktranslation": (
        "transforms.tasks.instruction_backtranslation:InstructionBacktranslation"
    ),
    "steps.tasks.complexity_scorer:ComplexityScorer": (
        "transforms.tasks.complexity_scorer:ComplexityScorer"
    ),
    "steps.tasks.quality_scorer:QualityScorer": "transforms.tasks.quality_scorer:QualityScorer",
    "steps.tasks.clair:CLAIR": "transforms.tasks.clair:CLAIR",
    "steps.tasks.evol_instruct.base:EvolInstruct": "transforms.tasks.evol_instruct:EvolInstruct",
    "steps.tasks.evol_instruct:EvolInstruct": "transforms.tasks.evol_instruct:EvolInstruct",
    "steps.tasks.evol_instruct.evol_complexity.base:EvolComplexity": (
        "transforms.tasks.evol_complexity:EvolComplexity"
    ),
    "steps.tasks.evol_quality.base:EvolQuality": "transforms.tasks.evol_quality:EvolQuality",
    "steps.tasks:EvolComplexity": "transforms.tasks.evol_complexity:EvolComplexity",
    "steps.tasks.generate_embeddings:GenerateEmbeddings": (
        "transforms.tasks.generate_embeddings:GenerateEmbeddings"
    ),
    "steps.tasks.self_instruct:SelfInstruct": "transforms.tasks.self_instruct:SelfInstruct",
    "steps.tasks.genstruct:Genstruct": "transforms.tasks.genstruct:Genstruct",
    "steps.tasks.urial:URIAL": "transforms.tasks.urial:URIAL",
    "steps.tasks.text_classification:TextClassification": (
        "transforms.tasks.text_classification:TextClassification"
    ),
    "steps.tasks:UltraFeedback": "transforms.tasks.ultrafeedback:UltraFeedback",
    "steps.tasks.typing:ChatType": "typing:ChatType",
    "steps.tasks:task": "decorators:task",
    "steps.typing:StepColumns": "typing:StepColumns",
    "steps:LoadDataFromHub": "transforms.sources.load_data_from_hub:LoadDataFromHub",
}

TYPES = (
    "ChatItem ChatType DownstreamConnectable DownstreamConnectableSteps FormattedInput "
    "GenerateOutput GeneratorStepOutput HiddenState ImageContent ImageUrl InputDataset "
    "InstructorStructuredOutputType LLMLogprobs LLMOutput LLMStatistics LoadGroups Logprob "
    "OutlinesStructuredOutputType PipelineRuntimeParametersInfo StandardInput StepColumns "
    "StepLoadStatus StepOutput StructuredInput StructuredOutputType TextContent TokenCount "
    "UpstreamConnectableSteps"
).split()
"""What distilabel 1.5.3 offers in `distilabel.typing`."""


def found(path: str) -> object:
    module, name = path.split(":")
    imported = importlib.import_module(f"beam_distilabel.{module}")
    assert name in getattr(imported, "__all__", [name])
    return getattr(imported, name)


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_the_same_object(alias: str) -> None:
    assert found(alias) is found(ALIASES[alias])


def test_the_routing_decorator_stays_a_function_once_its_module_is_loaded() -> None:
    code = (
        "import beam_distilabel.pipeline.routing_batch_function\n"
        "from beam_distilabel.pipeline import routing_batch_function\n"
        "assert routing_batch_function.__class__.__name__ == 'function'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_types_of_distilabel() -> None:
    assert set(TYPES) <= set(beam_distilabel.typing.__all__)
    assert all(hasattr(beam_distilabel.typing, name) for name in beam_distilabel.typing.__all__)
    assert get_type_hints(beam_distilabel.typing.Logprob) == {"token": str, "logprob": float}
    hints = get_type_hints(beam_distilabel.typing.ImageContent)
    assert hints["image_url"] is beam_distilabel.typing.ImageUrl


# ------------------------------------------------------------------- all names of distilabel 1.5.3

NAMES: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("compat").joinpath("names.json").read_text("utf-8")
)
"""Module to the names that it offers, as tests/compat/names.py lists them."""

NOT_BUILT = (
    "DBSCAN EmbeddingDedup EvolComplexityGenerator EvolInstructGenerator FaissNearestNeighbour "
    "LlamaCppEmbeddings MinHashDedup PairRM RewardModelScore SentenceTransformerEmbeddings "
    "TextClustering UMAP"
).split()
"""Classes that may not be here yet. One that is, is held to all of its import paths."""

LEFT_OUT = {
    r"steps\.tasks:ArgillaLabeller|steps:\w+ToArgilla": "Argilla is no longer maintained",
    r"steps\.argilla\..*|steps\.tasks\.argilla_labeller:.*": "Argilla is no longer maintained",
    r"pipeline(\.ray)?:RayPipeline|utils\.ray:.*": "Beam's runners take the place of Ray",
    r"cli\.pipeline.*|pipeline\.base:.*|mixins\.(requirements|signature):.*": "its machinery",
    r"models\.base_clients\..*|models\.base_clients:.*": "its machinery",
    r"mixins\.runtime_parameters:RuntimeParameter(Info|sNames|sModelMixin)": "its machinery",
    r"constants:(\w+_ATTR_NAME|\w+_ENV_NAME|LAST_BATCH_SENT_FLAG)": "its machinery",
    r"constants:(\w*CACHE_DIR|DISTILABEL_DOCS_URL|STEPS_\w+_PATH)": "its folders and pages",
    r"envs:.*": "the variables DISTILABEL_LOG_LEVEL and DISTILABEL_CACHE_DIR work",
    r"typing\.\w+:.*": "distilabel.typing offers them all",
    r"utils\.(?!chat:|requirements:requirements|template:).*": "its helpers",
    r"steps\.columns\.utils:\w+": "its helpers",
    r"steps\.tasks\..*\.utils:(?!PrepareExamples|FormatPRM|load_module)\w+": "its helpers",
    r"distiset:is_PIL_available|models\.llms\.base:merge_responses": "its helpers",
    r"models\.image_generation\.utils:.*": "its helpers",
    r"steps\.tasks\.(?!decorator)[\w.]+:(?!load_module)[a-z]\w+": "its helpers",
    r"steps\.filtering\.minhash:[a-z]\w+": "its helpers",
    r"steps\.generators\.huggingface:(ExcludedField|T)|steps\.base:PATTERN_\w+": "its helpers",
    r"steps\.tasks\.structured_outputs\..*": "engines keep structured output themselves",
    r"steps\.tasks\..*:(?!CLAIR|URIAL)[A-Z0-9_]+|models\.llms\.moa:MOA_SYSTEM_PROMPT": "prompts",
    r".*:(Options|VertexChat\w+|Logits\w+|MagpieAvailable\w+|GenerationAction)": "annotations",
    r".*:(Completions|StepSolution)": "annotations",
    r".*:(RoutingBatchFunc|ProcessingFunc|TaskFormattingOutputFunc)": "annotations",
}
"""What is left out on purpose, and why; patterns of `module:name`."""


def is_here(name: str) -> bool:
    places = (beam_distilabel.steps, beam_distilabel.steps.tasks, beam_distilabel.models)
    return any(name in place.__all__ for place in places)


def reason_to_be_absent(path: str) -> str | None:
    name = path.partition(":")[2]
    if name in NOT_BUILT and not is_here(name):
        return "not built yet"
    return next((why for pattern, why in LEFT_OUT.items() if re.fullmatch(pattern, path)), None)


@pytest.mark.parametrize("module", NAMES)
def test_the_names_of_distilabel(module: str) -> None:
    wanted = [f"{module}:{name}" for name in NAMES[module]]
    wanted = [path for path in wanted if reason_to_be_absent(path) is None]
    if not wanted:
        return
    offers = importlib.import_module(f"beam_distilabel.{module}")
    assert [path for path in wanted if not hasattr(offers, path.partition(":")[2])] == []


def test_the_exceptions_have_the_bases_that_distilabel_gives_them() -> None:
    errors, exceptions = beam_distilabel.errors, beam_distilabel.exceptions
    for name, base in (
        ("DistilabelUserError", ValueError),
        ("DistilabelTypeError", TypeError),
        ("DistilabelNotImplementedError", NotImplementedError),
    ):
        error = getattr(errors, name)("what", page="some/page")
        assert isinstance(error, base) and isinstance(error, errors.DistilabelError)
        assert (error.message, error.page) == ("what", "some/page")
    not_finished = exceptions.DistilabelOfflineBatchGenerationNotFinishedException(("a",))
    assert not_finished.jobs_ids == ("a",)
    assert type(not_finished).__mro__.index(exceptions.DistilabelGenerationException) < (
        type(not_finished).__mro__.index(exceptions.DistilabelException)
    )
    assert isinstance(errors.GenerationError("x"), exceptions.DistilabelGenerationException)
