"""`HubEndpoint`: where and with what key the Hub's SDK asks."""

from __future__ import annotations

import logging
import re
import threading
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr, SecretStr

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.models.remote.answers import MalformedAnswer
from beam_distilabel.models.remote.errors import (
    explain_status,
    is_connection_error,
    is_timeout,
    message_in,
    not_reached,
    not_readable,
    safe_message,
    took_too_long,
    without,
)
from beam_distilabel.models.remote.model import RemoteModel
from beam_distilabel.models.remote.redirects import not_followed
from beam_distilabel.models.remote.retries import Trouble
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.secrets import secret_from

ENDPOINT_READY_SECONDS = 300

_TOO_LONG = re.compile(r"`inputs` tokens \+ `max_new_tokens` must be")
_NOT_THERE = re.compile(r"(not supported|no inference provider|provider)", re.IGNORECASE)
_NO_KEY = "-"
"""In place of a key: without one the SDK would send the saved token to any address."""

_endpoints: dict[tuple[str | None, str], tuple[str, str]] = {}
"""(namespace, name) of an endpoint to its URL and its model: Tasks need the latter for every row,
of models that aren't loaded."""
_endpoints_lock = threading.Lock()


class HubEndpoint(RemoteModel):
    """A model of Hugging Face's inference services; `InferenceEndpointsLLM` says what its fields
    mean."""

    model_id: str | None = None
    endpoint_name: RuntimeParameter[str] | None = Field(
        default=None, description="The name of the dedicated endpoint."
    )
    endpoint_namespace: RuntimeParameter[str] | None = Field(
        default=None, description="The user or organization that the endpoint belongs to."
    )
    base_url: RuntimeParameter[str] | None = Field(
        default=None, description="The base URL to use for the requests."
    )
    api_key: RuntimeParameter[SecretStr] | None = Field(
        default_factory=lambda: secret_from("HF_TOKEN"),
        description="The API key to authenticate the requests.",
    )
    tokenizer_id: str | None = None
    model_display_name: str | None = None
    provider: RuntimeParameter[str] | None = Field(
        default=None, description="The inference provider for `model_id`."
    )

    sdk: ClassVar[str] = "huggingface_hub"
    extra: ClassVar[str] = "hf-inference-endpoints"

    _api_key_env_var: str = PrivateAttr("HF_TOKEN")

    def _check_fields(self) -> None:
        super()._check_fields()
        given = {name: getattr(self, name) for name in ("model_id", "endpoint_name")}
        if all(given.values()) or not (any(given.values()) or self.base_url):
            raise DistilabelUserError(
                f"{type(self).__name__} needs one of `model_id`, `endpoint_name` and `base_url`; "
                f"got model_id={self.model_id!r}, endpoint_name={self.endpoint_name!r}, "
                f"base_url={self.base_url!r}."
            )
        if self.base_url and any(given.values()):
            logging.getLogger(__name__).warning(
                "%s: base_url=%r counts for nothing beside %s.",
                type(self).__name__,
                self.base_url,
                " and ".join(name for name, value in given.items() if value),
            )

    @property
    def model_name(self) -> str:
        """`model_display_name`, the model, or where it is."""
        known = _endpoints.get((self.endpoint_namespace, self.endpoint_name or ""))
        return (
            self.model_display_name
            or self.model_id
            or (known[1] if known is not None else None)
            or self.endpoint_name
            or str(self.base_url)
        )

    # -- life ------------------------------------------------------------------------------------

    def address(self) -> str:
        return self.model_id or self.endpoint_name or str(self.base_url)

    def _key(self) -> str:
        key = super()._key()
        if key or not (self.model_id or self.endpoint_name):
            return key
        from huggingface_hub import get_token

        return get_token() or ""

    def check_loadable(self) -> None:
        """Raise where there is no API key for Hugging Face's services, or the URL is none."""
        if self.model_id or self.endpoint_name:
            if not self._key():
                raise DistilabelUserError(
                    f"{type(self).__name__} has no API key: give `api_key`, also as a runtime "
                    "parameter, set the environment variable HF_TOKEN, or log in with "
                    "`hf auth login`."
                )
        elif not self._url().startswith(("http://", "https://")):
            raise DistilabelUserError(
                f"{type(self).__name__}: base_url is {self._url()!r}; it has to begin with http:// "
                "or https://."
            )

    def load(self) -> None:
        """Make ready to ask, and wait for the dedicated endpoint, where there is one.

        Raises:
            DistilabelUserError: there is no API key.
            EngineError: the endpoint isn't there.
        """
        super().load()
        if self.endpoint_name is not None:
            with _endpoints_lock:
                key = (self.endpoint_namespace, self.endpoint_name)
                _endpoints[key] = self._ready_endpoint(self.endpoint_name)

    def _ready_endpoint(self, name: str) -> tuple[str, str]:
        """The URL and the model of the dedicated endpoint, once it runs."""
        from huggingface_hub import HfApi

        try:
            found = HfApi().get_inference_endpoint(
                name, namespace=self.endpoint_namespace, token=self._key()
            )
            if found.status in ("paused", "scaledToZero"):
                found = found.resume()
            found.wait(timeout=ENDPOINT_READY_SECONDS)
        except Exception as error:
            raise EngineError(
                f"{type(self).__name__} can't use the endpoint {name!r}"
                + (f" of {self.endpoint_namespace!r}" if self.endpoint_namespace else "")
                + f": {type(error).__name__}: {safe_message(error, self.secrets())}"
            ) from None
        return str(found.url), str(found.repository)

    def make_client(self) -> Any:
        """A client of the Hub's SDK; it belongs to one event loop."""
        from huggingface_hub import AsyncInferenceClient, get_async_session

        model: str | None = self.model_id
        if self.endpoint_name is not None:
            model = _endpoints[self.endpoint_namespace, self.endpoint_name][0]
        provider: Any = self.provider if self.model_id else None
        client = AsyncInferenceClient(
            model=model or self.base_url,
            provider=provider,
            token=self._key() or _NO_KEY,
            timeout=self._timeout(),
        )
        # It takes no HTTP client.
        session = client._async_client = not_followed(get_async_session())
        client.exit_stack.push_async_callback(session.aclose)
        return client

    def explain(self, error: Exception) -> Trouble:
        """What an error of one attempt means."""
        from huggingface_hub.errors import HfHubHTTPError

        text = safe_message(error, self.secrets())
        if is_timeout(error):
            return took_too_long(text)
        # TGI's own errors have the answer behind them.
        http = error if isinstance(error, HfHubHTTPError) else error.__cause__
        if isinstance(http, HfHubHTTPError) and http.response is not None:
            text = self._told(http.response) or text
            if _TOO_LONG.search(text):
                return Trouble("too_long", f"the endpoint refused the request: {text}")
            headers = http.response.headers
            return explain_status(http.response.status_code, text, self._answered, headers)
        if is_connection_error(error):
            return not_reached(text, self._answered)
        if isinstance(error, MalformedAnswer):
            return not_readable(text)
        if isinstance(error, ValueError) and _NOT_THERE.search(text):
            # The SDK found nobody who runs the model.
            return Trouble("refused", text, whole=not self._answered)
        if isinstance(error, ValueError):
            return not_readable(text)
        return Trouble("engine", text)

    def _told(self, response: Any) -> str:
        """What the endpoint says, without secrets."""
        try:
            told = message_in(response.json())
        except ValueError:  # no JSON, such as a page of a proxy
            told = None
        return without(self.secrets(), told or "")[:500]

    # -- for pipelines ---------------------------------------------------------------------------

    @classmethod
    def not_identity(cls) -> frozenset[str]:
        return super().not_identity() | {"model_display_name"}


async def readable(call: Any) -> Any:
    """What the SDK returns.

    Raises:
        MalformedAnswer: it can't read the endpoint's answer.
    """
    try:
        return await call
    except (TypeError, KeyError, AttributeError, IndexError) as error:
        raise MalformedAnswer(f"{type(error).__name__}: {error}") from error
