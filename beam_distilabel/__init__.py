"""Synthetic data and AI feedback with LLMs: distilabel's pipelines on Apache Beam."""

import logging

from beam_distilabel.version import __version__


def _import_beam() -> None:
    """Import Beam without its warning about a client library for BigQuery.

    It goes through the root logger, which would print it at every start and give the root logger a
    handler for good, so that an application's own `logging.basicConfig` did nothing.
    """
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        import apache_beam  # noqa: F401
    finally:
        logging.getLogger().removeHandler(handler)


_import_beam()

__all__ = ["__version__"]
