"""An engine server without vLLM: the same processes and sockets, ready in seconds.

`main` is what its process runs. What the engine does is in the prompt, and in the server's fields.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import Any

from beam_distilabel.errors import (
    DistilabelUserError,
    EngineError,
    GenerationError,
    PromptTooLongError,
)
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.models.statistics import EngineStatistics
from beam_distilabel.models.vllm import server_host
from beam_distilabel.models.vllm.server_process import ServerSpec

CODE = "from tests.models.vllm.echo_server import main; main()"


class EchoEngine(Engine):
    """Answers with its process' id and the prompt."""

    max_in_flight = 7
    dead = False

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__()
        self._fields = fields
        self._waiting = 0
        self.statistics = EngineStatistics()

    async def start(self) -> None:
        how = self._fields.get("start")
        print(f"the engine starts: {how}", flush=True)
        if how == "never":
            time.sleep(600)
        if how == "crash":
            os._exit(3)
        if how == "error":
            raise EngineError("no memory for the cache")
        if how == "wrong":
            raise DistilabelUserError("extra_kwargs has 'max_model_length'")
        if how == "with a child":
            # Unlike vLLM's, it doesn't see that its parent has died.
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    async def generate(self, request: GenerateRequest) -> Any:
        prompt = request.input
        assert self.statistics is not None
        self.statistics.scheduled(running=3, waiting=1, kv_cache_usage=0.5)
        if prompt == "too long":
            raise PromptTooLongError("9 tokens")
        if prompt == "refuse":
            raise GenerationError("top_p", "refused")
        if prompt == "wrong":
            raise DistilabelUserError("max_new_token")
        if prompt == "no template":
            raise EngineError("no chat template")
        if prompt == "bug":
            raise KeyError("bug")
        if prompt == "die":
            self.dead = True
            raise EngineError("died 4 times")
        if prompt == "wait":
            self._waiting += 1
            try:
                await asyncio.sleep(600)
            finally:
                self._waiting -= 1
        if prompt == "how many wait":
            return {"generations": [str(self._waiting)]}
        if prompt == "once":  # in the first server that is asked, for ever
            try:
                os.mkdir(self._fields["once"])
            except FileExistsError:
                pass
            else:
                await asyncio.sleep(600)
        return {
            "generations": [f"{os.getpid()}"] * request.num_generations,
            "logprobs": [[[{"token": "x", "logprob": -float("inf")}]]],
            "request": [request.input, request.generation_kwargs, request.seed],
        }


def main() -> None:
    server_host.main(EchoEngine)


def spec(**fields: Any) -> ServerSpec:
    return ServerSpec("echo", fields, CODE)
