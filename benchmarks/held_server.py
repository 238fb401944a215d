"""Beam's own vLLM handler, with one server for all pipelines of a process.

A module of its own: Beam would pickle a class of the script with all that the script holds.
"""

from __future__ import annotations

from typing import Any

from apache_beam.ml.inference.vllm_inference import VLLMChatModelHandler

_servers: dict[str, Any] = {}
"""Model to its server: what a handler's `load_model` finds instead of starting another."""


class HeldServer(VLLMChatModelHandler):
    """Beam's handler whose server is started once for all pipelines of this process."""

    def load_model(self) -> Any:
        if self._model_name not in _servers:
            _servers[self._model_name] = super().load_model()
        return _servers[self._model_name]

    def share_model_across_processes(self) -> bool:
        return False  # there is one process; it saves the peer a proxy between it and its server


def release_servers() -> None:
    """End the servers: each ends with its object."""
    _servers.clear()
