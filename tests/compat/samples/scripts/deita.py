"""Instructions and answers are evolved and scored; few, good and different ones are kept."""

from distilabel.models import OpenAILLM, TransformersLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import ConversationTemplate, DeitaFiltering, ExpandColumns, LoadDataFromHub
from distilabel.steps.tasks import (
    ComplexityScorer,
    EvolInstruct,
    EvolQuality,
    GenerateEmbeddings,
    QualityScorer,
)

ROWS = {
    "load": [
        {"instruction": "Describe rain."},
        {"instruction": "Describe snow."},
    ]
}
ANSWERS = {
    "evol_instruct": "Describe it in more detail.",
    "complexity": "[1] Score: 2\n[2] Score: 3\n[3] Score: 5",
    "evol_quality": "A longer answer.",
    "quality": "[1] Score: 3\n[2] Score: 4\n[3] Score: 1",
    "embed": "",
}
MUTATIONS = {"DEEPEN": "Ask for more: <PROMPT>", "NARROW": "Ask for less: <PROMPT>"}
QUALITIES = {
    "LONGER": "More of <RESPONSE> to <PROMPT>",
    "SHORTER": "Less of <RESPONSE> to <PROMPT>",
}

with Pipeline(name="deita") as pipeline:
    load = LoadDataFromHub(name="load", repo_id="someone/instructions", batch_size=50)
    evol_instruct = EvolInstruct(
        name="evol_instruct",
        llm=OpenAILLM(model="gpt-3.5-turbo", api_key="none"),
        num_evolutions=2,
        store_evolutions=True,
        generate_answers=True,
        include_original_instruction=True,
        mutation_templates=MUTATIONS,
    )
    complexity = ComplexityScorer(
        name="complexity",
        llm=OpenAILLM(model="gpt-3.5-turbo", api_key="none"),
        input_mappings={"instructions": "evolved_instructions"},
    )
    expand_instructions = ExpandColumns(
        name="expand_instructions",
        columns=["evolved_instructions", "answers", "scores"],
        output_mappings={
            "evolved_instructions": "evolved_instruction",
            "answers": "answer",
            "scores": "evol_instruction_score",
        },
    )
    evol_quality = EvolQuality(
        name="evol_quality",
        llm=OpenAILLM(model="gpt-3.5-turbo", api_key="none"),
        num_evolutions=2,
        store_evolutions=True,
        include_original_response=True,
        mutation_templates=QUALITIES,
        input_mappings={"instruction": "evolved_instruction", "response": "answer"},
    )
    quality = QualityScorer(
        name="quality",
        llm=OpenAILLM(model="gpt-3.5-turbo", api_key="none"),
        input_mappings={"instruction": "evolved_instruction", "responses": "evolved_responses"},
    )
    expand_answers = ExpandColumns(
        name="expand_answers",
        columns=["evolved_responses", "scores"],
        output_mappings={
            "evolved_responses": "evolved_response",
            "scores": "evol_response_score",
        },
    )
    conversation = ConversationTemplate(
        name="conversation",
        input_mappings={"instruction": "evolved_instruction", "response": "evolved_response"},
    )
    embed = GenerateEmbeddings(
        name="embed",
        llm=TransformersLLM(
            model="TinyLlama/TinyLlama-1.1B-Chat-v1.0", device="cpu", torch_dtype="float16"
        ),
        input_mappings={"text": "conversation"},
        input_batch_size=5,
    )
    filtering = DeitaFiltering(name="filtering", data_budget=3, diversity_threshold=-1.0)
    (
        load
        >> evol_instruct
        >> complexity
        >> expand_instructions
        >> evol_quality
        >> quality
        >> expand_answers
        >> conversation
        >> embed
        >> filtering
    )
