"""What belongs to APIGen under distilabel's import path."""
