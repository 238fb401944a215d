"""Write subsets of rows as a Distiset: a folder of Parquet shards per subset, one schema each."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, cast

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsSingleton, PCollection
from apache_beam.transforms.trigger import AccumulationMode
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.timestamp import Duration

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.hub import (
    CommitRecord,
    Destination,
    HubTarget,
    as_target,
    open_destination,
)
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
from beam_distilabel.transforms.sinks.result_folder import (
    new_staging,
    refuse_other_results,
    refuse_results_without_windows,
    remove_staging,
)
from beam_distilabel.transforms.sinks.stages import (
    SPLIT,
    Finish,
    Finished,
    MakeFinal,
    Plan,
    StageShards,
)
from beam_distilabel.transforms.sinks.windows.planning import (
    CollectPane,
    FinishPane,
    NameWindow,
    NumberPanes,
    PlanPanes,
)
from beam_distilabel.transforms.sinks.windows.publishing import PublishPanes
from beam_distilabel.transforms.sinks.windows.reports import StageWindows
from beam_distilabel.transforms.sinks.windows.windowing import check_windowing, late_trigger

logger = logging.getLogger(__name__)

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

    **Unbounded rows** have to be windowed. Each window becomes shards of its own in the subsets'
    folders (`<split>-<window>-00000-of-0000N.parquet`), which appear when it ends, and one commit
    with `hub`; rows that come late become further shards, and a further commit. The README always
    describes all windows, so that `datasets` loads them as one dataset. A pipeline that runs again
    goes on in the folder: a window that was written, by the same rows, is neither written nor
    committed again; one that has other rows now is replaced, but never by fewer: then the job
    fails, and the message says what to do. The first window fixes the columns' types; what doesn't
    fit them later is set aside in the column `_misfits`.

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
        windowed: whether each window becomes a result of its own; None means where the rows are
            unbounded. Bounded rows are else one result, whatever their windows.

    Attributes:
        commits: with `hub`, once it is applied: a PCollection of one element, a `CommitRecord`;
            None for windows, whose ledgers in `<path>/.windows` tell their commits.

    Returns:
        A PCollection of one element, a `Manifest`, or of one per window, and per batch of late rows
        of it; with `hub`, after the commit.

    Raises:
        DistilabelUserError: the folder holds a result and `overwrite` is not set; a subset's name
            can't be a folder's; the rows are unbounded and not windowed; the repository can't be
            written to.
        DistilabelError: (while running) the files hold another number of rows than were written; a
            window would be replaced by fewer rows.

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
        windowed: bool | None = None,
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
        self.windowed = windowed
        self.commits: PCollection[CommitRecord] | None = None

    def expand(self, subsets: Subsets) -> PCollection[Manifest]:
        if isinstance(subsets, PCollection):
            subsets = {"default": subsets}
        _check_subsets(subsets, self.split)
        unbounded = not all(rows.is_bounded for rows in subsets.values())
        if unbounded if self.windowed is None else self.windowed:
            return self._expand_windows(subsets, unbounded)
        _check_bounded(subsets)
        refuse_other_results(self.path, subsets, overwrite=self.overwrite)
        destination = self._destination()
        staging = new_staging(self.path)
        declared = self._declared()
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

    def _destination(self) -> Destination | None:
        """The repository, asked for once and before anything runs; None without `hub`."""
        if self.hub is None:
            return None
        return with_earlier_base(self.path, open_destination(self.hub, self.who))

    def _declared(self) -> dict[str, bytes]:
        """The schemas as Arrow messages: they are values, so nothing has to be pickled."""
        return {name: schema.serialize().to_pybytes() for name, schema in self.schemas.items()}

    def _expand_windows(
        self, subsets: Mapping[str, PCollection[Row]], unbounded: bool
    ) -> PCollection[Manifest]:
        windowing = check_windowing(subsets)
        if unbounded and windowing.allowed_lateness == Duration(0):
            logger.warning(
                "WriteDistiset: the rows are windowed with allowed_lateness=0, so Beam drops rows "
                "that come after the end of their window; nothing says which. To keep them as "
                "further parts of their window: beam.WindowInto(..., allowed_lateness=86400) "
                "(seconds)."
            )
        self._check_windowed()
        refuse_results_without_windows(self.path, subsets)
        # Whoever staged here before has ended, or is to end: one job at a time writes to a folder.
        remove_staging(self.path)
        destination = self._destination()
        staging = new_staging(self.path)
        declared = self._declared()
        reports = []
        for name, rows in subsets.items():
            stage = StageWindows(
                staging, name, self.bounds, self.ordered, self.keep_row_ids, declared.get(name)
            )
            report = rows | f"StageWindows[{name}]" >> beam.ParDo(stage)
            reports.append(
                report
                | f"Window[{name}]"
                >> beam.WindowInto(
                    windowing.windowfn,
                    trigger=late_trigger(windowing),
                    accumulation_mode=AccumulationMode.DISCARDING,
                    allowed_lateness=windowing.allowed_lateness,
                )
            )
        most = None if destination is None else most_files(len(subsets))
        number = NumberPanes(self.path, attempt=posixpath.basename(staging))
        plan = PlanPanes(self.path, self.bounds, self.ordered, declared, most)
        manifest: PCollection[Manifest] = (
            reports
            | beam.Flatten()
            | "ByWindow" >> beam.GroupByKey()
            | "NameWindow" >> beam.ParDo(NameWindow()).with_output_types(tuple[str, Any])
            # From here on panes have names: what is done to them must not end with their windows.
            | "InOneWindow" >> beam.WindowInto(GlobalWindows())
            | "NumberPanes" >> beam.ParDo(number).with_output_types(tuple[str, Any])
            | "PlanPanes" >> beam.ParDo(plan)
            | beam.Reshuffle()
            | "FinishPane"
            >> beam.ParDo(FinishPane(staging, destination)).with_output_types(tuple[str, Any])
            | "CollectPane" >> beam.ParDo(CollectPane()).with_output_types(tuple[str, Any])
            | "PublishPanes" >> beam.ParDo(PublishPanes(self.path, self.split, destination))
            | "InWindows" >> beam.WindowInto(windowing.windowfn)
        )
        return manifest

    def _check_windowed(self) -> None:
        """Refuse what has no meaning window by window."""
        for name, value, remedy in (
            (
                "overwrite",
                self.overwrite,
                "a pipeline that runs again goes on; to begin anew, write to another folder",
            ),
            ("after", self.after, "commits of windows wait for nothing else"),
            ("companions", self.companions is not None, "commits of windows have the card only"),
            ("keep_other_splits", self.replaced_splits is not None, "windows replace no split"),
            (
                "hub.create_pr",
                self.hub is not None and self.hub.create_pr,
                "every window would open one; name a branch by `revision`",
            ),
        ):
            if value:
                raise DistilabelUserError(
                    f"WriteDistiset: {name} can't be given for rows that are written window by "
                    f"window: {remedy}."
                )


def _check_subsets(subsets: Mapping[str, PCollection[Row]], split: str) -> None:
    if not subsets:
        raise DistilabelUserError("WriteDistiset: there is no subset to write; pass {name: rows}.")
    for name in subsets:
        check_names("WriteDistiset", name, split)


def _check_bounded(subsets: Mapping[str, PCollection[Row]]) -> None:
    for name, rows in subsets.items():
        if not rows.is_bounded:
            raise DistilabelUserError(
                f"WriteDistiset: the rows of subset {name!r} are unbounded, so they have no result "
                "as a whole; leave windowed=False out."
            )
