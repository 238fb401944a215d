"""The Steps that format rows for SFT under the import path of distilabel 1.5."""

from beam_distilabel.transforms.formatting.format_chat_generation_sft import FormatChatGenerationSFT
from beam_distilabel.transforms.formatting.format_text_generation_sft import FormatTextGenerationSFT

__all__ = ["FormatChatGenerationSFT", "FormatTextGenerationSFT"]
