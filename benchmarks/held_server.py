"""Beam's own vLLM handler, with one server for all pipelines of a process.

A module of its own: Beam would pickle a class of the script with all that the script holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apache_beam.ml.inference.vllm_inference import VLLMChatModelHandler
from apache_beam.utils.multi_process_shared import MultiProcessShared

MODEL_TAG = "held"
"""The `model_identifier` under which RunInference finds what `hold` has started."""

_SHARED = f"{MODEL_TAG}0"  # what RunInference calls its first copy

_servers: dict[str, Any] = {}
"""Model to its server: what a handler's `load_model` finds instead of starting another."""


class HeldServer(VLLMChatModelHandler):
    """Beam's handler whose server is started once for all pipelines of this process."""

    def hold(self) -> None:
        """Start the server."""
        self.load_model()

    def load_model(self) -> Any:
        if self._model_name not in _servers:
            _servers[self._model_name] = super().load_model()
        return _servers[self._model_name]

    def share_model_across_processes(self) -> bool:
        return False  # there is one process; it saves the peer a proxy between it and its server


class SharedServer(VLLMChatModelHandler):
    """Beam's handler as it is: the server's object is in a process of its own, behind a proxy."""

    def hold(self) -> None:
        """Start the server; RunInference finds it by `MODEL_TAG`."""
        _servers[_SHARED] = _shared(self.load_model).acquire()


def release_servers() -> None:
    """End the servers: each ends with its object."""
    if _servers.pop(_SHARED, None) is not None:
        _shared(lambda: None).unsafe_hard_delete()
    _servers.clear()


def _shared(make: Callable[[], Any]) -> Any:
    return MultiProcessShared(make, tag=_SHARED, always_proxy=True)
