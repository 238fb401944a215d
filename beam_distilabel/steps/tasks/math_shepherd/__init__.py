"""What belongs to Math-Shepherd under distilabel's import path."""
