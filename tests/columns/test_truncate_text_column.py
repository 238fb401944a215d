"""TruncateTextColumn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from beam_distilabel.errors import EngineError
from beam_distilabel.metadata import METADATA
from beam_distilabel.steps import TruncateTextColumn
from beam_distilabel.transforms.columns.truncate_text_column import first_tokens
from tests.fakes import plain, run, run_with_failures


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A byte-level tokenizer: characters beyond ASCII have several tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["the quick brown fox jumps over the lazy dog"], trainer)
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tokenizer_folder)


def test_characters() -> None:
    rows = [{"text": "a€😀b", "n": 1}, {"text": ""}, {"text": None}]
    step = TruncateTextColumn(max_length=3)
    assert plain(run(rows, step)) == [{"text": "a€😀", "n": 1}, {"text": ""}, {"text": None}]


@settings(max_examples=60, deadline=None)
@given(text=st.text(), count=st.integers(1, 6))
def test_tokens(tokenizer: Any, text: str, count: int) -> None:
    cut = first_tokens(tokenizer, text, count)
    tokens = tokenizer.encode(text, add_special_tokens=False)
    assert text.startswith(cut)
    assert (cut == text) == (len(tokens) <= count)
    # A character that more than `count` tokens make is left out, no other.
    assert text.encode().startswith(cut.encode())
    kept = len(tokenizer.decode(tokens[:count]).rstrip("\ufffd"))
    assert len(tokens) <= count or len(cut) >= kept


def test_a_tokenizer_is_loaded_on_the_worker(tokenizer_folder: str, tokenizer: Any) -> None:
    step = TruncateTextColumn(column="said", max_length=2, tokenizer=tokenizer_folder)
    text = "the quick brown fox"
    with pytest.raises(RuntimeError, match="call `load\\(\\)` first"):
        next(step.process([{"said": text}]))
    [row] = plain(run([{"said": text}], step))
    tokens = tokenizer.encode(text, add_special_tokens=False)
    assert row == {"said": tokenizer.decode(tokens[:2])}
    assert row["said"] != text


def test_a_slow_tokenizer_decodes_what_it_keeps() -> None:
    class Words:
        is_fast = False

        def encode(self, text: str, add_special_tokens: bool) -> list[str]:
            assert not add_special_tokens
            return text.split()

        def decode(self, tokens: list[str]) -> str:
            return " ".join(tokens)

    assert first_tokens(Words(), "one  two  three", 2) == "one two"
    assert first_tokens(Words(), "one  two", 2) == "one  two"


def test_a_tokenizer_that_is_not_there(tmp_path: Path) -> None:
    step = TruncateTextColumn(tokenizer=str(tmp_path / "none"))
    with pytest.raises(EngineError, match="TruncateTextColumn can't load the tokenizer"):
        step.load()


def test_a_bad_row_costs_itself() -> None:
    step = TruncateTextColumn(name="cut", max_length=2)
    rows, failures = run_with_failures([{"text": 5}, {"other": 1}, {"text": "abc"}], step)
    assert [failure.message for failure in failures] == [
        "the column 'text' is a int, not a text",
        "the row has no column 'text'",
    ]
    assert [row["text"] for row in rows] == [None, None, "ab"]
    assert rows[0][METADATA]["failure_cut"]["kind"] == "column"


def test_arguments_that_can_not_be_meant() -> None:
    with pytest.raises(ValidationError, match="max_length"):
        TruncateTextColumn(max_length=0)
    with pytest.raises(ValidationError, match="column"):
        TruncateTextColumn(column="")
