"""Run Steps that ask no model on a few rows and print what they make of them, as JSON.

    python -m tests.compat.step_results PACKAGE

The same code runs against distilabel, in its own environment, and against beam_distilabel.
"""

import contextlib
import copy
import importlib
import json
import random
import sys
from collections.abc import Iterator
from typing import Any

METADATA = "distilabel_metadata"
TOKENS = {"statistics_a": {"input_tokens": [4], "output_tokens": [6]}, "raw_output_a": "t"}
CHAT = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "u"},
    {"role": "assistant", "content": "a"},
    {"role": "user", "content": "v"},
]

Case = tuple[str, str, dict[str, Any], list[list[dict[str, Any]]]]
"""Module, class, arguments, and the rows of each predecessor."""


def cases() -> Iterator[Case]:
    """Steps, and rows that they can use; both packages have to make the same of them."""
    yield (
        "steps",
        "GroupColumns",
        {"columns": ["g", "m"], "output_columns": ["gs", "ms"]},
        [
            [{"i": 1, "g": "a", "m": "x", METADATA: {"raw_output_a": 1, "statistics_a": 3}}],
            [{"i": 1, "g": "b", "m": "y", METADATA: {"raw_output_b": 2}}],
        ],
    )
    yield (
        "steps",
        "GroupColumns",
        {"columns": ["g"]},
        [[{"i": 1, "g": None}], [{"i": 2, "g": [1], "z": 1}], [{"y": 1}]],
    )
    yield (
        "steps",
        "CombineOutputs",
        {},
        [
            [{"a": 1, "b": 2, METADATA: {"x": 1}}],
            [{"c": 3, "b": 4, METADATA: {"y": 2}}],
            [{"d": 4}],
        ],
    )
    yield "steps", "ExpandColumns", {"columns": ["a"]}, [[{"a": [1, None], "b": 3}, {"a": []}]]
    renamed = {"columns": {"a": "x", "b": "y"}}
    yield "steps", "ExpandColumns", renamed, [[{"a": [1, 2], "b": [3, [4]]}]]
    encoded = {"columns": {"a": "x"}, "encoded": True}
    yield "steps", "ExpandColumns", encoded, [[{"a": '["p", {"q": 1}]', "b": 1}]]
    split = {"columns": ["a"], "split_statistics": True}
    yield "steps", "ExpandColumns", split, [[{"a": [1, 2], METADATA: TOKENS}]]
    yield "steps", "MergeColumns", {"columns": ["a", "b"]}, [[{"a": 1, "b": [2, [3]], "c": 4}]]
    onto = {"columns": ["a", "b"], "output_column": "a"}
    yield "steps", "MergeColumns", onto, [[{"a": None, "b": "x", "c": 4}]]
    yield "steps", "TruncateTextColumn", {"max_length": 3}, [[{"text": "a€😀bc"}, {"text": ""}]]
    asked = [
        {"instruction": "é", "generation": "4"},
        {"instruction": "i", "generation": "g", "system_prompt": "s"},
        {"instruction": "i", "generation": "g", "system_prompt": None},
    ]
    yield "steps", "FormatTextGenerationSFT", {}, [asked]
    yield "steps", "FormatChatGenerationSFT", {}, [[{"messages": CHAT, "generation": "4"}]]
    rated = [
        {
            "instruction": "i",
            "generations": ["a", "b", "c", "d"],
            "ratings": [1, 3, 3, 1],
            "generation_models": ["w", "x", "y", "z"],
            "system_prompt": "s",
        },
        {"instruction": "i", "generations": ["a", "b"], "ratings": [1.5, 1]},
    ]
    yield "steps", "FormatTextGenerationDPO", {}, [rated]
    rated_chat = {"messages": CHAT, "generations": ["a", "b"], "ratings": [1, 3]}
    yield "steps", "FormatChatGenerationDPO", {}, [[rated_chat]]
    yield "steps", "ConversationTemplate", {}, [[{"instruction": "i", "response": "r", "x": 1}]]
    solved = [{"instruction": "i", "solutions": ["Step 1: a +", "Step 2: b -"]}]
    for arguments in ({}, {"step_token": "?"}, {"format": "trl"}):
        yield "steps.tasks", "FormatPRM", arguments, [solved]
    examples = [{"query": ["a", "b"], "answers": ["c", "d"], "z": 1}]
    yield "steps.tasks.apigen.utils", "PrepareExamples", {}, [examples]
    draw = random.Random(3)
    scored = [
        {
            "n": n,
            "evol_instruction_score": draw.randint(1, 6),
            "evol_response_score": draw.choice([None, 1, 2, 5]),
            "embedding": [draw.gauss(0, 1) for _ in range(3)],
        }
        for n in range(40)
    ]
    for metric in ("cosine", "manhattan"):
        for normalize in (True, False):
            for threshold in (0.01, 0.05, 0.1):
                arguments = {
                    "data_budget": 9,
                    "diversity_threshold": threshold,
                    "normalize_embeddings": normalize,
                    "distance_metric": metric,
                }
                yield "steps", "DeitaFiltering", arguments, [scored]


def results(package: str) -> Iterator[list[dict[str, Any]]]:
    """What the Steps of `package` make of the rows of each case."""
    for module, name, arguments, inputs in cases():
        step = getattr(importlib.import_module(f"{package}.{module}"), name)(**arguments)
        step.load()
        yield next(step.process(*copy.deepcopy(inputs)))


def main() -> int:
    """Print the results of the package that the argument names."""
    with contextlib.redirect_stdout(sys.stderr):  # for whatever the imports print
        found = list(results(sys.argv[1]))
    print(json.dumps(found, default=float))
    return 0


if __name__ == "__main__":
    sys.exit(main())
