"""`TogetherLLM`: models of Together AI."""

from __future__ import annotations

import os

from pydantic import Field, PrivateAttr, SecretStr

from beam_distilabel.models.openai.llm import OpenAILLM
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.secrets import secret_from


class TogetherLLM(OpenAILLM):
    """A language model at Together AI; see `OpenAILLM` for all else.

    Attributes:
        base_url: environment variable `TOGETHER_BASE_URL`, else Together's own.
        api_key: environment variable `TOGETHER_API_KEY`.

    Example:
        >>> llm = TogetherLLM(model="mistralai/Mixtral-8x7B-Instruct-v0.1", api_key="...")
        >>> llm.model_name
        'mistralai/Mixtral-8x7B-Instruct-v0.1'
    """

    base_url: RuntimeParameter[str] | None = Field(
        default_factory=lambda: os.getenv("TOGETHER_BASE_URL") or "https://api.together.xyz/v1",
        description="The base URL to use for the requests.",
    )
    api_key: RuntimeParameter[SecretStr] | None = Field(
        default_factory=lambda: secret_from("TOGETHER_API_KEY"),
        description="The API key to authenticate the requests.",
    )

    _api_key_env_var: str = PrivateAttr("TOGETHER_API_KEY")
