"""Benchmarks on Flink are left out where it can't run."""

from __future__ import annotations

from beam_distilabel.runners.flink_cluster.jars import MissingTool, fetch_jars, java


def has_flink(benchmark: str) -> bool:
    """Whether Java and Flink's jars are there; says why a benchmark is left out where not."""
    try:
        java()
        fetch_jars()
    except MissingTool as error:
        print(f"{benchmark}: left out; {error}")
        return False
    return True
