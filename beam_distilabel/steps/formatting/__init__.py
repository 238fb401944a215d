"""Steps that format rows under distilabel's import path."""
