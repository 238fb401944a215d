"""The Steps that format rows for DPO under the import path of distilabel 1.5."""

from beam_distilabel.transforms.formatting.format_chat_generation_dpo import FormatChatGenerationDPO
from beam_distilabel.transforms.formatting.format_text_generation_dpo import FormatTextGenerationDPO

__all__ = ["FormatChatGenerationDPO", "FormatTextGenerationDPO"]
