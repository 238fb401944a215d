"""Mistral's Chat API: nearly OpenAI's."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.openai_server import OpenAIServer


class MistralServer(OpenAIServer):
    """Answers every chat with "answer to <prompt>"."""

    def error(self, status: int, message: str, **fields: Any) -> web.Response:
        if status == 401:
            return web.json_response({"detail": message}, status=401)
        if fields.get("code") == "context_length_exceeded":
            message = "Prompt contains 40000 tokens, too large for model with 32768 maximum"
        if fields.get("code") == "insufficient_quota":
            status = 402
        body = {"object": "error", "message": message, "type": "error", "param": None, "code": "1"}
        return web.json_response(body, status=status)

    def completion(self, body: dict[str, Any], refused: bool) -> dict[str, Any]:
        made = super().completion(body, refused)
        for choice in made["choices"]:
            choice["message"].pop("refusal")
        return made
