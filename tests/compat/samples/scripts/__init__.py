"""Pipelines as users write them for distilabel; see `running.py` for what a script holds."""
