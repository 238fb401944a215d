"""What all LLMs behind HTTP endpoints share: limits, retries."""
