"""Helpers under the import path of distilabel 1.5."""
