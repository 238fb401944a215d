"""What every engine of `vLLM` has to answer alike."""

from __future__ import annotations

import dataclasses
from typing import Any

from beam_distilabel.errors import GenerationError
from beam_distilabel.models.engine import Engine, GenerateRequest

USER: Any = {"role": "user", "content": "how many words does the fox need"}

REQUESTS: dict[str, GenerateRequest] = {
    "greedy": GenerateRequest([USER], 3, {"temperature": 0.0, "max_new_tokens": 20}, 7),
    "seeds": GenerateRequest([USER], 3, {"max_new_tokens": 8, "top_k": 50, "min_p": 0.001}, 7),
    "raw prompt": GenerateRequest("pack my box", 1, {"max_new_tokens": 8}, 7),
    "logprobs": GenerateRequest([USER], 1, {"max_new_tokens": 5, "logprobs": 3}, 7),
    "logprobs, raw": GenerateRequest("pack my", 1, {"max_new_tokens": 5, "logprobs": 3}, 7),
    "echo": GenerateRequest([USER], 1, {"max_new_tokens": 5, "echo": True}, 7),
    "stop": GenerateRequest(
        [USER], 1, {"max_new_tokens": 60, "stop": ["a"], "include_stop_str_in_output": True}, 7
    ),
    "regex": GenerateRequest(([USER], {"format": "regex", "schema": "[0-9]{5}"}), 1, {}, 7),
    "json": GenerateRequest(
        [USER],
        1,
        {
            "max_new_tokens": 50,
            "structured_output": {
                "format": "json",
                "schema": {
                    "type": "object",
                    "properties": {"a": {"type": "boolean"}},
                    "required": ["a"],
                    "additionalProperties": False,
                },
            },
        },
        7,
    ),
    "cut to the context": GenerateRequest(
        [{"role": "user", "content": " fox" * 1000}],
        1,
        {"max_new_tokens": 500, "extra_sampling_params": {"ignore_eos": True}},
        7,
    ),
    "too long": GenerateRequest([{"role": "user", "content": "fox " * 2000}]),
    "one token too long": GenerateRequest(" fox" * 1024),
    "refused": GenerateRequest([USER], 1, {"top_p": 3.0}),
    "empty": GenerateRequest(""),
}


def answers(engine: Engine, greedy: bool = False) -> dict[str, Any]:
    """What `engine` answers to each of `REQUESTS`; of failures, what they have in common.

    Args:
        engine: is open.
        greedy: whether to sample nothing: a server of others may draw otherwise with our seeds.
    """
    found: dict[str, Any] = {}
    for name, request in REQUESTS.items():
        if greedy:
            kwargs = {**request.generation_kwargs, "temperature": 0.0}
            request = dataclasses.replace(request, generation_kwargs=kwargs)
        try:
            found[name] = engine.call(engine.generate(request))
        except GenerationError as error:
            found[name] = (type(error), error.kind)
    return found
