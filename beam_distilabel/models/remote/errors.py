"""What an endpoint's error means for a request, whatever SDK reports it."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from beam_distilabel.models.remote.retries import Trouble, retry_after_seconds

MAX_MESSAGE = 500

_TOO_LONG_CODES = (
    "context_length_exceeded",
    "string_above_max_length",
    "exceed_context_size_error",
    "request_too_large",
)
_TOO_LONG = re.compile(
    r"context.?(length|window|size)|prompt is too long|input is too long|too many (input )?tokens"
    r"|must have less than \d+ tokens|request too large"
    r"|input token count .*exceeds|too large for model",
    re.IGNORECASE,
)
_NO_CREDIT_CODES = (
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
)
_NO_CREDIT = re.compile(r"credit balance is too low", re.IGNORECASE)
_CONNECTION_ERRORS = {
    "httpx": ("TransportError",),
    "httpx2": ("TransportError",),
    "aiohttp": ("ClientConnectionError", "ClientPayloadError"),
}
_FILTER_CODES = ("content_filter", "content_policy_violation")


def explain_status(
    status: int,
    text: str,
    answered: bool,
    headers: Mapping[str, str],
    codes: Collection[Any] = (),
    whole: Collection[int] = (401, 404),
    busy: Collection[int] = (429,),
) -> Trouble:
    """What an answer with an error status means.

    Args:
        status: 400 or more.
        text: the endpoint's message, without secrets.
        answered: whether the LLM has answered before. If it never has, a wrong key, an unknown
            address or model, and missing credit end the run: nothing is lost. Later they cost rows.
        headers: of the answer; names in lower case, or a mapping that ignores case.
        codes: the endpoint's own names for the error.
        whole: statuses that all requests would get.
        busy: statuses that say that there is no room: such attempts aren't counted.

    Example:
        >>> explain_status(429, "slow down", True, {"retry-after": "2"}).after
        2.0
        >>> explain_status(401, "wrong key", False, {}).whole
        True
    """
    message = f"the endpoint refused the request ({status}): {text}"
    if any(code in _TOO_LONG_CODES for code in codes) or status == 413:
        return Trouble("too_long", message)
    if status in (400, 422, 429) and _TOO_LONG.search(text):
        return Trouble("too_long", message)
    if any(code in _NO_CREDIT_CODES for code in codes) or status == 402:
        return Trouble("rate_limit", message, whole=not answered)
    if status < 500 and _NO_CREDIT.search(text):
        return Trouble("rate_limit", message, whole=not answered)
    if status in whole:
        return Trouble("refused", message, whole=not answered)
    if any(code in _FILTER_CODES for code in codes):
        return Trouble("refused", f"the endpoint's content filter refused the prompt: {text}")
    after = retry_after_seconds(headers)
    wish = headers.get("x-should-retry")
    if status in busy:
        return Trouble("rate_limit", message, again=wish != "false", busy=True, after=after)
    if wish == "true" or (wish != "false" and (status in (408, 409) or status >= 500)):
        return Trouble("engine", f"the endpoint failed ({status}): {text}", again=True, after=after)
    if status >= 500:
        return Trouble("engine", f"the endpoint failed ({status}): {text}")
    return Trouble("refused", message)


def took_too_long(text: str) -> Trouble:
    """An attempt wasn't answered in its time."""
    return Trouble("timeout", f"the endpoint took too long: {text}", again=True)


def not_reached(text: str, answered: bool) -> Trouble:
    """There was no connection, or it was lost."""
    return Trouble(
        "engine", f"the endpoint can't be reached: {text}", again=True, whole=not answered
    )


def not_readable(text: str) -> Trouble:
    """An answer came, and isn't what the protocol demands."""
    return Trouble("engine", f"the endpoint's answer can't be read: {text}", again=True)


def explain_sdk(
    sdk: Any,
    error: Exception,
    answered: bool,
    secrets: Iterable[str] = (),
    whole: Collection[int] = (401, 404),
    busy: Collection[int] = (429,),
) -> Trouble:
    """What an error of one attempt means, for SDKs that are made as OpenAI's (Anthropic's, Groq's).

    Args:
        sdk: the module, with `APITimeoutError`, `APIStatusError`, `APIConnectionError` and
            `APIResponseValidationError`.
        error: of the SDK, TimeoutError, or a ValueError about the answer.
        answered: as in `explain_status`.
        secrets: what must not be in the message.
        whole: as in `explain_status`.
        busy: as in `explain_status`.
    """
    text = safe_message(error, secrets)
    if isinstance(error, (sdk.APITimeoutError, TimeoutError)):
        return took_too_long(text)
    if isinstance(error, sdk.APIStatusError) and error.status_code >= 400:
        codes = [getattr(error, name, None) for name in ("code", "type")]
        body = getattr(error, "body", None)
        inner = body.get("error") if isinstance(body, dict) else None
        if isinstance(inner, dict):
            codes += [inner.get("code"), inner.get("type")]
        headers = error.response.headers
        return explain_status(error.status_code, text, answered, headers, codes, whole, busy)
    if isinstance(error, sdk.APIConnectionError):
        return not_reached(text, answered)
    if isinstance(error, (ValueError, sdk.APIResponseValidationError)):
        return not_readable(text)
    return Trouble("engine", text)


def is_connection_error(error: Exception) -> bool:
    """Whether there was no connection or it was lost, for SDKs that say so in the words of their
    HTTP client (httpx, httpx2 or aiohttp)."""
    kinds: list[type] = [ConnectionError]
    for module, names in _CONNECTION_ERRORS.items():
        loaded = sys.modules.get(module)
        kinds += [getattr(loaded, name) for name in names if hasattr(loaded, name)]
    return isinstance(error, tuple(kinds))


def is_timeout(error: Exception) -> bool:
    """Whether an attempt took too long, in the words of httpx or httpx2, or our own."""
    kinds: list[type] = [TimeoutError, asyncio.TimeoutError]
    for module in ("httpx", "httpx2"):
        loaded = sys.modules.get(module)
        if loaded is not None:
            kinds.append(loaded.TimeoutException)
    return isinstance(error, tuple(kinds))


def safe_message(error: Exception, secrets: Iterable[str] = ()) -> str:
    """What an error says, without secrets, and not too long."""
    return without(secrets, _message_of(error))[:MAX_MESSAGE]


def message_in(body: Any) -> str | None:
    """The message in the body of an error, in the forms that endpoints have.

    Example:
        >>> message_in({"error": {"message": "no", "type": "x"}}), message_in({"detail": "no"})
        ('no', 'no')
    """
    if not isinstance(body, dict):
        return None
    inner = body.get("message") or body.get("detail") or body.get("error")
    if isinstance(inner, dict):
        inner = inner.get("message") or inner
    return str(inner) if inner else None


def _message_of(error: Exception) -> str:
    body = getattr(error, "body", None)
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            pass  # a page of a proxy; the error's own words have to do
    told = message_in(body)
    if told is not None:
        return told
    cause = error.__cause__
    text = str(error) or type(error).__name__
    if cause is not None and str(cause) and str(cause) not in text:
        text = f"{text} {type(cause).__name__}: {cause}"
    return text


def without(secrets: Iterable[str], text: str) -> str:
    """`text` with stars in place of secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text
