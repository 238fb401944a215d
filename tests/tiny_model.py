"""A very small Llama with random weights and its own tokenizer, for tests with a real engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] not in ('system', 'user', 'assistant') %}"
    "{{ raise_exception('no role ' + message['role']) }}"
    "{% endif %}"
    "<|{{ message['role'] }}|>{{ message['content'] }}</s>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

_TEXT = (
    "the quick brown fox jumps over the lazy dog",
    "pack my box with five dozen liquor jugs",
    "how many words does a small tokenizer need to write a sentence",
    '{"name": "value", "number": 12345, "list": [67, 890], "yes": true, "no": null}',
    "Rows go in, rows come out; a pipeline is a recipe.",
)


def make_tiny_model(
    folder: Path,
    *,
    context: int = 1024,
    chat_template: str | None = CHAT_TEMPLATE,
    added_tokens: Sequence[str] = (),
) -> Path:
    """Write the model to `folder`: 2 layers, hidden size 128, `context` tokens of context.

    Args:
        folder: is made.
        context: the longest prompt and answer together, in tokens.
        chat_template: of the tokenizer; None for a model without one.
        added_tokens: tokens on top of the vocabulary that stay in the text.
    """
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<unk>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXT, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    fast.add_tokens([AddedToken(token, normalized=False) for token in added_tokens])
    fast.chat_template = chat_template
    fast.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(fast),
                hidden_size=128,
                intermediate_size=256,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=4,
                max_position_embeddings=context,
                bos_token_id=1,
                eos_token_id=2,
                pad_token_id=0,
            )
        )
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def make_lora(folder: Path, *, seed: int, rank: int = 4) -> Path:
    """Write a LoRA adapter with random weights for the tiny model, in peft's form.

    Args:
        folder: is made.
        seed: of the weights.
        rank: of the matrices.
    """
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "tiny",
        "r": rank,
        "lora_alpha": 64,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["q_proj", "v_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for layer in range(2):
        for module in ("q_proj", "v_proj"):
            name = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            weights[f"{name}.lora_A.weight"] = torch.randn(rank, 128, generator=generator)
            weights[f"{name}.lora_B.weight"] = torch.randn(128, rank, generator=generator)
    save_file(weights, folder / "adapter_model.safetensors")
    return folder
