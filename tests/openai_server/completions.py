"""What the server answers: a word is a token."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any


def prompt_of(body: dict[str, Any]) -> str:
    """The raw prompt, or the last message's text."""
    if "prompt" in body:
        return str(body["prompt"])
    content = body["messages"][-1]["content"] if body["messages"] else ""
    return content if isinstance(content, str) else json.dumps(content)


def completion(
    body: dict[str, Any],
    answer: Callable[[dict[str, Any], int], str | None],
    max_choices: int | None = None,
    refused: bool = False,
) -> dict[str, Any]:
    """What is answered to a request's body; a word is a token."""
    count = min(body.get("n") or 1, max_choices or body.get("n") or 1)
    limit = body.get("max_tokens") or body.get("max_completion_tokens") or 16
    choices, used = [], 0
    for index in range(count):
        text = answer(body, index)
        words = (text or "").split(" ")
        cut = len(words) > limit
        if cut:
            text, words = " ".join(words[:limit]), words[:limit]
        used += len(words)
        choice: dict[str, Any] = {"index": index, "finish_reason": "length" if cut else "stop"}
        if "prompt" in body:
            choice["text"] = (body["prompt"] if body.get("echo") else "") + (text or "")
            choice["logprobs"] = _text_logprobs(words, body) if body.get("logprobs") else None
        else:
            message = {"role": "assistant", "content": text, "refusal": None}
            if refused:
                message |= {"content": None, "refusal": "I can't help with that."}
            choice["message"] = message
            choice["logprobs"] = _chat_logprobs(words, body) if body.get("logprobs") else None
        choices.append(choice)
    sent = body.get("messages") or [{"content": body.get("prompt", "")}]
    prompt = sum(len(str(message["content"]).split(" ")) for message in sent)
    usage = {"prompt_tokens": prompt, "completion_tokens": used, "total_tokens": prompt + used}
    # In no order: the protocol has an index.
    choices.reverse()
    kind = "text_completion" if "prompt" in body else "chat.completion"
    return {
        "id": f"answer-{next(_numbers)}",
        "object": kind,
        "created": 1,
        "model": body.get("model"),
        "choices": choices,
        "usage": usage,
    }


_numbers = itertools.count(1)


def default_answer(body: dict[str, Any], index: int) -> str:
    return f"answer to {prompt_of(body)}" + (f" #{index}" if index else "")


def _chat_logprobs(words: list[str], body: dict[str, Any]) -> dict[str, Any]:
    top = body.get("top_logprobs") or 0
    return {
        "content": [
            {
                "token": word,
                "logprob": -0.5,
                "top_logprobs": [{"token": f"{word}{i}", "logprob": -1.0 - i} for i in range(top)],
            }
            for word in words
        ]
    }


def _text_logprobs(words: list[str], body: dict[str, Any]) -> dict[str, Any]:
    top = [{f"{word}{i}": -1.0 - i for i in range(body["logprobs"])} for word in words]
    return {"tokens": words, "token_logprobs": [-0.5] * len(words), "top_logprobs": top}
