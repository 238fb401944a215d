"""Chats through the chat template of a Hugging Face tokenizer."""

from __future__ import annotations

from typing import Any, NamedTuple

from beam_distilabel.errors import EngineError, GenerationError
from beam_distilabel.models.magpie import MagpieChatTemplateMixin


class Prompt(NamedTuple):
    """A text for a model.

    Attributes:
        text: the prompt.
        add_special_tokens: whether the tokenizer has to put its own around it; chat templates write
            them themselves.
    """

    text: str
    add_special_tokens: bool


def load_tokenizer(whose: str, name: str, **arguments: Any) -> Any:
    """The tokenizer `name`.

    Args:
        whose: the LLM class, for the message.
        name: on the Hugging Face Hub, or a folder.
        arguments: of `AutoTokenizer.from_pretrained`.

    Raises:
        EngineError: it can't be loaded.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise EngineError(
            f"{whose} needs the package `transformers` for its tokenizer ({error}). Install it "
            "with `pip install 'beam-distilabel[hf-transformers]'`."
        ) from error
    try:
        return AutoTokenizer.from_pretrained(name, **arguments)
    except Exception as error:
        raise EngineError(
            f"{whose} can't load the tokenizer {name!r}: {type(error).__name__}: {error}"
        ) from error


def rendered(llm: MagpieChatTemplateMixin, tokenizer: Any, input: Any) -> Prompt:
    """The prompt that `input`, a chat or a text, becomes.

    A model without a chat template gets a single message as it is.

    Args:
        llm: says whether the model writes the user's turn next.
        tokenizer: of transformers, or one that wraps it.
        input: a chat, or a text, which is a raw prompt.

    Raises:
        GenerationError: the template rejects the chat.
        EngineError: there is no template, and the chat has several messages.
    """
    if isinstance(input, str):
        return Prompt(input, True)
    whose = type(llm).__name__
    user_is_next = llm.user_is_next(input)
    if not input:
        if not user_is_next:
            raise GenerationError("the chat has no message.", "render")
        text = llm.apply_magpie_pre_query_template("", input)
        # A template that was given in full may begin with the tokenizer's first token.
        begins = getattr(tokenizer, "bos_token", None)
        return Prompt(text, not (begins and text.startswith(begins)))
    if getattr(tokenizer, "chat_template", None) is None:
        if len(input) > 1 or user_is_next or not isinstance(input[0].get("content"), str):
            raise EngineError(
                f"{whose}: the tokenizer has no chat template, and the chat is more than one "
                "text. Use a tokenizer with a template, or `chat_template=` where the LLM has it."
            )
        return Prompt(input[0]["content"], True)
    try:
        text = tokenizer.apply_chat_template(
            list(input), tokenize=False, add_generation_prompt=not user_is_next
        )
    except Exception as error:
        raise GenerationError(
            f"the prompt could not be made: {type(error).__name__}: {error}", "render"
        ) from error
    return Prompt(llm.apply_magpie_pre_query_template(str(text), input), False)
