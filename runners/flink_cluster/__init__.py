"""Flink on this machine: its jars, its processes, and the workers of its jobs."""
