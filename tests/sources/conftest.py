"""The local Hub for the tests of sources."""

from tests.hub.fixtures import hub, hub_client, hub_server

__all__ = ["hub", "hub_client", "hub_server"]
