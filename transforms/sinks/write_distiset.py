"""Write subsets of rows as a Distiset: a folder of Parquet shards per subset, one schema each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsSingleton, PCollection
from apache_beam.transforms.window import GlobalWindows

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.hub import CommitRecord, HubTarget, as_target, open_destination
from beam_distilabel.layout import check_names
from beam_distilabel.manifest import Manifest
from beam_distilabel.row import Row
from beam_distilabel.transforms.sinks.merge import Bounds
from beam_distilabel.transforms.sinks.publishing import (
    COMMITS,
    CommitToHub,
    FindCompanions,
    UploadShards,
    most_files,
    with_earlier_base,
)
from beam_distilabel.transforms.sinks.result_folder import new_staging, refuse_other_results
from beam_distilabel.transforms.sinks.stages import (
    SPLIT,
    Finish,
    Finished,
    MakeFinal,
    Plan,
    StageShards,
)

MAX_SHARD_BYTES = 256_000_000
MAX_SHARD_ROWS = 1_000_000

Subsets = Mapping[str, PCollection[Row]] | PCollection[Row]


class WriteDistiset(beam.PTransform[Subsets, PCollection[Manifest]]):
    """Write `{"subset": rows}` to `<path>/<subset>/<split>-00000-of-0000N.parquet`.

    Workers write rows once, to staged Parquet shards (zstd) of bounded size, without holding a
    shard in memory. The schemas of a subset's shards are unified (see `beam_distilabel.schema` for
    the rules): only shards that differ from the result, and very small ones, are written again.
    Rows are counted in the files' footers before anything is made final. A bundle that is retried
    leaves neither duplicates nor debris.

    The result appears at the end: on a local filesystem by renaming one folder per subset, on an
    object store by copying files that are complete; there, while an older result is replaced,
    a reader may see files of both.

    Args:
        path: the result's folder, local or on any filesystem that fsspec knows.
        keep_row_ids: also write the reserved columns `_row_id` and `_draw`.
        ordered: write the rows of a subset in source order, by row id; rows without an id come
            last. One worker merges a subset whose shards overlap, so this is for local runs.
        overwrite: replace a result that the folder holds; other files in it stay.
        max_shard_bytes: a shard is closed when it has reached this size.
        max_shard_rows: a shard never has more rows.
        schemas: known columns by subset. They come first, keep their types wherever these hold all
            values, and give a subset without rows a valid file. The schema's metadata (such as the
            features of `datasets`) is kept.
        split: the split that the rows are written as.
        hub: also publish the result, in one commit: a `HubTarget`, its arguments as a dict, or the
            name of a repository. Workers send their shards there, one of them commits, and shards
            grow where there would be too many for one commit. The files in the folder stay.
        companions: what is committed beside the shards (see `Companions`), given the manifest and
            the elements of `after`; called on the worker that commits. Only a card if None.
        keep_other_splits: on the Hub, replace only this split of a config that has others.
        who: on whose behalf, for messages about `hub`.
        after: PCollections of one element each that have to be there before the commit.

    Attributes:
        commits: with `hub`, once it is applied: a PCollection of one element, a `CommitRecord`.

    Returns:
        A PCollection of one element, a `Manifest`; with `hub`, after the commit.

    Raises:
        DistilabelUserError: the folder holds a result and `overwrite` is not set; a subset's name
            can't be a folder's; the rows are unbounded; the repository can't be written to.
        DistilabelError: (while running) the files hold another number of rows than were written.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with beam.Pipeline() as p:
        ...     rows = p | beam.Create([{"a": 1}, {"a": 2}])
        ...     manifest = {"default": rows} | WriteDistiset(folder)
    """

    def __init__(
        self,
        path: str,
        *,
        keep_row_ids: bool = False,
        ordered: bool = False,
        overwrite: bool = False,
        max_shard_bytes: int = MAX_SHARD_BYTES,
        max_shard_rows: int = MAX_SHARD_ROWS,
        schemas: Mapping[str, pa.Schema] | None = None,
        split: str = SPLIT,
        hub: HubTarget | Mapping[str, Any] | str | None = None,
        companions: FindCompanions | None = None,
        keep_other_splits: bool = False,
        who: str = "WriteDistiset",
        after: Sequence[PCollection[Any]] = (),
    ) -> None:
        super().__init__()
        for name, value in (
            ("max_shard_bytes", max_shard_bytes),
            ("max_shard_rows", max_shard_rows),
        ):
            if value < 1:
                raise DistilabelUserError(f"WriteDistiset: {name} must be at least 1, got {value}.")
        self.path = str(path).rstrip("/") or "/"
        self.keep_row_ids = keep_row_ids
        self.ordered = ordered
        self.overwrite = overwrite
        self.bounds = Bounds(max_shard_bytes, max_shard_rows)
        self.schemas = dict(schemas or {})
        self.who = who
        self.hub = None if hub is None else as_target(hub, who)
        self.companions = companions
        self.split = split
        self.replaced_splits = frozenset((split,)) if keep_other_splits else None
        self.after = tuple(after)
        self.commits: PCollection[CommitRecord] | None = None

    def expand(self, subsets: Subsets) -> PCollection[Manifest]:
        if isinstance(subsets, PCollection):
            subsets = {"default": subsets}
        _check_subsets(subsets, self.split)
        refuse_other_results(self.path, subsets, overwrite=self.overwrite)
        destination = None
        if self.hub is not None:
            opened = open_destination(self.hub, self.who)
            destination = with_earlier_base(self.path, opened)
        staging = new_staging(self.path)
        # Schemas travel as Arrow messages: they are values, so nothing has to be pickled.
        declared = {name: schema.serialize().to_pybytes() for name, schema in self.schemas.items()}
        records = []
        for name, rows in subsets.items():
            if not rows.windowing.is_default():
                rows |= f"InOneWindow[{name}]" >> beam.WindowInto(GlobalWindows())
            write = StageShards(
                staging, name, self.bounds, self.ordered, self.keep_row_ids, declared.get(name)
            )
            records.append(rows | f"StageShards[{name}]" >> beam.ParDo(write))
        pipeline = next(iter(subsets.values())).pipeline
        # Every subset is planned, even one whose rows never came.
        seeds = pipeline | "Subsets" >> beam.Create([(name, None) for name in subsets])
        most = None if destination is None else most_files(len(subsets))
        finished: PCollection[Finished] = (
            [seeds, *records]
            | beam.Flatten()
            | "BySubset" >> beam.GroupByKey()
            | "Plan" >> beam.ParDo(Plan(self.bounds, self.ordered, declared, most))
            | beam.Reshuffle()
            | "Finish" >> beam.ParDo(Finish(staging))
        )
        if destination is not None:
            finished |= "Upload" >> beam.ParDo(UploadShards(destination))
        manifest: PCollection[Manifest] = (
            finished
            | "Keyed" >> beam.Map(lambda task: (None, task))
            | "Together" >> beam.GroupByKey()
            | "MakeFinal"
            >> beam.ParDo(MakeFinal(self.path, staging, list(subsets), self.split, self.overwrite))
        )
        if destination is None:
            return manifest
        commit = CommitToHub(destination, self.path, self.companions, self.replaced_splits)
        done = manifest | "Commit" >> beam.ParDo(
            commit, *(AsSingleton(other) for other in self.after)
        ).with_outputs(COMMITS, main="manifest")
        self.commits = done[COMMITS]
        return cast("PCollection[Manifest]", done["manifest"])


def _check_subsets(subsets: Mapping[str, PCollection[Row]], split: str) -> None:
    if not subsets:
        raise DistilabelUserError("WriteDistiset: there is no subset to write; pass {name: rows}.")
    for name, rows in subsets.items():
        check_names("WriteDistiset", name, split)
        if not rows.is_bounded:
            raise DistilabelUserError(
                f"WriteDistiset: the rows of subset {name!r} are unbounded, and a result that is "
                "counted and made final needs an end; bound the source."
            )
