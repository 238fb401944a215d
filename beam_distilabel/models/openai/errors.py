"""What the errors of the OpenAI SDK mean for a request."""

from __future__ import annotations

from collections.abc import Iterable

from beam_distilabel.models.remote.errors import explain_sdk
from beam_distilabel.models.remote.retries import Trouble


def explain(error: Exception, answered: bool, secrets: Iterable[str] = ()) -> Trouble:
    """What an error of one attempt means.

    Args:
        error: of the OpenAI SDK, TimeoutError, or a ValueError about the answer.
        answered: whether the LLM has answered before. If it never has, a wrong key, an unknown
            address or model, and missing credit end the run: nothing is lost. Later they cost rows.
        secrets: what must not be in the message.
    """
    import openai

    return explain_sdk(openai, error, answered, secrets)
