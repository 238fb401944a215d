"""Endpoints of other protocols than OpenAI's for tests, and how to make an LLM of each.

To add a provider: a subclass of `OpenAIServer` that speaks its protocol, and a `Provider` in
`tests/provider_servers/providers.py`; `tests/models/remote/test_conformance.py` does the rest.
"""

from tests.provider_servers.providers import PROVIDERS, Provider

__all__ = ["PROVIDERS", "Provider"]
