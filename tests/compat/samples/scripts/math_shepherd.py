"""Solutions step by step, each step labelled by whether it still leads to the right answer."""

from distilabel.models import InferenceEndpointsLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import CombineOutputs, ExpandColumns, LoadDataFromHub
from distilabel.steps.tasks import FormatPRM, MathShepherdCompleter, MathShepherdGenerator

ROWS = {
    "load": [
        {"question": "Ann has 3 apples and eats 1. How many are left?", "answer": "2"},
        {"question": "Bob has 2 pears and buys 2. How many has he?", "answer": "4"},
    ]
}
GOLD = {
    "Ann": "Step 1: She had 3.\nStep 2: 3 - 1 = <<3-1=2>>2. The answer is: 2",
    "Bob": "Step 1: 2 + 2 = <<2+2=4>>4. The answer is: 4",
}
ANSWERS = {
    "golden": GOLD,
    "solutions": {
        "Ann": "Step 1: She had 3.\nStep 2: 3 - 1 = 2. The answer is: 2\n---\n"
        "Step 1: She had 2.\nStep 2: 2 - 1 = 1. The answer is: 1",
        "Bob": "Step 1: 2 + 2 = 4. The answer is: 4\n---\n"
        "Step 1: He had 2.\nStep 2: 2 + 2 = 5. The answer is: 5",
    },
    "completer": {
        "Ann": "Step 2: One is gone. The answer is: 2\n---\nStep 2: All are gone. The answer is: 0",
        "Bob": "Step 2: So he has 5. The answer is: 5\n---\nStep 2: So 6. The answer is: 6",
    },
}
PROMPTS = {
    "system_prompt": "You solve it.{{ extra_rules }}{{ few_shots }}{{ structured_prompt }}",
    "extra_rules": " Every step has a line of its own.",
    "few_shots": "",
}

with Pipeline(name="math-shepherd") as pipeline:
    small = InferenceEndpointsLLM(
        model_id="meta-llama/Meta-Llama-3.1-8B-Instruct",
        tokenizer_id="meta-llama/Meta-Llama-3.1-8B-Instruct",
        generation_kwargs={"max_new_tokens": 1024, "temperature": 0.6},
    )
    large = InferenceEndpointsLLM(
        model_id="meta-llama/Meta-Llama-3.1-70B-Instruct",
        tokenizer_id="meta-llama/Meta-Llama-3.1-70B-Instruct",
        generation_kwargs={"max_new_tokens": 1024, "temperature": 0.6},
    )
    load = LoadDataFromHub(
        name="load",
        repo_id="someone/sums",
        num_examples=2,
        output_mappings={"question": "instruction"},
    )
    golden = MathShepherdGenerator(name="golden", llm=large, **PROMPTS)
    solutions = MathShepherdGenerator(
        name="solutions",
        llm=small,
        M=2,
        **PROMPTS,
    )
    combine = CombineOutputs(name="combine")
    completer = MathShepherdCompleter(
        name="completer",
        llm=small,
        N=2,
        **PROMPTS,
    )
    expand = ExpandColumns(name="expand", columns=["solutions"], split_statistics=True)
    prm = FormatPRM(name="prm", format="trl")
    load >> [golden, solutions] >> combine >> completer >> expand >> prm
