"""Failures on demand: rules for certain prompts, and chaos for a share of all requests."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable
from typing import Any, Literal

from aiohttp import web

Kind = Literal[
    "rate_limit",  # 429 with Retry-After
    "error",  # 500
    "drop",  # the connection ends without an answer
    "slow",  # no answer until the client gives up
    "malformed",  # 200 with half a JSON object
    "lost",  # the answer is made and charged for, and the connection ends
    "content_filter",  # 400: the prompt is refused
    "too_long",  # 400: the prompt exceeds the context
    "refusal",  # 200: the model refuses
    "no_credit",  # 429 that waiting doesn't help
    "status",  # `status` with `message`
]


@dataclasses.dataclass
class Fault:
    """One rule; the first that matches a request and isn't used up applies.

    Args:
        kind: what happens.
        prompt: regular expression searched in the prompt.
        times: to how many requests it happens; None is all.
        retry_after: the header of 429 and of `status`; None leaves it out.
        status: of `kind="status"`.
        message: the error's text.
        fired: to how many requests it happened.
    """

    kind: Kind
    prompt: str = ""
    times: int | None = 1
    retry_after: str | None = "0.05"
    status: int = 500
    message: str = "injected fault"
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
    fired: int = dataclasses.field(default=0, init=False)

    def applies_to(self, prompt: str) -> bool:
        return (self.times is None or self.fired < self.times) and bool(
            re.search(self.prompt, prompt)
        )


@dataclasses.dataclass(frozen=True)
class Chaos:
    """A share of all requests fails, the same ones in every run.

    Which ones depends on the seed, the prompt and how often it was asked, not on the order in which
    requests arrive.
    """

    seed: int
    share: float
    kinds: tuple[Kind, ...]

    def fault(self, prompt: str, nth: int) -> Fault | None:
        """What happens to the nth request with this prompt."""
        chance = random.Random(f"{self.seed} {prompt} {nth}")
        if chance.random() >= self.share:
            return None
        return Fault(chance.choice(self.kinds))


def error(status: int, message: str, **fields: Any) -> web.Response:
    """An error in the protocol's form."""
    body = {"error": {"message": message, "type": None, "param": None, "code": None, **fields}}
    return web.json_response(body, status=status)


def fault_answer(
    fault: Fault, prompt: str, error: Callable[..., web.Response] = error
) -> web.Response | None:
    """The answer in place of the real one; None where there is none, or the real one is due.

    Args:
        fault: what happens.
        prompt: of the request.
        error: makes an error of the protocol of (status, message, code=...).
    """
    if fault.kind == "rate_limit":
        answer = error(429, "Rate limit reached", type="requests", code="rate_limit_exceeded")
    elif fault.kind == "no_credit":
        answer = error(429, "You exceeded your current quota", code="insufficient_quota")
    elif fault.kind == "error":
        return error(500, "The server had an error while processing your request")
    elif fault.kind == "malformed":
        return web.Response(text='{"choices": [{"mess', content_type="application/json")
    elif fault.kind == "content_filter":
        return error(400, "The prompt was filtered", code="content_filter", param="prompt")
    elif fault.kind == "too_long":
        message = (
            "This model's maximum context length is 4096 tokens. However, your messages resulted "
            f"in {4097 + len(prompt)} tokens. Please reduce the length of the messages."
        )
        return error(400, message, code="context_length_exceeded", type="invalid_request_error")
    elif fault.kind == "status":
        answer = error(fault.status, fault.message, **fault.extra)
    else:
        return None
    if fault.retry_after is not None:
        answer.headers["Retry-After"] = fault.retry_after
    return answer
