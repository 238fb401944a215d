"""Unbounded rows become one result per window: files, ledgers, a card, commits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import datasets
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.trigger import AccumulationMode, AfterWatermark
from apache_beam.transforms.window import FixedWindows, Sessions, SlidingWindows, TimestampedValue

from beam_distilabel.distiset import create_distiset
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.row import ROW_ID
from beam_distilabel.transforms.sinks.push_to_hub import PushToHub
from beam_distilabel.transforms.sinks.windows import publishing
from beam_distilabel.transforms.sinks.windows.ledger import (
    Content,
    Ledgers,
    Part,
    Sums,
    WindowLedger,
    lost_rows,
)
from beam_distilabel.transforms.sinks.windows.schemas import MISFITS
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset
from beam_distilabel.transforms.sources.watch_files import WatchFiles
from tests.fakes import new_name, options
from tests.hub import HubServer
from tests.publishing import shards_of, titles
from tests.streaming.fakes import drop
from tests.streaming.running import Event, run_stream, windowed

W0 = "19700101T000000Z_19700101T000010Z"
W1 = "19700101T000010Z_19700101T000020Z"
TITLE = "A window"


def row(n: Any, **columns: Any) -> dict[str, Any]:
    return {"n": n, "text": f"row {n}", **columns}


IN_TIME: list[Event] = [*((n, row(n)) for n in range(5)), 12, (13, row(13)), (14, row(14)), 25]
LATE: list[Event] = [
    *((n, row(n)) for n in range(4)),
    12,
    (13, row(13)),
    (4, row(4)),
    (14, row(14)),
]


def write(folder: Path, events: Sequence[Event], **arguments: Any) -> None:
    def apply(rows: Any) -> None:
        _ = rows | windowed() | WriteDistiset(str(folder), **arguments)

    run_stream(events, apply)


def files_of(folder: Path, subset: str = "default") -> dict[str, list[Any]]:
    """The part of a window that a file's name tells, to its rows' numbers."""
    found: dict[str, list[Any]] = {}
    for path in sorted((folder / subset).iterdir()):
        part = path.name.removeprefix("train-").rsplit("-", 3)[0]
        found.setdefault(part, []).extend(sorted(pq.read_table(path)["n"].to_pylist()))
    return found


def marks(folder: Path) -> dict[str, int]:
    """When each file was written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "default").iterdir()}


def loaded(folder: Path | str, subset: str = "default") -> list[dict[str, Any]]:
    rows = datasets.load_dataset(str(folder), subset, split="train").to_list()
    return sorted(rows, key=lambda found: str(found["text"]))


def test_every_window_has_files_of_its_own_and_all_load_as_one_dataset(tmp_path: Path) -> None:
    def apply(rows: Any) -> None:
        rows |= windowed()
        even = rows | beam.Filter(lambda found: found["n"] % 2 == 0)
        _ = {"all": rows, "even": even} | WriteDistiset(str(tmp_path))

    run_stream(IN_TIME, apply)
    assert files_of(tmp_path, "all") == {W0: [0, 1, 2, 3, 4], W1: [13, 14]}
    assert files_of(tmp_path, "even") == {W0: [0, 2, 4], W1: [14]}
    assert [found["n"] for found in loaded(tmp_path, "all")] == [0, 1, 13, 14, 2, 3, 4]
    assert [found["n"] for found in loaded(tmp_path, "even")] == [0, 14, 2, 4]
    distiset = create_distiset(str(tmp_path))
    assert {name: len(part["train"]) for name, part in distiset.items()} == {"all": 7, "even": 4}
    ledger = json.loads((tmp_path / ".windows" / f"{W0}.json").read_text())
    [part] = ledger["parts"]
    assert {name: sums["rows"] for name, sums in part["content"].items()} == {"all": 5, "even": 3}


def test_late_rows_are_kept_as_a_further_part(tmp_path: Path) -> None:
    write(tmp_path, LATE)
    assert files_of(tmp_path) == {W0: [0, 1, 2, 3], f"{W0}.p1": [4], W1: [13, 14]}
    assert [found["n"] for found in loaded(tmp_path)] == [0, 1, 13, 14, 2, 3, 4]


@pytest.mark.parametrize(("first", "again"), [(IN_TIME, IN_TIME), (LATE, LATE), (LATE, IN_TIME)])
def test_a_rerun_finds_what_is_done(tmp_path: Path, first: list[Event], again: list[Event]) -> None:
    write(tmp_path, first)
    before = marks(tmp_path)
    write(tmp_path, again)
    assert marks(tmp_path) == before
    assert [found["n"] for found in loaded(tmp_path)] == [0, 1, 13, 14, 2, 3, 4]
    # Rows that are late after that get a name that no other file has.
    write(tmp_path, [*again, 40, (2, row(99))])
    assert sorted(n for part in files_of(tmp_path).values() for n in part) == [
        *(0, 1, 2, 3, 4, 13, 14, 99)
    ]
    assert set(before) < set(marks(tmp_path))


def replace_file(folder: Path, window: str) -> Path:
    return folder / ".windows" / f"{window}.replace"


OTHERS: list[Event] = [*((n % 7, row(n)) for n in range(70, 76)), 12, (13, row(13)), (14, row(14))]
"""As many rows as `LATE` and one more in the first window, and others."""
FEWER: list[Event] = [(1, row(1)), (2, row(77)), 12, (13, row(13)), (14, row(14))]


def test_a_rerun_with_other_rows_replaces_their_window(tmp_path: Path) -> None:
    write(tmp_path, LATE)
    before = marks(tmp_path)
    write(tmp_path, OTHERS)
    assert files_of(tmp_path) == {W0: [70, 71, 72, 73, 74, 75], W1: [13, 14]}
    [kept] = [name for name in before if W1 in name]
    assert marks(tmp_path)[kept] == before[kept]
    # Also by as many.
    write(tmp_path, [*((n, row(n)) for n in range(6)), *OTHERS[6:]])
    assert files_of(tmp_path) == {W0: [0, 1, 2, 3, 4, 5], W1: [13, 14]}


@pytest.mark.parametrize("first", [IN_TIME, LATE])
def test_a_rerun_with_fewer_rows_of_a_window_changes_nothing_and_fails(
    tmp_path: Path, first: list[Event]
) -> None:
    write(tmp_path, first)
    before = marks(tmp_path)
    ledger = (tmp_path / ".windows" / f"{W0}.json").read_text()
    with pytest.raises(Exception, match=rf"{W0} .*'default': 5 rows .* 2 would.*{W0}\.replace"):
        write(tmp_path, FEWER)
    assert marks(tmp_path) == before
    assert (tmp_path / ".windows" / f"{W0}.json").read_text() == ledger
    write(tmp_path, first)
    assert marks(tmp_path) == before


def test_files_that_went_or_that_since_leaves_out_cost_no_row(tmp_path: Path) -> None:
    inbox, result = tmp_path / "inbox", tmp_path / "result"
    inbox.mkdir()
    (inbox / "_STOP").touch()
    drop(inbox, "a.jsonl", 1, [row(n) for n in range(3)])

    def job(**arguments: Any) -> None:
        watch = WatchFiles(
            str(inbox), every=0.1, settle=0, stop_file=str(inbox / "_STOP"), **arguments
        )
        with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as pipeline:
            _ = pipeline | watch | windowed() | WriteDistiset(str(result))

    job()
    drop(inbox, "b.jsonl", 5, [row(3)])
    with pytest.raises(Exception, match="3 rows are published, 1 would.*`since`"):
        job(since="1970-01-01T00:00:04+00:00")
    assert files_of(result) == {W0: [0, 1, 2]}
    job()
    (inbox / "a.jsonl").unlink()
    with pytest.raises(Exception, match="4 rows are published, 1 would"):
        job()
    assert files_of(result) == {W0: [0, 1, 2, 3]}
    # On a window's boundary nothing of it comes, and nothing of it goes.
    drop(inbox, "c.jsonl", 11, [row(4)])
    job(since="1970-01-01T00:00:10+00:00")
    assert files_of(result) == {W0: [0, 1, 2, 3], W1: [4]}


def test_fewer_late_rows_than_before_do_not_take_their_place(tmp_path: Path) -> None:
    late: list[Event] = [(1, row(1)), 12, (2, row(2)), (3, row(3))]
    write(tmp_path, late)
    parts = {W0: [1], f"{W0}.p1": [2], f"{W0}.p2": [3]}
    assert files_of(tmp_path) == parts
    with pytest.raises(Exception, match="2 rows are published, 1 would"):
        write(tmp_path, [*late[:2], (4, row(4))])
    assert files_of(tmp_path) == parts


def test_fewer_rows_of_one_subset_are_enough_to_refuse(tmp_path: Path) -> None:
    def stream_with(even: bool) -> None:
        def apply(rows: Any) -> None:
            rows |= windowed()
            subsets = {"all": rows}
            if even:
                subsets["even"] = rows | beam.Filter(lambda found: found["n"] % 2 == 0)
            _ = subsets | WriteDistiset(str(tmp_path))

        run_stream(IN_TIME, apply)

    stream_with(True)
    with pytest.raises(Exception, match="'even': [13] rows are published, 0 would"):
        stream_with(False)
    assert files_of(tmp_path, "even") == {W0: [0, 2, 4], W1: [14]}


def test_fewer_rows_replace_a_window_once_where_a_person_says_so(tmp_path: Path) -> None:
    write(tmp_path, LATE)
    replace_file(tmp_path, W0).touch()
    write(tmp_path, [*FEWER, 25, (3, row(3))])
    assert files_of(tmp_path) == {W0: [1, 77], f"{W0}.p1": [3], W1: [13, 14]}
    assert [found["n"] for found in loaded(tmp_path)] == [1, 13, 14, 3, 77]
    assert not replace_file(tmp_path, W0).exists()
    with pytest.raises(Exception, match="3 rows are published, 1 would"):
        write(tmp_path, [FEWER[0], *FEWER[2:]])
    assert files_of(tmp_path) == {W0: [1, 77], f"{W0}.p1": [3], W1: [13, 14]}


def test_rows_that_were_in_time_and_are_late_in_the_rerun_are_there_once(tmp_path: Path) -> None:
    write(tmp_path, IN_TIME)
    with pytest.raises(Exception, match="5 rows are published, 4 would.* late now"):
        write(tmp_path, LATE)
    assert files_of(tmp_path) == {W0: [0, 1, 2, 3, 4], W1: [13, 14]}
    replace_file(tmp_path, W0).touch()
    write(tmp_path, LATE)
    assert files_of(tmp_path) == {W0: [0, 1, 2, 3], f"{W0}.p1": [4], W1: [13, 14]}


def test_what_an_attempt_has_published_itself_is_no_reason_to_refuse() -> None:
    ledger = WindowLedger(window=W0, parts=[])
    for pane, (attempt, rows) in enumerate((("one", 5), ("two", 2), ("two", 3))):
        ledger["parts"].append(
            Part(
                pane=pane,
                part=pane,
                planned=pane,
                attempt=attempt,
                content={"default": Sums(rows=rows, digest="0")},
                manifest={},
                replaced=[],
                commit=None,
            )
        )
    one: Content = {"default": Sums(rows=1, digest="1")}
    # Its runner went back to a checkpoint of its own, after the first pane.
    assert lost_rows(ledger, 1, one, "two") == {}
    assert lost_rows(ledger, 1, one, "three") == {"default": (5, 1)}
    assert lost_rows(ledger, 0, one, "two") == {"default": (5, 1)}
    assert lost_rows(ledger, 0, {}, "three") == {"default": (10, 0)}
    assert lost_rows(ledger, 3, one, "three") == {}
    assert lost_rows(None, 0, one, "one") == {}


@pytest.mark.parametrize("lateness", [0, 60])
def test_rows_that_would_be_dropped_are_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lateness: int
) -> None:
    def apply(rows: Any) -> None:
        _ = rows | windowed(lateness) | WriteDistiset(str(tmp_path))

    run_stream(LATE, apply)
    told = [r.getMessage() for r in caplog.records if "Beam drops rows" in r.getMessage()]
    assert len(told) == (0 if lateness else 1)
    assert all("allowed_lateness=0" in one and "86400" in one for one in told)
    kept = sorted(n for part in files_of(tmp_path).values() for n in part)
    assert kept == [0, 1, 2, 3, *([4] if lateness else []), 13, 14]


def test_what_an_attempt_that_was_cut_off_has_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: Any) -> None:
        raise SystemError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(Ledgers, "write", killed)
        with pytest.raises(Exception, match="killed"):
            write(tmp_path, IN_TIME, max_shard_rows=2)
    assert len(marks(tmp_path)) > 2  # without a ledger
    write(tmp_path, IN_TIME)
    assert files_of(tmp_path) == {W0: [0, 1, 2, 3, 4], W1: [13, 14]}
    assert len(marks(tmp_path)) == 2


def test_the_first_window_fixes_the_types_and_nothing_is_lost(tmp_path: Path) -> None:
    events: list[Event] = [
        *((n, {"n": n, "text": f"row {n}", "meta": {"a": 1}, "none": None}) for n in range(2)),
        12,
        (13, {"n": 1.5, "text": "float", "meta": {"a": 2, "b": "x"}, "none": "now"}),
        (14, {"n": "many", "text": 7, "meta": {"a": [1]}, "none": None, "new": True}),
        25,
        (26, row(3)),
    ]
    write(tmp_path, events)
    found = datasets.load_dataset(str(tmp_path), "default", split="train").to_list()
    by_text = {one["text"]: one for one in found}
    assert len(found) == len(by_text) == 5
    zero, one, three = (by_text[f"row {n}"] for n in (0, 1, 3))
    float_row, seven = by_text["float"], by_text[None]
    assert (zero["n"], one["n"], three["n"]) == (0.0, 1.0, 3.0)
    assert float_row["n"] == 1.5 and float_row["meta"] == {"a": 2, "b": "x"}
    assert float_row["none"] == "now" and float_row[MISFITS] is None
    assert seven["n"] is None and seven["text"] is None and seven["new"] is True
    assert json.loads(seven[MISFITS]) == {"n": "many", "text": 7, "meta": {"a": [1]}}
    assert zero[MISFITS] is None and zero["new"] is None


def test_staged_files_stay_for_a_while_and_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def staged() -> list[Path]:
        return list(tmp_path.glob(".staging-*/*/*.parquet"))

    write(tmp_path, IN_TIME)
    assert staged()
    write(tmp_path, IN_TIME)
    # Those of the job before are gone.
    assert len(list(tmp_path.glob(".staging-*"))) == 1
    monkeypatch.setattr(publishing, "KEPT_SECONDS", -1.0)
    write(tmp_path, IN_TIME)
    assert not staged()
    assert files_of(tmp_path) == {W0: [0, 1, 2, 3, 4], W1: [13, 14]}


def test_windows_on_another_filesystem() -> None:
    folder = f"memory://{new_name()}"
    for _ in range(2):
        run_stream(LATE, lambda rows: rows | windowed() | WriteDistiset(folder, max_shard_rows=10))
        filesystem, path = url_to_fs(folder)
        found = [name.rpartition("/")[2] for name in filesystem.ls(f"{path}/default", detail=False)]
        assert sorted(found) == [
            f"train-{part}-00000-of-00001.parquet" for part in (f"{W0}", f"{W0}.p1", W1)
        ]
    distiset = create_distiset(folder)
    assert sorted(distiset["default"]["train"]["n"]) == [0, 1, 2, 3, 4, 13, 14]
    filesystem.rm(path, recursive=True)


def test_push_to_hub_of_a_stream_has_to_find_what_it_published(hub: HubServer) -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=options(1))
    rows = stream(pipeline) | windowed()
    rows.is_bounded = False
    with pytest.raises(DistilabelUserError, match="unbounded.*with_checkpoint"):
        _ = rows | PushToHub(name="push", repo_id=f"{hub.namespace}/stream")


def test_rows_in_order_within_each_window(tmp_path: Path) -> None:
    def named(n: int) -> dict[str, Any]:
        return {**row(n), ROW_ID: f"0-{n}"}

    write(tmp_path, [*((n % 7, named(n)) for n in (9, 3, 11, 1)), 12, (13, named(2))], ordered=True)
    [file] = (tmp_path / "default").glob(f"*{W0}*")
    assert pq.read_table(file)["n"].to_pylist() == [1, 3, 9, 11]


# -- the Hub ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hub_client", "quick_hub")
class TestHub:
    def test_one_commit_per_window_and_none_by_a_rerun(
        self, tmp_path: Path, hub: HubServer
    ) -> None:
        target = {"repo_id": f"{hub.namespace}/stream", "commit_message": TITLE}
        write(tmp_path, LATE, hub=target)
        assert titles(hub, target["repo_id"]) == [TITLE] * 3 + ["initial commit"]
        found = loaded(target["repo_id"])
        assert [item["n"] for item in found] == [0, 1, 13, 14, 2, 3, 4]
        head = next(iter(hub.repo(target["repo_id"]).history("main")))
        for events in (LATE, IN_TIME):
            write(tmp_path, events, hub=target)
            assert next(iter(hub.repo(target["repo_id"]).history("main"))) == head

    def test_a_window_with_other_rows_is_replaced_by_one_commit(
        self, tmp_path: Path, hub: HubServer
    ) -> None:
        target = {"repo_id": f"{hub.namespace}/stream", "commit_message": TITLE}
        write(tmp_path, LATE, hub=target)
        with pytest.raises(Exception, match="5 rows are published, 2 would"):
            write(tmp_path, FEWER, hub=target)
        assert titles(hub, target["repo_id"]) == [TITLE] * 3 + ["initial commit"]
        replace_file(tmp_path, W0).touch()
        for events, expected in ((FEWER, [1, 13, 14, 77]), (OTHERS, [13, 14, *range(70, 76)])):
            before = len(titles(hub, target["repo_id"]))
            write(tmp_path, events, hub=target)
            assert titles(hub, target["repo_id"]) == [TITLE] * before + ["initial commit"]
            numbers = [r["n"] for rows in shards_of(hub, target["repo_id"]).values() for r in rows]
            assert sorted(numbers) == expected
            assert [item["n"] for item in loaded(target["repo_id"])] == expected

    def test_windows_that_were_not_published_are_so_by_a_rerun_that_is_to(
        self, tmp_path: Path, hub: HubServer
    ) -> None:
        target = {"repo_id": f"{hub.namespace}/stream", "commit_message": TITLE}
        write(tmp_path, LATE)
        write(tmp_path, IN_TIME, hub=target)
        assert titles(hub, target["repo_id"]) == [TITLE] * 2 + ["initial commit"]
        assert [item["n"] for item in loaded(target["repo_id"])] == [0, 1, 13, 14, 2, 3, 4]

    def test_a_commit_that_nobody_noted_is_found_by_the_rerun(
        self, tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = {"repo_id": f"{hub.namespace}/stream", "commit_message": TITLE}
        write_ledger = Ledgers.write

        def killed(self: Ledgers, ledger: WindowLedger) -> None:
            if any(part["commit"] for part in ledger["parts"]):
                raise SystemError("killed")
            write_ledger(self, ledger)

        with monkeypatch.context() as patched:
            patched.setattr(Ledgers, "write", killed)
            with pytest.raises(Exception, match="killed"):
                write(tmp_path, IN_TIME, hub=target)
        assert titles(hub, target["repo_id"]) == [TITLE, "initial commit"]
        write(tmp_path, IN_TIME, hub=target)
        assert titles(hub, target["repo_id"]) == [TITLE] * 2 + ["initial commit"]


# -- what can't be written -------------------------------------------------------------------------


def stream(pipeline: beam.Pipeline) -> Any:
    rows = pipeline | beam.Create([TimestampedValue({"n": 1}, 1)])
    rows.is_bounded = False
    return rows


@pytest.mark.parametrize(
    ("window", "arguments", "message"),
    [
        (None, {}, "'default' are unbounded and in one window that never ends.*WindowInto"),
        (beam.WindowInto(Sessions(10)), {}, "windowed by Sessions.*fixed size"),
        (beam.WindowInto(SlidingWindows(10, 5)), {}, "overlapping windows"),
        (
            beam.WindowInto(
                FixedWindows(10),
                trigger=AfterWatermark(),
                accumulation_mode=AccumulationMode.ACCUMULATING,
            ),
            {},
            "ACCUMULATING.*DISCARDING",
        ),
        (windowed(), {"overwrite": True}, "overwrite can't be given.*to another folder"),
        (windowed(), {"hub": {"repo_id": "a/b", "create_pr": True}}, "hub.create_pr .*revision"),
        (windowed(), {"windowed": False}, "no result as a whole"),
    ],
)
def test_what_cannot_be_written_window_by_window(
    tmp_path: Path, window: Any, arguments: dict[str, Any], message: str
) -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=options(1))
    rows = stream(pipeline)
    if window is not None:
        rows |= window
        rows.is_bounded = False
    with pytest.raises(DistilabelUserError, match=message):
        _ = rows | WriteDistiset(str(tmp_path), **arguments)


def test_subsets_that_are_windowed_differently(tmp_path: Path) -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=options(1))
    rows = stream(pipeline)
    one, two = rows | "1" >> windowed(), rows | "2" >> beam.WindowInto(FixedWindows(5))
    one.is_bounded = two.is_bounded = False
    with pytest.raises(DistilabelUserError, match="published together, so window them alike"):
        _ = {"one": one, "two": two} | WriteDistiset(str(tmp_path))


def test_windows_do_not_mix_with_a_result_that_has_none(tmp_path: Path) -> None:
    with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as pipeline:
        _ = pipeline | beam.Create([row(1)]) | WriteDistiset(str(tmp_path))
    with pytest.raises(DistilabelUserError, match="not of a window.*folder of their own"):
        write(tmp_path, IN_TIME)


def test_bounded_rows_are_one_result_unless_windows_are_asked_for(tmp_path: Path) -> None:
    for name, asked in (("one", None), ("two", True)):
        with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as pipeline:
            rows = pipeline | beam.Create([TimestampedValue(row(n), n) for n in (1, 2, 12)])
            _ = rows | windowed() | WriteDistiset(str(tmp_path / name), windowed=asked)
    assert [path.name for path in (tmp_path / "one" / "default").iterdir()] == [
        "train-00000-of-00001.parquet"
    ]
    assert files_of(tmp_path / "two") == {W0: [1, 2], W1: [12]}
    # A result as a whole takes the place of windows, and of what was known of them.
    with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as pipeline:
        rows = pipeline | beam.Create([row(5)])
        _ = rows | WriteDistiset(str(tmp_path / "two"), overwrite=True)
    assert not (tmp_path / "two" / ".windows").exists()
    assert [n for part in files_of(tmp_path / "two").values() for n in part] == [5]
