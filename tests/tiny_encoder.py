"""Very small embedding models with random weights, for tests with a real engine."""

from __future__ import annotations

import json
from pathlib import Path

from tests.tiny_model import make_tiny_model

CONTEXT = 64


def make_tiny_encoder(folder: Path, pooling: str = "mean") -> Path:
    """Write a BERT with the files of `sentence-transformers` to `folder`.

    Args:
        folder: is made.
        pooling: "mean" or "cls"; the vectors are normalized.
    """
    import torch
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer, BertConfig, BertModel

    make_tiny_model(folder, chat_template=None)
    (folder / "model.safetensors").unlink()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"cls_token": "[CLS]", "sep_token": "[SEP]"})
    tokenizer.pad_token = "<unk>"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $0 [SEP]",
        special_tokens=[
            ("[CLS]", tokenizer.cls_token_id),
            ("[SEP]", tokenizer.sep_token_id),
        ],
    )
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(
            BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=CONTEXT,
                pad_token_id=0,
            ),
            add_pooling_layer=False,
        )
    model.save_pretrained(folder)
    _describe(folder, pooling)
    return folder


def _describe(folder: Path, pooling: str) -> None:
    """The files that tell `sentence-transformers`, and vLLM, how vectors are made."""
    package = "sentence_transformers.models"
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    (folder / "modules.json").write_text(
        json.dumps(
            [
                {"idx": i, "name": str(i), "path": path, "type": f"{package}.{name}"}
                for i, (path, name) in enumerate(modules)
            ]
        )
    )
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps(
            {
                "word_embedding_dimension": 64,
                "pooling_mode_cls_token": pooling == "cls",
                "pooling_mode_mean_tokens": pooling == "mean",
                "pooling_mode_max_tokens": False,
                "pooling_mode_mean_sqrt_len_tokens": False,
            }
        )
    )
    (folder / "2_Normalize").mkdir()
