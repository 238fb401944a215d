"""Qwen3's architectures without its weights: configuration, and a tokenizer that is made here.

vLLM makes random weights itself (`load_format="dummy"`). The tokenizer is a byte-level BPE trained
on made-up words; the rest of its 151,936 entries are made-up words too, so that every token that a
random model samples has a text of ordinary length.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

VOCABULARY = 151_936
_TRAINED = 20_000
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The sizes of a Qwen3 model, as in its `config.json` on the Hugging Face Hub."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int = 8
    head_dim: int = 128
    tie_word_embeddings: bool = True

    @property
    def parameters(self) -> int:
        """How many parameters the model has."""
        embeddings = VOCABULARY * self.hidden_size * (1 if self.tie_word_embeddings else 2)
        heads = self.num_attention_heads + self.num_key_value_heads
        attention = 2 * heads * self.head_dim * self.hidden_size + 2 * self.head_dim
        mlp = 3 * self.hidden_size * self.intermediate_size
        layer = attention + mlp + 2 * self.hidden_size
        return embeddings + self.num_hidden_layers * layer + self.hidden_size


ARCHITECTURES = {
    "Qwen3-0.6B": Architecture(1024, 3072, 28, 16),
    "Qwen3-1.7B": Architecture(2048, 6144, 28, 16),
    "Qwen3-4B": Architecture(2560, 9728, 36, 32),
    "Qwen3-8B": Architecture(4096, 12288, 36, 32, tie_word_embeddings=False),
}

SMOKE = Architecture(64, 128, 2, 2, num_key_value_heads=2, head_dim=32)
"""Two layers, for a machine without a GPU."""


def make_model(folder: Path, architecture: Architecture) -> Path:
    """Write configuration and tokenizer to `folder`; there are no weights."""
    from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config

    folder.mkdir(parents=True)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=_make_tokenizer(), eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = _CHAT_TEMPLATE
    fast.save_pretrained(folder)
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        max_position_embeddings=40_960,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        dtype="bfloat16",
        architectures=["Qwen3ForCausalLM"],
        **ids,
        **dataclasses.asdict(architecture),
    )
    config.save_pretrained(folder)
    GenerationConfig(**ids).save_pretrained(folder)
    return folder


def words(seed: int) -> Iterator[str]:
    """Endless made-up words; few are frequent, as in a language."""
    draw = random.Random(seed)
    known = _word_list()
    while True:
        # Zipf's law: the rank of a word is about the inverse of its frequency.
        yield known[min(int(draw.paretovariate(1.0)) - 1, len(known) - 1)]


def _word_list(count: int = 30_000) -> list[str]:
    draw = random.Random(0)
    syllables = [c + v + e for c in "bdfghklmnprstvw" for v in "aeiou" for e in ("", "n", "r", "s")]
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(draw.choices(syllables, k=draw.choice((1, 1, 2, 2, 3))))] = None
    return list(found)


def _make_tokenizer() -> object:
    import json

    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    def text() -> Iterator[str]:
        source = words(1)
        for _ in range(10_000):
            yield " ".join(itertools.islice(source, 50))

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=_TRAINED,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(text(), trainer)
    model = json.loads(trained.to_str())["model"]
    vocabulary: dict[str, int] = model["vocab"]
    for number in itertools.count():
        if len(vocabulary) == VOCABULARY:
            break
        # "Ġ" is a space; digits and a capital make it a word of no merge.
        vocabulary.setdefault(f"ĠW{number:x}", len(vocabulary))
    merges = [tuple(pair) for pair in model["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(_SPECIAL)
    return tokenizer
