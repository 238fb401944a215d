"""What LLMs that run in the worker's process, and answer in batches, share."""
