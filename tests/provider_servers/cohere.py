"""Version 2 of Cohere's Chat API."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.openai_server import OpenAIServer


class CohereServer(OpenAIServer):
    """Answers every chat with "answer to <prompt>"."""

    def _routes(self) -> list[web.RouteDef]:
        return [web.post("/v2/chat", self._complete)]

    def error(self, status: int, message: str, **fields: Any) -> web.Response:
        if fields.get("code") == "context_length_exceeded":
            message = "too many tokens: size limit exceeded by 1 tokens"
        if fields.get("code") == "insufficient_quota":
            status = 402
        return web.json_response({"id": "1", "message": message}, status=status)

    def completion(self, body: dict[str, Any], refused: bool) -> dict[str, Any]:
        words = (self.answer(body, 0) or "").split(" ")
        limit = body.get("max_tokens") or 1000
        sent = sum(len(str(one["content"]).split(" ")) for one in body["messages"])
        counts = {"input_tokens": sent, "output_tokens": len(words[:limit])}
        text = " ".join(words[:limit])
        return {
            "id": "1",
            "finish_reason": "MAX_TOKENS" if len(words) > limit else "COMPLETE",
            "message": {"role": "assistant", "content": [{"type": "text", "text": text}]},
            "usage": {"billed_units": counts, "tokens": counts},
        }

    def tokens_of(self, made: dict[str, Any]) -> int:
        return sum(made["usage"]["tokens"].values())
