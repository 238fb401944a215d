"""`AnyscaleLLM`: models of Anyscale."""

from __future__ import annotations

import os

from pydantic import Field, PrivateAttr, SecretStr

from beam_distilabel.models.openai.llm import OpenAILLM
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.secrets import secret_from

_URL = "https://api.endpoints.anyscale.com/v1"


class AnyscaleLLM(OpenAILLM):
    """A language model at Anyscale; see `OpenAILLM` for all else.

    Attributes:
        base_url: environment variable `ANYSCALE_BASE_URL`, else Anyscale's public endpoints. A
            service of your own on Anyscale has another address.
        api_key: environment variable `ANYSCALE_API_KEY`.

    Example:
        >>> llm = AnyscaleLLM(model="google/gemma-7b-it", api_key="...")
        >>> llm.model_name
        'google/gemma-7b-it'
    """

    base_url: RuntimeParameter[str] | None = Field(
        default_factory=lambda: os.getenv("ANYSCALE_BASE_URL") or _URL,
        description="The base URL to use for the requests.",
    )
    api_key: RuntimeParameter[SecretStr] | None = Field(
        default_factory=lambda: secret_from("ANYSCALE_API_KEY"),
        description="The API key to authenticate the requests.",
    )

    _api_key_env_var: str = PrivateAttr("ANYSCALE_API_KEY")
