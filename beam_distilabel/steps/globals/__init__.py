"""Global Steps under distilabel's import path."""
