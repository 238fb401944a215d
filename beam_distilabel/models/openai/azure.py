"""`AzureOpenAILLM`: models of Azure OpenAI."""

from __future__ import annotations

import os
from typing import Any

from pydantic import Field, PrivateAttr, SecretStr

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.openai.llm import OpenAILLM
from beam_distilabel.models.remote.redirects import not_followed
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.secrets import secret_from


class AzureOpenAILLM(OpenAILLM):
    """A language model at Azure OpenAI; see `OpenAILLM` for all else.

    Attributes:
        model: the name of the deployment.
        base_url: the resource's endpoint, `https://<resource>.openai.azure.com`; environment
            variable `AZURE_OPENAI_ENDPOINT`.
        api_key: environment variable `AZURE_OPENAI_API_KEY`.
        api_version: of Azure's API; environment variable `OPENAI_API_VERSION`.

    Raises:
        DistilabelUserError: by `load`, there is no endpoint, API key or API version.

    Example:
        >>> llm = AzureOpenAILLM(
        ...     model="my-deployment",
        ...     base_url="https://example.openai.azure.com",
        ...     api_key="...",
        ...     api_version="2024-10-21",
        ... )
        >>> llm.model_name
        'my-deployment'
    """

    base_url: RuntimeParameter[str] | None = Field(
        default_factory=lambda: os.getenv("AZURE_OPENAI_ENDPOINT"),
        description="The Azure OpenAI endpoint.",
    )
    api_key: RuntimeParameter[SecretStr] | None = Field(
        default_factory=lambda: secret_from("AZURE_OPENAI_API_KEY"),
        description="The API key to authenticate the requests.",
    )
    api_version: RuntimeParameter[str] | None = Field(
        default_factory=lambda: os.getenv("OPENAI_API_VERSION"),
        description="The version of Azure's API.",
    )

    _api_key_env_var: str = PrivateAttr("AZURE_OPENAI_API_KEY")

    def load(self) -> None:
        """Make ready to ask; nothing is sent yet.

        Raises:
            DistilabelUserError: there is no endpoint, API key or API version.
            EngineError: the package `openai` isn't installed.
        """
        for name, variable in (
            ("base_url", "AZURE_OPENAI_ENDPOINT"),
            ("api_version", "OPENAI_API_VERSION"),
        ):
            if not getattr(self, name):
                raise DistilabelUserError(
                    f"AzureOpenAILLM has no {name}: give it, also as a runtime parameter, or set "
                    f"the environment variable {variable}."
                )
        super().load()

    def make_client(self) -> Any:
        """A client of the OpenAI SDK; it belongs to one event loop."""
        from openai import AsyncAzureOpenAI, DefaultAsyncHttpxClient

        return AsyncAzureOpenAI(
            azure_endpoint=str(self.base_url),
            azure_deployment=self.model,
            api_version=self.api_version,
            http_client=not_followed(DefaultAsyncHttpxClient()),
            **self._client_arguments(),
        )
