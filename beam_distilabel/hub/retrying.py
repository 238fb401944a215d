"""Which failures of the Hub pass, and how long to wait for that."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.redaction import hide_secrets

ATTEMPTS = 8
FIRST_DELAY = 0.5
MAX_DELAY = 60.0
DEADLINE = 600.0

_TRANSIENT = frozenset((408, 409, 412, 425, 429, 500, 502, 503, 504))
"""409: another commit is in progress; 412: the head has moved. Both pass."""

_HOPELESS = frozenset(("LocalProtocolError", "UnsupportedProtocol", "InvalidURL"))
"""The transport refuses to send such a request at all."""

logger = logging.getLogger(__name__)

T = TypeVar("T")


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error, or what caused it, came with."""
    seen: BaseException | None = error
    while seen is not None:
        status = getattr(getattr(seen, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
        seen = seen.__cause__
    return None


def is_transient(error: BaseException) -> bool:
    """Whether another attempt may succeed: the Hub was busy, or the connection broke."""
    status = status_of(error)
    if status is not None:
        return status in _TRANSIENT
    seen: BaseException | None = error
    while seen is not None:
        # The transport's own errors: the client's HTTP library differs between its versions.
        if type(seen).__name__ in _HOPELESS:
            return False
        if type(seen).__module__.startswith("httpx") or isinstance(
            seen, (ConnectionError, TimeoutError)
        ):
            return True
        seen = seen.__cause__
    return False


def delay_before(attempt: int, error: BaseException) -> float:
    """Seconds to wait after the failure of an attempt, counted from 0; with jitter.

    The Hub's `Retry-After` is honoured, up to `MAX_DELAY`.
    """
    waited = min(MAX_DELAY, FIRST_DELAY * 2**attempt) * random.uniform(0.5, 1.0)
    response: Any = getattr(error, "response", None)
    try:
        asked = float(response.headers.get("Retry-After", 0)) if response is not None else 0.0
    except ValueError:
        asked = 0.0  # a date; the growing delay does as well
    return min(MAX_DELAY, max(waited, asked))


class OutOfAttempts(DistilabelError):
    """What was tried `ATTEMPTS` times failed each time; the last failure is its cause."""


@contextlib.contextmanager
def explaining_refusal(what: str) -> Iterator[None]:
    """Says of a request that the Hub refuses that the token may be the reason.

    Raises:
        DistilabelUserError: in place of the error of a request that was refused.
    """
    try:
        yield
    except Exception as error:
        if status_of(error) not in (401, 403):
            raise
        raise DistilabelUserError(
            f"{what} was refused: {describe(error)} Is the token still valid, and may it write "
            "there?"
        ) from error


def retrying(what: str, call: Callable[[], T]) -> T:
    """The result of `call`, repeated a bounded number of times while failures may pass.

    Raises:
        OutOfAttempts: the last attempt failed as the others did; other errors come as they are.
    """
    for attempt in range(ATTEMPTS):
        try:
            return call()
        except Exception as error:
            if not is_transient(error):
                raise
            if attempt == ATTEMPTS - 1:
                raise OutOfAttempts(
                    f"the Hub: {what} failed {ATTEMPTS} times: {describe(error)}"
                ) from error
            delay = delay_before(attempt, error)
            logger.info("The Hub: %s failed (%s); again in %.1f s", what, describe(error), delay)
            time.sleep(delay)
    raise AssertionError("unreachable")


def within(seconds: float, what: str, call: Callable[[], T]) -> T:
    """The result of `call`, for which the client itself would wait for ever.

    The call isn't ended by it: what it does has to bear repeating.

    Raises:
        TimeoutError: there is none after `seconds`.
    """
    outcome: list[tuple[T | None, BaseException | None]] = []

    def work() -> None:
        try:
            outcome.append((call(), None))
        except BaseException as error:
            outcome.append((None, error))

    # A daemon: a process whose work is done doesn't wait for a connection that is dead.
    thread = threading.Thread(target=work, name=f"hub-{what}", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"the Hub didn't answer within {seconds:.0f} s: {what}")
    result, error = outcome[0]
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def describe(error: BaseException) -> str:
    """The first line of an error; a transport may quote the token in it."""
    first = (str(error).strip() or "no message").splitlines()[0]
    return hide_secrets(f"{type(error).__name__}: {first}")
