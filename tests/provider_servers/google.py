"""Vertex AI's `generateContent`, and the token service that its credentials are from."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.openai_server import OpenAIServer

_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
}


class VertexServer(OpenAIServer):
    """Answers every chat with "answer to <prompt>"."""

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.post("/{version}/{path:.*}/models/{model}:generateContent", self._complete),
            web.post("/token", self._token),
        ]

    async def _token(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"access_token": self.key, "token_type": "Bearer", "expires_in": 3600}
        )

    def key_of(self, request: web.Request) -> str:
        if request.path == "/token":  # it is asked with a signed claim
            return self.key
        return request.headers.get("x-goog-api-key") or super().key_of(request)

    def model_of(self, request: web.Request, body: dict[str, Any]) -> Any:
        return request.match_info["model"]

    def prompt_of(self, body: dict[str, Any]) -> str:
        return "".join(part.get("text", "") for part in body["contents"][-1]["parts"])

    def error(self, status: int, message: str, **fields: Any) -> web.Response:
        if fields.get("code") == "context_length_exceeded":
            message = "The input token count (2000000) exceeds the maximum allowed (1048576)."
        if fields.get("code") == "insufficient_quota":
            status = 402
        name = _NAMES.get(status, "UNKNOWN")
        problem = {"code": status, "message": message, "status": name}
        return web.json_response({"error": problem}, status=status)

    def completion(self, body: dict[str, Any], refused: bool) -> dict[str, Any]:
        sent = len(self.prompt_of(body).split(" "))
        if refused:
            return {
                "promptFeedback": {"blockReason": "SAFETY"},
                "usageMetadata": {"promptTokenCount": sent, "totalTokenCount": sent},
            }
        words = (self.answer({**body, "prompt": self.prompt_of(body)}, 0) or "").split(" ")
        limit = body.get("generationConfig", {}).get("maxOutputTokens") or 1000
        text = " ".join(words[:limit])
        made = len(words[:limit])
        return {
            "candidates": [
                {
                    "content": {"role": "model", "parts": [{"text": text}]},
                    "finishReason": "MAX_TOKENS" if len(words) > limit else "STOP",
                }
            ],
            "usageMetadata": {
                "promptTokenCount": sent,
                "candidatesTokenCount": made,
                "totalTokenCount": sent + made,
            },
        }

    def tokens_of(self, made: dict[str, Any]) -> int:
        return int(made["usageMetadata"]["totalTokenCount"])
