"""What the Steps that format rows for training share: messages, prompts and their ids."""

from __future__ import annotations

import hashlib
import math
from typing import Any, NamedTuple

import pyarrow as pa

from beam_distilabel.errors import ColumnError
from beam_distilabel.row import Row
from beam_distilabel.transforms.columns.values import check_equal_lengths, list_in, text_in

Message = dict[str, Any]

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
"""The Arrow type of a chat of texts."""

PREFERENCE_OUTPUTS = {
    "prompt": True,
    "prompt_id": True,
    "chosen": True,
    "chosen_model": False,
    "chosen_rating": True,
    "rejected": True,
    "rejected_model": False,
    "rejected_rating": True,
}
"""The columns of a preference: name to whether every row has it."""


def user(content: str) -> Message:
    """A message of the user."""
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    """A message of the assistant."""
    return {"role": "assistant", "content": content}


def asked_messages(row: Row) -> list[Message]:
    """What a model was asked with the columns `instruction` and, if it has text, `system_prompt`.

    Raises:
        ColumnError: the column `instruction` has no text.

    Example:
        >>> asked_messages({"instruction": "Say hi.", "system_prompt": ""})
        [{'role': 'user', 'content': 'Say hi.'}]
    """
    instruction = text_in(row, "instruction")
    system_prompt = row.get("system_prompt")
    if isinstance(system_prompt, str) and system_prompt:
        return [{"role": "system", "content": system_prompt}, user(instruction)]
    return [user(instruction)]


def chat_in(row: Row) -> list[Message]:
    """The chat in the column `messages`.

    Raises:
        ColumnError: there is none.
    """
    messages = list_in(row, "messages")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or "role" not in message or "content" not in message:
            raise ColumnError(
                f"message {number} of the column 'messages' has no role and content: "
                f"{str(message)[:80]!r}"
            )
    return messages


def first_prompt(messages: list[Message]) -> str:
    """The text of the user's first message; of one that is a list of parts, that of its texts.

    Raises:
        ColumnError: the user says nothing.

    Example:
        >>> first_prompt([{"role": "user", "content": [{"type": "text", "text": "What is it?"}]}])
        'What is it?'
    """
    for message in messages:
        if message["role"] == "user":
            content = message["content"]
            parts = content if isinstance(content, list) else [{"text": content}]
            texts = [part.get("text") for part in parts if isinstance(part, dict)]
            told = [text for text in texts if isinstance(text, str)]
            if told:
                return "\n".join(told)
            break
    raise ColumnError("the column 'messages' has no text of the user")


def prompt_id(prompt: str) -> str:
    """The SHA-256 hash of a prompt, in hexadecimal."""
    return hashlib.sha256(prompt.encode("utf-8", "backslashreplace")).hexdigest()


class Choice(NamedTuple):
    """One of several generations.

    Attributes:
        generation: its text.
        rating: as it is in the row.
        model: what wrote it, None where that isn't known.
    """

    generation: str
    rating: Any
    model: Any


class Preference(NamedTuple):
    """The generation that was rated best, and the one that was rated worst."""

    chosen: Choice
    rejected: Choice


def preference_in(row: Row) -> Preference:
    """The best and the worst of the column `generations`, by the column `ratings`.

    A generation that is empty (None) or has no rating is left out of account. Of equally rated ones
    the first counts. The worst is one whose text isn't that of the best.

    Raises:
        ColumnError: the columns have no lists of equal lengths, a rating is no number, fewer than
            two generations are rated, all that differ are rated alike, or none differ.
    """
    generations, ratings = list_in(row, "generations"), list_in(row, "ratings")
    lengths = [("generations", len(generations)), ("ratings", len(ratings))]
    models: list[Any] = [None] * len(generations)
    if row.get("generation_models") is not None:
        models = list_in(row, "generation_models")
        lengths.append(("generation_models", len(models)))
    check_equal_lengths(lengths)
    choices = []
    for generation, rating, model in zip(generations, ratings, models, strict=True):
        if generation is None or rating is None:
            continue
        if not isinstance(generation, str):
            raise ColumnError(f"the column 'generations' has a {type(generation).__name__} in it")
        if not isinstance(rating, (int, float)):
            raise ColumnError(f"the column 'ratings' has {str(rating)[:80]!r} in it, no number")
        if not math.isnan(rating):
            choices.append(Choice(generation, rating, model))
    if len(choices) < 2:
        raise ColumnError(
            f"{len(choices)} of {len(generations)} generations have a text and a rating; a "
            "preference needs two"
        )
    best = max(choices, key=lambda choice: choice.rating)
    others = [choice for choice in choices if choice.generation != best.generation]
    if not others:
        raise ColumnError(f"the {len(choices)} generations are all the same: none is preferred")
    worst = min(others, key=lambda choice: choice.rating)
    if best.rating == worst.rating:
        raise ColumnError(
            f"the generations that differ are all rated {best.rating}: none is preferred"
        )
    return Preference(best, worst)


def preference_columns(row: Row, asked: list[Message]) -> Row:
    """The columns of a preference: `chosen`, `rejected`, their ratings, their models where known.

    Args:
        row: has the generations and their ratings.
        asked: the messages that they answer.

    Raises:
        ColumnError: see `preference_in`.
    """
    columns: Row = {}
    has_models = "generation_models" in row
    for name, choice in preference_in(row)._asdict().items():
        columns[name] = [*asked, assistant(choice.generation)]
        if has_models:
            columns[f"{name}_model"] = choice.model
        columns[f"{name}_rating"] = choice.rating
    return columns
