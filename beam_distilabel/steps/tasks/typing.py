"""The Task types under the import path of distilabel 1.5."""

from beam_distilabel.typing import ChatItem, ChatType, FormattedInput, StructuredInput

__all__ = ["ChatItem", "ChatType", "FormattedInput", "StructuredInput"]
