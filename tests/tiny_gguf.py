"""The tiny Llama of `tests.tiny_model` as a GGUF file, for llama.cpp."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_CONTROL, _NORMAL = 3, 1
_ATTENTION = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output"}
_FEED_FORWARD = {"gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}


def make_tiny_gguf(model: Path, file: Path) -> Path:
    """Write `file`, in float32.

    Args:
        model: what `make_tiny_model` wrote.
        file: is made.
    """
    import gguf
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    llama = LlamaForCausalLM.from_pretrained(model, dtype=torch.float32)
    config = llama.config
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_tokenizer(writer, model, AutoTokenizer.from_pretrained(model))
    heads = config.num_attention_heads
    for name, weights in llama.state_dict().items():
        array = weights.numpy()
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            array = _interleaved(array, heads)
        writer.add_tensor(_gguf_name(name), array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_tokenizer(writer: Any, model: Path, tokenizer: Any) -> None:
    described = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    tokens = sorted(described["vocab"], key=described["vocab"].__getitem__)
    special = set(tokenizer.all_special_tokens) | {"<|system|>", "<|user|>", "<|assistant|>"}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([_CONTROL if token in special else _NORMAL for token in tokens])
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in described["merges"]]
    )
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(tokenizer.chat_template)


def _interleaved(weights: Any, heads: int) -> Any:
    """Rows in the order of llama.cpp's rotary embedding: pairs beside each other."""
    size = weights.shape[0] // heads // 2
    return weights.reshape(heads, 2, size, -1).swapaxes(1, 2).reshape(weights.shape)


def _gguf_name(name: str) -> str:
    parts = name.split(".")
    if parts[1] != "layers":
        return {
            "model.embed_tokens.weight": "token_embd.weight",
            "model.norm.weight": "output_norm.weight",
            "lm_head.weight": "output.weight",
        }[name]
    block, kind = parts[2], parts[-2]
    norms = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    return f"blk.{block}.{ {**_ATTENTION, **_FEED_FORWARD, **norms}[kind] }.weight"
