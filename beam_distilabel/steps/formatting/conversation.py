"""ConversationTemplate under the import path of distilabel 1.5."""

from beam_distilabel.transforms.formatting.conversation_template import ConversationTemplate

__all__ = ["ConversationTemplate"]
