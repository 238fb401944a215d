"""Instructions and answers from nothing, by distilabel's template of a pipeline."""

from distilabel.models import InferenceEndpointsLLM
from distilabel.pipeline import InstructionResponsePipeline

ANSWERS = {"magpie_generator_0": "Some text of a model."}

pipeline = InstructionResponsePipeline(
    llm=InferenceEndpointsLLM(
        model_id="meta-llama/Meta-Llama-3.1-8B-Instruct",
        tokenizer_id="meta-llama/Meta-Llama-3.1-8B-Instruct",
        use_magpie_template=True,
        magpie_pre_query_template="llama3",
        generation_kwargs={"temperature": 0.9, "max_new_tokens": 64},
    ),
    system_prompt="You write about rain.",
    num_rows=4,
    batch_size=2,
)
