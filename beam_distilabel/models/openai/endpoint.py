"""`OpenAIEndpoint`: where and with what key the OpenAI SDK asks."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr, SecretStr

from beam_distilabel.models.openai.errors import explain
from beam_distilabel.models.remote.model import RemoteModel
from beam_distilabel.models.remote.redirects import not_followed
from beam_distilabel.models.remote.retries import Trouble
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.secrets import secret_from

OPENAI_URL = "https://api.openai.com/v1"

_SHORTEST_SECRET = 8


class OpenAIEndpoint(RemoteModel):
    """A model behind an endpoint of OpenAI's protocol; `OpenAILLM` says what its fields mean."""

    model: str
    base_url: RuntimeParameter[str] | None = Field(
        default_factory=lambda: os.getenv("OPENAI_BASE_URL") or OPENAI_URL,
        description="The base URL to use for the requests.",
    )
    api_key: RuntimeParameter[SecretStr] | None = Field(
        default_factory=lambda: secret_from("OPENAI_API_KEY"),
        description="The API key to authenticate the requests.",
    )
    default_headers: RuntimeParameter[dict[str, str]] | None = Field(
        default=None, description="The headers of every request.", repr=False
    )

    sdk: ClassVar[str] = "openai"
    extra: ClassVar[str] = "openai"

    _api_key_env_var: str = PrivateAttr("OPENAI_API_KEY")

    @property
    def model_name(self) -> str:
        return self.model

    # -- life ------------------------------------------------------------------------------------

    def make_client(self) -> Any:
        """A client of the OpenAI SDK; it belongs to one event loop."""
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        return AsyncOpenAI(
            base_url=self.base_url,
            http_client=not_followed(DefaultAsyncHttpxClient()),
            **self._client_arguments(),
        )

    def _client_arguments(self) -> dict[str, Any]:
        assert self.api_key is not None
        return {
            "api_key": self.api_key.get_secret_value(),
            "default_headers": self.default_headers,
            "timeout": self.timeout,
            # Its retries know neither our limits nor a deadline.
            "max_retries": 0,
        }

    def explain(self, error: Exception) -> Trouble:
        """What an error of one attempt means."""
        return explain(error, self._answered, self.secrets())

    def secrets(self) -> list[str]:
        """What must be in no message: the key and the headers."""
        headers = (self.default_headers or {}).values()
        return [*super().secrets(), *(one for one in headers if len(one) >= _SHORTEST_SECRET)]
