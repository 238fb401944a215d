"""The PTransforms that a YAML file's `type` stands for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PBegin

from beam_distilabel.beam_yaml.borders import (
    Receive,
    Send,
    SendErrors,
    arrow_schema,
    known_rows_of,
)
from beam_distilabel.beam_yaml.config import construct, refuse_secrets
from beam_distilabel.beam_yaml.fields import row_type
from beam_distilabel.card import write_card
from beam_distilabel.errors import DistilabelUserError, PipelineValidationError
from beam_distilabel.manifest import Manifest
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.columns import KnownRows, known_rows, rows_sent
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.pipeline import receiving_rows, without_data
from beam_distilabel.pipeline.validation import set_parameters, validate
from beam_distilabel.problems import closest
from beam_distilabel.step import _Step, default_name
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset as Write

ERROR_HANDLING = "error_handling"
CHECKPOINT = "checkpoint"

_NO_LETTER = re.compile(r"[^a-zA-Z0-9_-]+")


class StepTransform(beam.PTransform):
    """A Step in a YAML file: rows with a schema in, rows with a schema out.

    Its name is that of the YAML transform where `config` has none.

    Args:
        cls: the Step's class.
        config: its arguments; also `checkpoint` (see `Step.with_checkpoint`: a folder, or a dict
            with `folder` and settings), and `error_handling`.

    Raises:
        DistilabelUserError: an argument is unknown, or its value can't be used.
    """

    def __init__(self, cls: type[_Step], config: Mapping[str, Any]) -> None:
        super().__init__()
        self._cls = cls
        self._config = dict(config)
        self._errors = _error_output(self._config.pop(ERROR_HANDLING, None), cls.__name__)
        self._checkpoint = _checkpoint(self._config.pop(CHECKPOINT, None), cls.__name__)
        if self._errors and "on_failure" not in self._config:
            self._config["on_failure"] = "drop"  # a row that failed is an error, and nothing else
        self._made = self._make(None)

    def _make(self, name: str | None) -> Any:
        config = dict(self._config)
        if name is not None:
            config.setdefault("name", name)
        step = construct(self._cls, config, self._cls.__name__)
        if name is not None and self._checkpoint is not None:
            return step.with_checkpoint(*self._checkpoint)
        return step

    def default_label(self) -> str:
        """What the Step is called in Python where it is given no name."""
        return str(self._made.name or f"{default_name(self._cls)}_0")

    def expand(self, inputs: Any) -> dict[str, Any]:
        """The rows as `out`, and the errors under the name that `error_handling` gives them."""
        step = self._make(_step_name(self.label))
        what = step._described()
        received = _inputs(inputs)
        known = [known_rows_of(rows) for rows in received]
        _check_alone(step, known)
        rows = tuple(r | f"Receive{i or ''}" >> Receive() for i, r in enumerate(received))
        if step.is_generator:
            if rows:
                raise DistilabelUserError(f"{what} makes rows of its own; leave out `input`.")
            result = step.apply_to(inputs)
        else:
            result = step.apply_to(rows if len(rows) > 1 else rows[0])
        fails = step.on_failure == "null"
        send = Send(rows_sent(step, known), step, bool(self._errors), fails)
        sent, misfits = send.expand(result.rows)
        if not self._errors:
            return {"out": sent}
        failures = [result.failures, *([] if misfits is None else [misfits])]
        errors = (
            failures
            | "Errors and misfits" >> beam.Flatten()
            | "Errors" >> SendErrors(_either(known))
        )
        return {"out": sent, self._errors: errors}


class DistilabelPipeline(beam.PTransform):
    """A whole pipeline of a file; its outputs are its subsets.

    Args:
        file: the pipeline file, as `Pipeline.save` or distilabel write it: local, or on any
            filesystem.
        parameters: Step name to runtime parameters, nested as the Steps are.
        checkpoint: a folder where the models' answers are kept, see `Pipeline.with_checkpoint`; or
            a dict with `folder` and settings.
        error_handling: `{output: name}` gives the failures of all Steps as another output. What
            becomes of the rows themselves their Steps' `on_failure` say.

    Raises:
        DistilabelUserError: the file can't be read, or a parameter is unknown.
    """

    _yaml_requires_inputs = False  # as Beam's providers ask: it may have a loader

    def __init__(
        self,
        file: str,
        parameters: Mapping[str, Any] | None = None,
        checkpoint: str | Mapping[str, Any] | None = None,
        error_handling: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not isinstance(file, str):
            raise DistilabelUserError(f"{name}: file={file!r} is no path.")
        refuse_secrets(parameters or {}, f"{name}, parameters")
        self._pipeline = Pipeline.from_file(file)
        set_parameters(self._pipeline.graph, parameters or {})
        self._errors = _error_output(error_handling, name)
        self._checkpoint = _checkpoint(checkpoint, name)
        subsets = self._pipeline.graph.subsets().values()
        if self._errors in subsets:
            raise DistilabelUserError(
                f"{name}: error_handling.output={self._errors!r} is the name of a subset; choose "
                "another."
            )

    def default_label(self) -> str:
        return self._pipeline.name

    def expand(self, inputs: Any) -> dict[str, Any]:
        received = _inputs(inputs)
        if len(received) > 1:
            raise DistilabelUserError(
                f"{type(self).__name__} takes one input, got {len(received)}: {list(inputs)}."
            )
        pipeline = self._pipeline
        graph = pipeline.graph
        if received:
            graph = receiving_rows(graph)
        elif without_data(graph) or not all(graph.steps[root].is_generator for root in graph.roots):
            raise PipelineValidationError(
                f"{type(self).__name__}: the pipeline {pipeline.name!r} receives rows; give it an "
                "`input`."
            )
        if self._checkpoint is not None:
            pipeline = pipeline.with_checkpoint(*self._checkpoint)
        known = known_rows_of(received[0]) if received else None
        outputs = pipeline.outputs(received[0] | Receive() if received else inputs)
        sent_on = known_rows(graph, known)
        result: dict[str, Any] = {}
        failures = [outputs.failures]
        steps = graph.steps
        fails = any(step.on_failure == "null" for step in steps.values())
        for leaf, subset in graph.subsets().items():
            send = Send(sent_on[leaf], steps[leaf], bool(self._errors), fails)
            result[subset], misfits = outputs.subsets[subset] | f"Send {subset}" >> send
            failures += [] if misfits is None else [misfits]
        if self._errors:
            all_failures = failures | "Errors and misfits" >> beam.Flatten()
            anything = KnownRows({}, has_others=True)  # each Step's rows have other columns
            result[self._errors] = all_failures | "Errors" >> SendErrors(anything)
        return result


class WriteDistiset(beam.PTransform):
    """Writes a Distiset; every input becomes the subset of its name.

    A card says what is there, so `datasets.load_dataset(path, subset)` opens it. The output has a
    row per subset: `subset`, `path`, and the number of `rows`.

    Args:
        path: the result's folder, local or on any filesystem.
        subset: the name of the only subset, where there is one input.
        split: the split that the rows are written as.
        ordered: write the rows in source order; one worker merges them, so this is for local runs.
        overwrite: replace a result that the folder holds.
        keep_row_ids: also write `_row_id` and `_draw`.
        max_shard_bytes: a file is closed when it has this size.
        max_shard_rows: a file never has more rows.
        hub: also publish the result, in one commit: a repository's name, or the arguments of a
            `HubTarget`.

    Raises:
        DistilabelUserError: a value can't be used.
    """

    def __init__(
        self,
        path: str,
        subset: str = "default",
        split: str = "train",
        ordered: bool = False,
        overwrite: bool = False,
        keep_row_ids: bool = False,
        max_shard_bytes: int | None = None,
        max_shard_rows: int | None = None,
        hub: str | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(hub, Mapping):
            refuse_secrets(hub, "WriteDistiset, hub")
        self._subset = subset
        bounds = {"max_shard_bytes": max_shard_bytes, "max_shard_rows": max_shard_rows}
        self._arguments: dict[str, Any] = {
            "path": path,
            "split": split,
            "ordered": ordered,
            "overwrite": overwrite,
            "keep_row_ids": keep_row_ids,
            "hub": dict(hub) if isinstance(hub, Mapping) else hub,
            **{name: value for name, value in bounds.items() if value is not None},
        }
        self._path = path
        Write(**self._arguments)  # what can't be used is told now

    def expand(self, inputs: Any) -> Any:
        subsets = inputs if isinstance(inputs, dict) else {self._subset: inputs}
        schemas = {name: arrow_schema(known_rows_of(rows)) for name, rows in subsets.items()}
        received = {name: rows | f"Receive {name}" >> Receive() for name, rows in subsets.items()}
        manifest = received | "Write" >> Write(**self._arguments, schemas=schemas)
        kind = row_type({"subset": str, "path": str, "rows": int})
        whole = all(rows.is_bounded for rows in subsets.values())  # of windows it has a card
        return manifest | beam.ParDo(_Written(self._path, whole)).with_output_types(kind)


class _Written(beam.DoFn):
    """Writes the card, by which `datasets` finds the subsets, and tells what was written."""

    def __init__(self, path: str, writes_card: bool) -> None:
        self._path = path
        self._writes_card = writes_card

    def process(self, manifest: Manifest) -> Iterator[Any]:
        if self._writes_card:
            # Of no definition: a `pipeline.yaml` beside the folder is likely Beam's.
            write_card(self._path, location=self._path, definition={})
        for name, subset in manifest.items():
            yield beam.Row(subset=name, path=self._path, rows=subset["rows"])


class _Folder(NamedTuple):
    """The arguments of `with_checkpoint`."""

    folder: str
    settings: dict[str, Any] | None


def _checkpoint(value: Any, what: str) -> _Folder | None:
    if value is None:
        return None
    settings = dict(value) if isinstance(value, Mapping) else {"folder": value}
    folder = settings.pop("folder", None)
    if not isinstance(folder, str) or not folder:
        raise DistilabelUserError(
            f"{what}: checkpoint={value!r} names no folder; write `checkpoint: gs://bucket/answers`"
            " or `checkpoint: {folder: ..., rows: 16}`."
        )
    return _Folder(folder, settings or None)


def _error_output(value: Any, what: str) -> str | None:
    """The name that `error_handling` gives to the output of errors; None without it."""
    if value is None:
        return None
    output = value.get("output") if isinstance(value, Mapping) else None
    extra = [name for name in value if name != "output"] if isinstance(value, Mapping) else []
    if not isinstance(output, str) or output in ("", "out") or extra:
        unknown = f"{extra[0]!r} is unknown{closest(extra[0], ['output'])}" if extra else ""
        raise DistilabelUserError(
            f"{what}: error_handling has to be `{{output: <name>}}`, a name other than 'out'; got "
            f"{value!r}. {unknown}".rstrip()
        )
    return output


def _inputs(inputs: Any) -> tuple[Any, ...]:
    """The PCollections that a transform is applied to."""
    if isinstance(inputs, (PBegin, beam.Pipeline)):
        return ()
    return tuple(inputs.values()) if isinstance(inputs, dict) else (inputs,)


def _step_name(label: str) -> str:
    """A Step's name, of the YAML transform's."""
    return _NO_LETTER.sub("-", label).strip("-") or "step"


def _check_alone(step: _Step, known: list[KnownRows]) -> None:
    """Raise where the Step can't run on such rows.

    Raises:
        PipelineValidationError: names the Step and the remedy.
    """
    graph = Graph()
    graph.add(step)
    validate(graph, has_input=not step.is_generator)
    if step.is_generator:
        return
    if not known:
        raise PipelineValidationError(f"{step._described()} receives rows; give it an `input`.")
    if len(known) > 1 and not step.has_multiple_inputs():
        raise PipelineValidationError(
            f"{step._described()} takes one input, got {len(known)}; its `process` takes one list "
            "of rows."
        )
    rows = _either(known)
    missing = [
        column
        for column, required in step.get_inputs().items()
        if required and column not in rows.columns
    ]
    if missing and not rows.has_others:
        raise PipelineValidationError(
            f"{step._described()} requires inputs that its rows don't have: "
            f"{', '.join(map(repr, missing))}.{closest(missing[0], rows.columns)} They have: "
            f"{', '.join(rows.columns) or 'no columns'}. Map a column with input_mappings: "
            f"{{{missing[0]}: <column>}}, or make it by a transform before."
        )


def _either(known: list[KnownRows]) -> KnownRows:
    """What is known of rows that have the columns of all of these."""
    columns = {name: column for rows in known for name, column in rows.columns.items()}
    return KnownRows(columns, any(rows.has_others for rows in known))


__all__ = ["DistilabelPipeline", "StepTransform", "WriteDistiset"]
