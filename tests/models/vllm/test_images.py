"""Images with the real engine: a very small Llava with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from beam_distilabel.models.vllm import vLLM
from beam_distilabel.steps.tasks import TextGenerationWithImage
from tests.fakes import run_with_failures
from tests.tiny_model import make_tiny_model

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_tiny_llava(folder: Path) -> Path:
    """Write the model to `folder`; an image of 28 x 28 pixels is four tokens."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import (
        AutoTokenizer,
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    make_tiny_model(folder, added_tokens=["<image>"], chat_template=TEMPLATE)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=1024,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        projection_dim=32,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_select_strategy="default",
        vision_feature_layer=-1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlavaForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
    # vLLM reads the names that published checkpoints have.
    weights = load_file(folder / "model.safetensors")
    renamed = {
        name.replace("vision_tower.", "vision_tower.vision_model."): weight
        for name, weight in weights.items()
    }
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    size = {"height": 28, "width": 28}
    LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=size),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    return folder


def test_the_model_sees_the_image(tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    pytest.importorskip("torchvision", reason="vLLM's models that see images need it")
    llm = vLLM(
        model=str(make_tiny_llava(tmp_path / "llava")),
        extra_kwargs={"max_num_seqs": 8, "limit_mm_per_prompt": {"image": 1}},
        generation_kwargs={"max_new_tokens": 8, "temperature": 0.0, "echo": True},
    )
    colors: list[Any] = [(255, 0, 0), (0, 0, 255), (255, 0, 0), None]
    rows = [
        {"instruction": "what?", "i": i, "image": color and Image.new("RGB", (40, 30), color)}
        for i, color in enumerate(colors)
    ]
    step = TextGenerationWithImage(name="look", llm=llm, image_type="PIL")
    done, failures = run_with_failures(rows, step)
    said = {row["i"]: row["generation"] for row in done}
    assert said[0].startswith("<|user|>what?<image></s><|assistant|>")
    assert said[0] == said[2] != said[1]
    assert said[3] is None and [failure.kind for failure in failures] == ["render"]
