"""MagpieChatTemplateMixin under the import path of distilabel 1.5."""

from beam_distilabel.models.magpie import MAGPIE_PRE_QUERY_TEMPLATES, MagpieChatTemplateMixin

__all__ = ["MAGPIE_PRE_QUERY_TEMPLATES", "MagpieChatTemplateMixin"]
