"""An endpoint whose answers depend on what it is asked only, and that counts how often it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from beam_distilabel.row import fingerprint
from tests.openai_server import OpenAIServer
from tests.openai_server.completions import prompt_of

WRITER = "writer"
JUDGE = "judge"

_NOT_SAMPLING = frozenset(("model", "n"))


class CountingServer(OpenAIServer):
    """Serves a writer, which answers with a text, and a judge, which answers with a grade.

    An answer depends on the prompt, the sampling parameters and the seed: on all that a request
    says, and on nothing else.

    Args:
        latency: seconds that an answer takes.
    """

    def __init__(self, latency: float = 0.005) -> None:
        super().__init__()
        self.models = [WRITER, JUDGE]
        self.latency = latency
        self.answer = answer_of
        self._answered = 0
        self._calls: dict[int, Callable[[], Any]] = {}

    def call_after(self, answers: int, call: Callable[[], Any]) -> None:
        """Let `call` be called when so many more requests were answered and the next one is due.

        It is called on the server's thread, before that next answer is sent.
        """
        self._calls[self._answered + answers] = call

    def completion(self, body: dict[str, Any], refused: bool) -> dict[str, Any]:
        call = self._calls.pop(self._answered, None)
        if call is not None:
            call()
        self._answered += 1
        return super().completion(body, refused)

    def asked(self) -> Counter[tuple[str, str]]:
        """(model, prompt) to how often it was asked."""
        return Counter((str(one.body["model"]), one.prompt) for one in list(self.received))

    def forget(self) -> None:
        """Count from zero again."""
        self.received.clear()


def answer_of(body: dict[str, Any], index: int) -> str:
    """The answer to a request's body."""
    drawn = fingerprint(
        {name: value for name, value in body.items() if name not in _NOT_SAMPLING}, index
    )
    if body["model"] == JUDGE:
        return f"Feedback: grade of {drawn} [RESULT] {1 + int(drawn, 16) % 5}"
    return f"text {drawn} for {prompt_of(body)}"


def asked_again(asked: Counter[tuple[str, str]]) -> Counter[str]:
    """Model to how often it was asked what it had been asked before."""
    again: Counter[str] = Counter()
    for (model, _), times in asked.items():
        again[model] += times - 1
    return again
