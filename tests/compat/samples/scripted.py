"""Puts models that answer from a script in the place of a pipeline's own.

A pipeline is built, dumped and loaded with the classes of real providers. Before it runs, each of
its models is exchanged for one of a subclass that has the same fields, refuses the same arguments,
and reaches no server. The same code serves distilabel and beam_distilabel.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.compat import fakes

FIELDS = ("llm", "image_generation_model", "embeddings")

Answers = str | None | list[str | None]
"""What a model writes: always the same, or one text per generation."""


def text_of(input: Any) -> str:
    """Return all that an LLM is asked, as one text."""
    chat = input[0] if isinstance(input, tuple) else input
    return chat if isinstance(chat, str) else "\n".join(str(one["content"]) for one in chat)


def reply(self: Any, input: Any, num_generations: int) -> dict[str, Any]:
    """Answer as the script says.

    Raises:
        LookupError: the script has no answer to this input.
    """
    asked = text_of(input)
    for marker, answers in json.loads(self.script):
        if marker in asked:
            texts = [answers[i % len(answers)] for i in range(num_generations)]
            return {
                "generations": texts,
                "statistics": {
                    "input_tokens": [len(asked.split())],
                    "output_tokens": [len((text or "").split()) for text in texts],
                },
            }
    raise LookupError(f"the script has no answer to {asked!r}")


def script_of(answers: Answers | Mapping[str, Answers]) -> list[tuple[str, list[str | None]]]:
    """Return (text that the input has to hold, answers), the first that fits counts."""
    by_marker = answers if isinstance(answers, Mapping) else {"": answers}
    return [
        (marker, texts if isinstance(texts, list) else [texts])
        for marker, texts in by_marker.items()
    ]


def scripted_class(real: type) -> type:
    """Return the subclass of ``real`` that answers from a script."""
    name = f"Scripted{real.__name__}"
    known = globals().get(name)
    if isinstance(known, type) and known.__bases__ == (real,):
        return known
    namespace = {
        **fakes.overrides(real.__name__, real, reply),
        "__module__": __name__,
        "__qualname__": name,
        # A field: models of equal fields share an engine here.
        "__annotations__": {"script": str},
        "script": "[]",
    }
    cls = type(name, (real,), namespace)
    globals()[name] = cls  # so that other processes find it
    return cls


def script_models(
    steps: Iterable[Any], answers: Mapping[str, Answers | Mapping[str, Answers]]
) -> None:
    """Exchange the models of ``steps``; ``answers`` has what each Step's model writes.

    A model of the user's own stays.

    Raises:
        KeyError: a Step with an LLM has no answers.
    """
    for step in steps:
        for field in FIELDS:
            if field not in type(step).model_fields:
                continue
            model = getattr(step, field)
            if type(model).__name__ not in fakes.MODELS:
                continue  # of the user's own
            given = {name: getattr(model, name) for name in model.model_fields_set}
            if type(model).__name__ in fakes.LLMS:
                given["script"] = json.dumps(script_of(answers[step.name]))
            setattr(step, field, scripted_class(type(model))(**given))
