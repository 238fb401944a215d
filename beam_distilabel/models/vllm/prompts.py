"""Prompts for vLLM: chats through the chat template, tokenized, measured."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from beam_distilabel.errors import EngineError, GenerationError, PromptTooLongError
from beam_distilabel.models.magpie import MAGPIE_PRE_QUERY_TEMPLATES

_LONG_TEXT = 100_000
"""Characters from which on a prompt is tokenized in a thread, not on the engine's loop."""


def read_chat_template(chat_template: str | None) -> str | None:
    """The template itself, where a file was given.

    Raises:
        EngineError: it is neither a template nor a file, or has a syntax error.
    """
    if chat_template is None:
        return None
    if "{" not in chat_template:
        path = os.path.expanduser(chat_template)
        if not os.path.isfile(path):
            raise EngineError(
                f"chat_template={chat_template!r} is neither a Jinja template (it has no braces) "
                "nor a file."
            )
        with open(path, encoding="utf-8") as file:
            chat_template = file.read()
    import jinja2

    # transformers' own tag, unknown to plain Jinja, marks the assistant's part.
    plain = chat_template.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    try:
        jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(plain)
    except jinja2.TemplateSyntaxError as error:
        if "generation" not in str(error):
            raise EngineError(
                f"chat_template has a syntax error in line {error.lineno}: {error}"
            ) from error
    return chat_template


class PromptRenderer:
    """Turns inputs into what the engine takes, with vLLM's own renderer.

    Args:
        renderer: `AsyncLLM.renderer`.
        model_config: vLLM's model configuration.
        chat_template: the template; None for the tokenizer's own.
        pre_query_template: what Magpie appends where the user's turn is next; None without Magpie.
    """

    def __init__(
        self,
        renderer: Any,
        model_config: Any,
        chat_template: str | None,
        pre_query_template: str | None,
    ) -> None:
        from vllm.renderers.hf import HfRenderer, resolve_chat_template

        self._renderer = renderer
        self._model_config = model_config
        self._pre_query = (
            None
            if pre_query_template is None
            else MAGPIE_PRE_QUERY_TEMPLATES.get(pre_query_template, pre_query_template)
        )
        self._missing = False
        if isinstance(renderer, HfRenderer):
            # Resolved once: vLLM would look for the model's processor for every chat.
            chat_template = resolve_chat_template(
                renderer.get_tokenizer(), chat_template, None, model_config=model_config
            )
            self._missing = chat_template is None
        self._chat = self._chat_params(chat_template, add_generation_prompt=True)
        self._magpie_chat = self._chat_params(chat_template, add_generation_prompt=False)
        # Without a limit here: vLLM would cut the tokens at it, and the true length be lost.
        self._chat_tokens = dataclasses.replace(
            renderer.default_chat_tok_params, max_total_tokens=None, max_output_tokens=0
        )
        self._text_tokens = dataclasses.replace(
            renderer.default_cmpl_tok_params, max_total_tokens=None, max_output_tokens=0
        )

    def _chat_params(self, chat_template: str | None, add_generation_prompt: bool) -> Any:
        from vllm.renderers.params import ChatParams
        from vllm.utils.mistral import is_mistral_tokenizer

        return ChatParams(
            chat_template=chat_template,
            chat_template_kwargs={
                "add_generation_prompt": add_generation_prompt,
                "continue_final_message": False,
                "tools": None,
                "tokenize": is_mistral_tokenizer(self._renderer.tokenizer),
            },
        )

    async def render(self, prompt: Any) -> tuple[Any, int]:
        """What the engine takes for `prompt` (a chat or a text), and its length in tokens.

        Raises:
            PromptTooLongError: the context doesn't hold it and one token more.
            GenerationError: the template or the tokenizer rejects it.
            EngineError: it is a chat and the model has no chat template.
        """
        if not isinstance(prompt, str) and self._missing:
            raise EngineError(
                f"The model {self._model_config.model!r} has no chat template, and the input is a "
                "chat. Give one with `vLLM(chat_template=...)`: a Jinja template or a file."
            )
        try:
            if _is_plain(prompt):
                render = self._text_input if isinstance(prompt, str) else self._chat_input
                if _length(prompt) > _LONG_TEXT:
                    engine_input = await asyncio.to_thread(render, prompt)
                else:
                    engine_input = render(prompt)
            else:
                _, (engine_input,) = await self._renderer.render_chat_async(
                    [prompt], self._chat, self._chat_tokens
                )
        except Exception as error:
            raise GenerationError(
                f"the prompt could not be made: {type(error).__name__}: {error}", "render"
            ) from error
        tokens = engine_input.get("prompt_token_ids")
        length = len(tokens) if tokens is not None else 0
        limit = self._model_config.max_model_len
        if length + 1 > limit:
            raise PromptTooLongError(
                f"the prompt has {length} tokens, the model's context holds {limit} and the answer "
                "needs at least one of them."
            )
        return engine_input, length

    def _text_input(self, text: str) -> Any:
        from vllm.renderers.inputs.preprocess import parse_model_prompt

        prompt = parse_model_prompt(self._model_config, text)
        return self._renderer.render_cmpl([prompt], self._text_tokens)[0]

    def _chat_input(self, chat: Sequence[dict[str, Any]]) -> Any:
        user_is_next = self._pre_query is not None and (not chat or chat[-1]["role"] != "user")
        if user_is_next and not chat:
            prompt: Any = {"prompt": ""}
        else:
            params = self._magpie_chat if user_is_next else self._chat
            _, prompt = self._renderer.render_messages(list(chat), params)
        if user_is_next:
            prompt["prompt"] += self._pre_query
        return self._renderer.render_cmpl([prompt], self._chat_tokens)[0]

    def text(self, engine_input: Any) -> str:
        """The text of a rendered prompt."""
        text = engine_input.get("prompt")
        if isinstance(text, str):
            return text
        decoded: str = self._renderer.get_tokenizer().decode(engine_input["prompt_token_ids"])
        return decoded


def _is_plain(prompt: Any) -> bool:
    """Whether there is nothing but text in it, so that no media have to be fetched."""
    return isinstance(prompt, str) or all(
        isinstance(message, dict) and isinstance(message.get("content"), (str, type(None)))
        for message in prompt
    )


def _length(prompt: Any) -> int:
    if isinstance(prompt, str):
        return len(prompt)
    return sum(len(message.get("content") or "") for message in prompt)
