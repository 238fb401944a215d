"""The pipelines that distilabel's documentation is built around, run by distilabel and here."""
