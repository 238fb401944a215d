"""Groq's API: OpenAI's under another path, one answer per request."""

from __future__ import annotations

from aiohttp import web

from tests.openai_server import OpenAIServer


class GroqServer(OpenAIServer):
    """Answers every chat with "answer to <prompt>"."""

    def _routes(self) -> list[web.RouteDef]:
        return [web.post("/openai/v1/chat/completions", self._complete)]
