"""An endpoint of OpenAI's protocol for tests: it answers, fails on demand, and counts."""

from tests.openai_server.faults import Chaos, Fault
from tests.openai_server.server import OpenAIServer, Received

__all__ = ["Chaos", "Fault", "OpenAIServer", "Received"]
