"""Secrets: named rather than sent. Workers read them again; see `docs/workers.md`."""

from beam_distilabel.secrets.references import (
    NoSecret,
    SecretReference,
    as_reference,
    secret_from,
)

__all__ = ["NoSecret", "SecretReference", "as_reference", "secret_from"]
