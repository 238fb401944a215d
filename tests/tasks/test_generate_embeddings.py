"""GenerateEmbeddings."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from beam_distilabel.errors import PromptTooLongError
from beam_distilabel.models.base import LLM
from beam_distilabel.transforms.tasks.generate_embeddings import GenerateEmbeddings
from tests.fakes import FakeLLM, journal, new_name, run_with_failures


class Lengths(LLM):
    """A model of two dimensions: the place of a token, and how many messages there are."""

    tag: str = "lengths"

    @property
    def model_name(self) -> str:
        return "lengths"

    def load(self) -> None:
        journal(self.tag).add("load")

    def unload(self) -> None:
        journal(self.tag).add("unload")

    def get_last_hidden_states(self, inputs: list[Any]) -> list[Any]:
        texts = [" ".join(message["content"] for message in chat) for chat in inputs]
        if any("too long" in text for text in texts):
            raise PromptTooLongError("the prompt has 9 tokens, the model takes 8")
        return [
            np.array([[i + 1, len(chat)] for i in range(len(text))], np.float32)
            for text, chat in zip(texts, inputs, strict=True)
        ]


CHAT = [{"role": "system", "content": "ab"}, {"role": "user", "content": "c"}]


def test_rows_get_the_last_token_and_bad_ones_cost_themselves() -> None:
    tag = new_name()
    step = GenerateEmbeddings(name="embed", llm=Lengths(tag=tag))
    texts = ["abc", CHAT, None, "too long", 5, [{"role": "user"}], "abcd"]
    done, failures = run_with_failures([{"text": text} for text in texts], step)
    assert {str(row["text"]): row["embedding"] for row in done} == {
        **{str(text): None for text in texts},
        "abc": [3.0, 1.0],
        "abcd": [4.0, 1.0],
        str(CHAT): [4.0, 2.0],
    }
    assert {str(failure.row["text"]): failure.kind for failure in failures} == {
        "None": "render",
        "too long": "too_long",
        "5": "render",
        "[{'role': 'user'}]": "render",
    }
    assert set(journal(tag).events) == {"load", "unload"}
    assert journal(tag).count("load") == journal(tag).count("unload")


def test_an_llm_without_hidden_states_is_refused_at_once() -> None:
    with pytest.raises(ValidationError, match="FakeLLM gives no hidden states; take Transf"):
        GenerateEmbeddings(llm=FakeLLM())
