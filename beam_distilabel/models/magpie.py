"""Magpie: letting a chat model write the user's turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import BaseModel

from beam_distilabel.errors import DistilabelUserError

MAGPIE_PRE_QUERY_TEMPLATES = {
    "llama3": "<|start_header_id|>user<|end_header_id|>\n\n",
    "qwen2": "<|im_start|>user\n",
}
"""What these model families' chat templates put before a user's message."""


class MagpieChatTemplateMixin(BaseModel):
    """The fields of LLMs that can write the user's turn, and what they do to a prompt.

    A chat that doesn't end with a user's message is followed by what the model's chat template puts
    before one, so that the model goes on with what a user would ask (Xu et al. 2024, Magpie:
    Alignment Data Synthesis from Scratch by Prompting Aligned LLMs with Nothing, arXiv 2406.08464).

    Attributes:
        use_magpie_template: whether to let the model write the user's turn next.
        magpie_pre_query_template: what the model's chat template puts before a user's message, or
            "llama3" or "qwen2".

    Example:
        >>> llm = MagpieChatTemplateMixin(
        ...     use_magpie_template=True, magpie_pre_query_template="qwen2"
        ... )
        >>> llm.apply_magpie_pre_query_template("", [])
        '<|im_start|>user\\n'
    """

    use_magpie_template: bool = False
    magpie_pre_query_template: str | None = None

    magpie_needs: ClassVar[tuple[str, ...]] = ()
    """Names of fields that writing the user's turn takes besides `magpie_pre_query_template`."""

    def check_magpie(self) -> None:
        """Raise where the model is to write the user's turn and a field for that is missing.

        Raises:
            DistilabelUserError: names the field.
        """
        if not self.use_magpie_template:
            return
        for name in (*self.magpie_needs, "magpie_pre_query_template"):
            if not getattr(self, name):
                hint = (
                    "the tokenizer whose chat template renders the prompts"
                    if name in self.magpie_needs
                    else "'llama3', 'qwen2' or what the model's chat template puts before a user's "
                    "message"
                )
                raise DistilabelUserError(
                    f"{type(self).__name__}(use_magpie_template=True) needs `{name}`: {hint}."
                )

    def user_is_next(self, chat: Sequence[Any]) -> bool:
        """Whether the model writes the user's turn after `chat`."""
        return self.use_magpie_template and (not chat or chat[-1]["role"] != "user")

    def apply_magpie_pre_query_template(self, prompt: str, input: Sequence[Any]) -> str:
        """`prompt`, the rendered `input`, and the beginning of a user's turn where that is next."""
        if not self.user_is_next(input):
            return prompt
        template = str(self.magpie_pre_query_template)
        return prompt + MAGPIE_PRE_QUERY_TEMPLATES.get(template, template)
