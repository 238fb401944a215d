"""What the tests of streams share."""

from tests.publishing import quick_retries as quick_hub  # noqa: F401
