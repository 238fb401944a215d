"""Image models of Hugging Face's services."""
