"""What becomes of an answer's text: reasoning told apart, structure checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from beam_distilabel.models.answer_schema import (
    ENDED_IN_REASONING,
    ONLY_REASONING,
    AnswerSchema,
)
from beam_distilabel.models.vllm.reasoning import ReasoningSplitter
from beam_distilabel.typing import GenerateOutput


def read_answers(
    completions: Sequence[Any],
    schema: AnswerSchema | None,
    splitter: ReasoningSplitter | None,
    structured_outputs: Any,
) -> GenerateOutput:
    """The generations of vLLM's `completions`, with their failures and reasoning.

    An answer that was cut (finish reason "length") isn't checked against the structure.

    Args:
        completions: vLLM's.
        schema: the structure that was asked for.
        splitter: what tells the reasoning apart.
        structured_outputs: vLLM's own form of the structure, after vLLM has read it.
    """
    texts: list[str | None] = []
    failures: list[dict[str, Any] | None] = []
    thoughts: list[str | None] = []
    for completion in completions:
        text: str | None = completion.text
        thought, problem, kind = None, None, "schema"
        if splitter is not None:
            thought, text = splitter.split(completion.text)
        cut = completion.finish_reason == "length"
        if text is None:
            problem, kind = ENDED_IN_REASONING if cut else ONLY_REASONING, "parse"
        elif schema is not None and not cut:
            problem = schema.problem(text)
            if problem is not None:
                problem += _limits_of(structured_outputs)
        failures.append(
            None
            if problem is None
            else {"kind": kind, "message": problem, "attempts": 1, "raw_output": completion.text}
        )
        texts.append(text if problem is None else None)
        thoughts.append(thought)
    output: GenerateOutput = {"generations": texts}
    if any(failure is not None for failure in failures):
        output["failures"] = failures
    if splitter is not None:
        output["reasoning"] = thoughts
    return output


def _limits_of(structured_outputs: Any) -> str:
    """What to do about an answer that the engine let through."""
    # With "auto" vLLM names a backend per request and uses that of the first one for all.
    backend = getattr(structured_outputs, "_backend", None)
    if backend == "guidance" and not structured_outputs._backend_was_auto:
        return ""
    return (
        "; vLLM(extra_kwargs={'structured_outputs_config': {'backend': 'guidance'}}) may follow "
        "all of this structure"
    )
