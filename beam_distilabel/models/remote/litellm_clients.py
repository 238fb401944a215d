"""The HTTP clients that `litellm` makes: they follow no redirects.

It makes them itself, one for each event loop and provider, and takes one of ours only for some
providers; so the two functions that make them are wrapped, for the whole process.
"""

from __future__ import annotations

import threading
from typing import Any

from beam_distilabel.errors import EngineError
from beam_distilabel.models.remote.redirects import not_followed

_lock = threading.Lock()
_MARK = "_beam_distilabel_follows_no_redirects"


def follow_no_redirects() -> None:
    """Make every asynchronous client that `litellm` makes from now on follow no redirects.

    Raises:
        EngineError: this version of `litellm` makes its clients otherwise.
    """
    try:
        from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
        from litellm.llms.openai.common_utils import BaseOpenAILLM

        create = AsyncHTTPHandler.create_client
        openai = BaseOpenAILLM._get_async_http_client
    except (ImportError, AttributeError) as error:
        raise EngineError(
            f"LiteLLM can't keep this version of `litellm` from following redirects ({error}), "
            "which would take keys along. Install the version that "
            "`pip install 'beam-distilabel[litellm]'` names."
        ) from error
    with _lock:
        if getattr(AsyncHTTPHandler, _MARK, False):
            return

        def create_client(self: Any, *args: Any, **kwargs: Any) -> Any:
            return not_followed(create(self, *args, **kwargs))

        def openai_client(*args: Any, **kwargs: Any) -> Any:
            client = openai(*args, **kwargs)
            return client if client is None else not_followed(client)

        AsyncHTTPHandler.create_client = create_client
        BaseOpenAILLM._get_async_http_client = staticmethod(openai_client)
        setattr(AsyncHTTPHandler, _MARK, True)
