"""Anthropic's Messages API."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.openai_server import OpenAIServer

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicServer(OpenAIServer):
    """Answers every chat with "answer to <prompt>".

    Attributes:
        knows_formats: whether its models take `output_config`.
    """

    knows_formats = True

    def _routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/messages", self._complete)]

    def key_of(self, request: web.Request) -> str:
        return request.headers.get("x-api-key") or super().key_of(request)

    def prompt_of(self, body: dict[str, Any]) -> str:
        content = body["messages"][-1]["content"]
        return content if isinstance(content, str) else json.dumps(content)

    def error(self, status: int, message: str, **fields: Any) -> web.Response:
        if fields.get("code") == "context_length_exceeded":
            message = "prompt is too long: 210000 tokens > 200000 maximum"
        if fields.get("code") == "insufficient_quota":
            status = 400
            message = "Your credit balance is too low to access the Anthropic API."
        problem = {"type": _TYPES.get(status, "api_error"), "message": message}
        return web.json_response({"type": "error", "error": problem}, status=status)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        if "output_config" in await request.json() and not self.knows_formats:
            return self.error(400, "output_config: Extra inputs are not permitted")
        return await super()._complete(request)

    def completion(self, body: dict[str, Any], refused: bool) -> dict[str, Any]:
        text = self.answer(body, 0) or ""
        words = text.split(" ")
        cut = len(words) > body["max_tokens"]
        words = words[: body["max_tokens"]]
        content: list[dict[str, Any]] = [{"type": "text", "text": " ".join(words)}]
        reason = "max_tokens" if cut else "end_turn"
        if "tool_choice" in body:
            given = {"id": "t1", "name": body["tool_choice"]["name"], "input": json.loads(text)}
            content, reason = [{"type": "tool_use", **given}], "tool_use"
        details = None
        if refused:
            content, reason = [], "refusal"
            details = {"type": "refusal", "category": "cyber", "explanation": "I can't do that."}
        sent = sum(len(self.prompt_of({"messages": [one]}).split(" ")) for one in body["messages"])
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": reason,
            "stop_details": details,
            "stop_sequence": None,
            "usage": {"input_tokens": sent, "output_tokens": len(words)},
        }

    def tokens_of(self, made: dict[str, Any]) -> int:
        return int(made["usage"]["input_tokens"] + made["usage"]["output_tokens"])
