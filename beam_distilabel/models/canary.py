"""The canary: one request that shows whether an engine really follows structures.

An engine that ignores `structured_output` answers all the same, and a good model often in the right
form; what is wrong then shows late, row by row. So the first request with a structure follows one
whose structure allows a single answer, which nobody gives unless made to.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from beam_distilabel.errors import EngineError, GenerationError
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.structured_output import FORMATS
from beam_distilabel.typing import FormattedInput, GenerateOutput

logger = logging.getLogger(__name__)

_MAX_TOKENS = 64


class Canary:
    """Proves that an engine follows structures, once per life of the engine.

    Args:
        formats: the formats of `structured_output` that the engine takes.
        prompt: what is asked; a raw prompt, or a chat where the engine takes no other.

    Example:
        >>> async def obeys(request):
        ...     chat, structure = request.input
        ...     return {"generations": structure["schema"][:1]}
        >>> async def ignores(request): return {"generations": ["Hello!"]}
        >>> asyncio.run(Canary().prove(obeys, "an engine"))
        >>> asyncio.run(Canary().prove(ignores, "an engine"))
        Traceback (most recent call last):
        beam_distilabel.errors.EngineError: an engine ignores structured output: ...
    """

    def __init__(
        self, formats: Sequence[str] = FORMATS, prompt: FormattedInput = "Say a word:"
    ) -> None:
        self._choice = "choice" in formats
        self._prompt = prompt
        self._proven: Any = _NEVER
        self._lock = asyncio.Lock()

    def proven(self, life: Any = 0) -> bool:
        """Whether the engine has been asked in this `life` of its."""
        return bool(self._proven == life)

    async def prove(
        self,
        ask: Callable[[GenerateRequest], Awaitable[GenerateOutput]],
        engine: str,
        life: Any = 0,
    ) -> None:
        """Ask, unless that was done in this life; callers at the same time wait for one request.

        Args:
            ask: `Engine.generate`, or what does the same without a canary of its own.
            engine: what the engine is, with its version, for the message.
            life: differs between the starts of an engine.

        Raises:
            EngineError: the engine ignores structures, or takes none.
            GenerationError: the canary failed for a reason that says nothing about that; the next
                caller asks anew.
        """
        async with self._lock:
            if self.proven(life):
                return
            word = uuid.uuid4().hex[:12]
            request = GenerateRequest(
                (self._prompt, self._structure(word)),  # type: ignore[arg-type]
                1,
                {"max_new_tokens": _MAX_TOKENS},
            )
            try:
                output = await ask(request)
            except GenerationError as error:
                if error.kind == "refused":
                    raise EngineError(f"{engine} takes no structured output: {error}") from error
                raise
            problem = self._problem(output, word)
            if problem is not None:
                raise EngineError(
                    f"{engine} ignores structured output: {problem}. Use an engine that follows it "
                    "(vLLM does; of a server, see its version and the options that it was started "
                    "with), or leave `structured_output` and `use_default_structured_output` out."
                )
            self._proven = life

    def _structure(self, word: str) -> dict[str, Any]:
        if self._choice:
            return {"format": "choice", "schema": [word]}
        schema = {
            "title": "Word",
            "type": "object",
            "properties": {"word": {"type": "string", "enum": [word]}},
            "required": ["word"],
            "additionalProperties": False,
        }
        return {"format": "json", "schema": schema}

    def _problem(self, output: GenerateOutput, word: str) -> str | None:
        """What is wrong with the answer; None if nothing is, or if it doesn't tell."""
        text = output["generations"][0]
        failure = (output.get("failures") or [None])[0]
        if text is None and failure is not None:
            text = failure.get("raw_output")
        expected = word if self._choice else f'{{"word":"{word}"}}'
        answer = "".join((text or "").split())
        if answer == expected:
            return None
        cut = (output.get("finish_reasons") or [None])[0] == "length"
        if cut and expected.startswith(answer):
            logger.warning(
                "Whether the engine follows structured output could not be told: its answer ended "
                "too early, in reasoning or in white space. Answers are checked one by one."
            )
            return None
        return f"asked for nothing but {word!r}, it answered {(text or '')[:100]!r}"


_NEVER = object()
