"""A run as several Beam jobs: what each applies, and what it leaves for those after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apache_beam as beam

from beam_distilabel.context import RunContext
from beam_distilabel.pipeline.application import (
    AppliedSteps,
    GraphOutputs,
    apply_steps,
    as_outputs,
    stream_of,
)
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.stage_files import (
    StageFile,
    listed_files,
    read_stream,
    write_streams,
)
from beam_distilabel.pipeline.stages import Stage

_FAILURES = ".failures"  # no Step can have this name


class StageJobs:
    """The jobs of a run, applied one after the other; the last one has the outputs of all.

    Args:
        graph: the run's own copies of the Steps.
        stages: the Steps of each job.
        folder: for the rows between the jobs.
        context: the run.
    """

    def __init__(
        self, graph: Graph, stages: Sequence[Stage], folder: str, context: RunContext
    ) -> None:
        self._graph = graph
        self._stages = stages
        self._folder = folder
        self._context = context
        self._files: dict[str, list[StageFile]] = {}
        self._job_of = {name: i for i, stage in enumerate(stages) for name in stage}

    def apply(self, pipeline: Any, number: int) -> GraphOutputs | None:
        """Apply the Steps of job `number` to a Beam pipeline.

        All jobs before it have to be done and `collect`ed.

        Returns:
            The run's outputs in the last job; the others write what later ones need.
        """
        read: dict[str, Any] = {}

        def received(stream: str) -> Any:
            if stream not in read:
                read[stream] = read_stream(pipeline, stream, self._files.get(stream, ()))
            return read[stream]

        graph = self._graph
        streams = {
            stream_of(graph, before, name)
            for name in self._stages[number]
            for before in graph.predecessors(name)
            if self._job_of[before] != number
        }
        applied = apply_steps(
            graph,
            self._stages[number],
            pipeline,
            self._context,
            {stream: received(stream) for stream in sorted(streams)},
        )
        if number < len(self._stages) - 1:
            write_streams(self._leaving(applied, number), self._folder_of(number))
            return None
        for leaf in graph.leaves:
            if leaf not in applied.leaves:
                applied.leaves[leaf] = received(leaf)
        if self._files.get(_FAILURES):
            applied.failures.append(received(_FAILURES))
        return as_outputs(graph, applied)

    def collect(self, number: int) -> None:
        """Look up what job `number`, which has ended, has left."""
        for stream, files in listed_files(self._folder_of(number)).items():
            self._files.setdefault(stream, []).extend(files)

    def _leaving(self, applied: AppliedSteps, number: int) -> dict[str, Any]:
        """What jobs after `number` need of it: rows on edges to them, its leaves, its failures."""
        graph = self._graph
        streams = dict(applied.leaves)
        for name in self._stages[number]:
            for successor in graph.successors(name):
                if self._job_of[successor] != number:
                    stream = stream_of(graph, name, successor)
                    streams[stream] = applied.sent[stream]
        failures = tuple(applied.failures) | "All failures" >> beam.Flatten()
        return {**streams, _FAILURES: failures}

    def _folder_of(self, number: int) -> str:
        return f"{self._folder}/{number}"
