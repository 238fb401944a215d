"""What the errors of the OpenAI SDK mean for a request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from beam_distilabel.models.remote.retries import Trouble, retry_after_seconds

_TOO_LONG_CODES = (
    "context_length_exceeded",
    "string_above_max_length",
    "exceed_context_size_error",
)
_TOO_LONG = re.compile(
    r"context.?(length|window|size)|prompt is too long|input is too long|too many (input )?tokens"
    r"|must have less than \d+ tokens|request too large",
    re.IGNORECASE,
)
_NO_CREDIT_CODES = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_FILTER_CODES = ("content_filter", "content_policy_violation")
_MAX_MESSAGE = 500


def explain(error: Exception, answered: bool, secrets: Iterable[str] = ()) -> Trouble:
    """What an error of one attempt means.

    Args:
        error: of the OpenAI SDK, TimeoutError, or a ValueError about the answer.
        answered: whether the LLM has answered before. If it never has, a wrong key, an unknown
            address or model, and missing credit end the run: nothing is lost. Later they cost rows.
        secrets: what must not be in the message.
    """
    import openai

    text = _without(secrets, _message_of(error))[:_MAX_MESSAGE]
    if isinstance(error, (openai.APITimeoutError, TimeoutError)):
        return Trouble("timeout", f"the endpoint took too long: {text}", again=True)
    if isinstance(error, openai.APIStatusError) and error.status_code >= 400:
        return _explain_status(error, text, answered)
    if isinstance(error, openai.APIConnectionError):
        return Trouble(
            "engine", f"the endpoint can't be reached: {text}", again=True, whole=not answered
        )
    if isinstance(error, (ValueError, openai.APIResponseValidationError)):
        return Trouble("engine", f"the endpoint's answer can't be read: {text}", again=True)
    return Trouble("engine", text)


def _explain_status(error: Any, text: str, answered: bool) -> Trouble:
    status = error.status_code
    codes = (error.code, error.type)
    message = f"the endpoint refused the request ({status}): {text}"
    if any(code in _TOO_LONG_CODES for code in codes) or status == 413:
        return Trouble("too_long", message)
    if status in (400, 422, 429) and _TOO_LONG.search(text):
        return Trouble("too_long", message)
    if any(code in _NO_CREDIT_CODES for code in codes) or status == 402:
        return Trouble("rate_limit", message, whole=not answered)
    if status in (401, 404):
        return Trouble("refused", message, whole=not answered)
    if any(code in _FILTER_CODES for code in codes):
        return Trouble("refused", f"the endpoint's content filter refused the prompt: {text}")
    after = retry_after_seconds(error.response.headers)
    wish = error.response.headers.get("x-should-retry")
    if status == 429:
        return Trouble("rate_limit", message, again=wish != "false", busy=True, after=after)
    if wish == "true" or (wish != "false" and (status in (408, 409) or status >= 500)):
        return Trouble("engine", f"the endpoint failed ({status}): {text}", again=True, after=after)
    if status >= 500:
        return Trouble("engine", f"the endpoint failed ({status}): {text}")
    return Trouble("refused", message)


def _message_of(error: Exception) -> str:
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        inner = body.get("message") or body.get("detail") or body.get("error")
        if isinstance(inner, dict):
            inner = inner.get("message")
        if inner:
            return str(inner)
    cause = error.__cause__
    text = str(error) or type(error).__name__
    if cause is not None and str(cause) and str(cause) not in text:
        text = f"{text} {type(cause).__name__}: {cause}"
    return text


def _without(secrets: Iterable[str], text: str) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text
