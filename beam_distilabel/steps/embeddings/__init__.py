"""Embedding Steps under distilabel's import path."""
