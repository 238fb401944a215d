"""Sinks: where rows end up."""
