"""Sources without an end: files that appear, and messages."""

from __future__ import annotations

import datetime
import gzip
import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import FixedWindows
from apache_beam.utils.timestamp import MAX_TIMESTAMP
from hypothesis import given, strategies as st

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.row import ROW_ID, Row, content
from beam_distilabel.transforms.sources.parse_messages import (
    Message,
    ParseMessages,
    as_message,
    message_row,
)
from beam_distilabel.transforms.sources.watch_files import PollFiles, WatchFiles, changed_at
from tests.fakes import journal, new_name, options, plain
from tests.streaming.fakes import drop
from tests.streaming.running import Seen

# -- files -----------------------------------------------------------------------------------------


def looked(poll: PollFiles, folder: Path) -> tuple[dict[str, float], Any]:
    """File to time, and the watermark, of one look."""
    result = poll(str(folder))
    files = {Path(o.value[0]).name: float(o.timestamp) for o in result.outputs}
    return files, result.watermark


def test_a_look_gives_complete_files_and_holds_the_watermark_behind_the_others(
    tmp_path: Path,
) -> None:
    drop(tmp_path, "old.jsonl", 100, [{"a": 1}])
    drop(tmp_path, "new.jsonl", 996, [{"a": 2}])
    (tmp_path / "_other.jsonl").write_text("{}")
    (tmp_path / ".hidden.jsonl").write_text("{}")
    (tmp_path / "notes.md").write_text("no data")
    poll = PollFiles(settle=5.0, clock=lambda: 1000.0)
    assert looked(poll, tmp_path) == ({"old.jsonl": 100.0}, 995.0)
    later = PollFiles(settle=5.0, since=500.0, clock=lambda: 1001.0)
    assert looked(later, tmp_path) == ({"new.jsonl": 996.0}, 996.0)
    assert looked(poll, tmp_path / "none") == ({}, 995.0)


def test_a_watch_ends_at_a_time_or_with_a_file(tmp_path: Path) -> None:
    drop(tmp_path, "a.jsonl", 100, [{"a": 1}])
    drop(tmp_path, "b.jsonl", 300, [{"a": 2}])
    until = PollFiles(settle=5.0, until=200.0, clock=lambda: 204.9)
    assert looked(until, tmp_path) == ({"a.jsonl": 100.0}, pytest.approx(199.9))
    until = PollFiles(settle=5.0, until=200.0, clock=lambda: 205.0)
    assert looked(until, tmp_path) == ({"a.jsonl": 100.0}, MAX_TIMESTAMP)
    stop = tmp_path / "stop.jsonl"
    poll = PollFiles(settle=5.0, stop_file=str(stop), clock=lambda: 200.0)
    assert looked(poll, tmp_path) == ({"a.jsonl": 100.0}, 195.0)
    stop.touch()
    assert looked(poll, tmp_path) == ({"a.jsonl": 100.0, "b.jsonl": 300.0}, MAX_TIMESTAMP)


def watched(folder: Path, pattern: str = "", **arguments: Any) -> tuple[Seen, list[Any]]:
    """What a watch of all that is there gives: rows and failures."""
    (folder / "_STOP").touch()
    rows, failures = Seen(), new_name()
    with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as pipeline:
        watch = WatchFiles(
            str(folder / pattern), every=0.1, settle=0, stop_file=str(folder / "_STOP"), **arguments
        )
        outputs = pipeline | watch.with_failures()
        _ = outputs["rows"] | beam.WindowInto(FixedWindows(10)) | rows
        _ = outputs["failures"] | "Failed" >> beam.Map(
            lambda f, name: journal(name).add(f), failures
        )
    return rows, journal(failures).events


def test_rows_have_the_times_of_their_files_and_ids_of_their_own(tmp_path: Path) -> None:
    drop(tmp_path, "a.jsonl", 105, [{"n": 1}, {"n": 2}])
    drop(tmp_path / "sub", "b.jsonl", 117, [{"n": 1}])
    pq.write_table(pa.table({"n": [4]}), tmp_path / "c.parquet")
    (tmp_path / "d.csv").write_text("n,t\n5,x\n")
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(b'{"n": 6}\n'))
    rows, failures = watched(tmp_path)
    assert not failures
    assert sorted(row["n"] for _, _, row in rows.events) == [1, 1, 2, 4, 5, 6]
    assert len({row[ROW_ID] for _, _, row in rows.events}) == 6
    times = [(start, time, content(row)) for start, time, row in rows.events][:3]
    assert times[:2] == [(100.0, 105.0, {"n": 1}), (100.0, 105.0, {"n": 2})]
    again, _ = watched(tmp_path)
    assert again.events == rows.events  # a rerun has the same windows and ids
    found, _ = watched(tmp_path, "*.jsonl")
    assert sorted(row["n"] for _, _, row in found.events) == [1, 2]


def test_what_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"n": 1}\nnot JSON\n{"n": 3}\n')
    (tmp_path / "b.parquet").write_text("no Parquet")
    rows, failures = watched(tmp_path)
    assert [row["n"] for _, _, row in rows.events] == [1, 3]
    assert {failure.kind for failure in failures} == {"read"}
    [line] = [failure for failure in failures if failure.raw_output]
    assert "a.jsonl, line 2" in line.message and line.raw_output == "not JSON"
    [file] = [failure for failure in failures if not failure.raw_output]
    assert "b.parquet" in file.message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every": 0}, "every=0 has to be a number of seconds above 0"),
        ({"settle": -1}, "settle=-1"),
        ({"filetype": "xml"}, "'xml' isn't known"),
        ({"until": datetime.datetime(2026, 1, 1)}, "no time zone"),
        ({"since": "yesterday"}, "since='yesterday'"),
    ],
)
def test_arguments_that_cannot_be_used(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DistilabelUserError, match=message):
        WatchFiles("inbox", **arguments)


def test_a_watch_takes_no_rows() -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=options(1))
    with pytest.raises(DistilabelUserError, match="p | WatchFiles"):
        _ = pipeline | beam.Create([{}]) | WatchFiles("inbox")


def test_what_filesystems_call_the_time_of_a_change() -> None:
    time = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    assert changed_at({"mtime": 5}) == 5.0
    assert changed_at({"LastModified": time}) == time.timestamp()
    assert changed_at({"updated": "2026-01-01T00:00:00.000Z"}) == time.timestamp()
    with pytest.raises(DistilabelUserError, match="doesn't say when 'x'"):
        changed_at({"name": "x"})


# -- messages --------------------------------------------------------------------------------------


class KafkaRecord:
    """What `ReadFromKafka(with_metadata=True)` gives, as far as it is looked at."""

    def __init__(self, offset: int, value: bytes | None, key: bytes | None = None) -> None:
        self.topic, self.partition, self.offset = "questions", 3, offset
        self.value, self.key = value, key
        self.headers = None


def parsed(messages: list[Any], **arguments: Any) -> tuple[list[Row], list[Any]]:
    rows, failures = new_name(), new_name()
    with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as pipeline:
        source = pipeline | beam.Create(messages, reshuffle=False)
        outputs = source | ParseMessages(**arguments).with_failures()
        _ = outputs["rows"] | "R" >> beam.Map(lambda row, name: journal(name).add(row), rows)
        _ = outputs["failures"] | "F" >> beam.Map(lambda f, name: journal(name).add(f), failures)
    return journal(rows).events, journal(failures).events


def test_messages_of_all_kinds_become_rows() -> None:
    messages = [
        b'{"n": 0, "_row_id": "0-0", "_draw": 7}',
        '{"n": 1}',
        (b"key", b'{"n": 2}'),
        PubsubMessage(b'{"n": 3}', {"lang": "en"}, message_id="77"),
        PubsubMessage(b'{"n": 4}', {"lang": "de", "id": "x"}, message_id="78"),
    ]
    rows, failures = parsed(
        messages, key_column="key", attributes_column="attributes", id_attribute="id"
    )
    assert not failures
    assert [row["n"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["key"] for row in rows] == [None, None, "key", None, None]
    assert rows[3]["attributes"] == {"lang": "en"}
    assert len({row[ROW_ID] for row in rows}) == 5 and rows[0][ROW_ID] != "0-0"
    twice = [PubsubMessage(b'{"n": 5}', {"id": "x"}, message_id="99")]
    assert parsed(twice, id_attribute="id")[0][0][ROW_ID] == rows[4][ROW_ID]


def test_a_kafka_record_is_named_by_its_place() -> None:
    ids = [as_message(KafkaRecord(offset, b"{}", b"k")).row_id for offset in (4, 5, 4)]
    assert ids[0] == ids[2] != ids[1]
    assert str(ids[0]).endswith("-4")


def test_equal_messages_without_an_id_are_told_apart() -> None:
    rows, _ = parsed([b'{"n": 1}', b'{"n": 1}'])
    assert len({row[ROW_ID] for row in rows}) == 2
    assert plain(rows) == [{"n": 1}, {"n": 1}]


def test_what_is_no_row_is_a_failure() -> None:
    deep = b'{"a":' * 300 + b"1" + b"}" * 300
    bad = [b"\xff", b"[1]", b"not JSON", PubsubMessage(None, {"a": "b"}, message_id="1"), 5, deep]
    rows, failures = parsed([*bad, b'{"n": 1}'])
    assert [row["n"] for row in rows] == [1]
    assert [failure.kind for failure in failures] == ["read"] * len(bad)
    assert [failure.raw_output for failure in failures[1:3]] == ["[1]", "not JSON"]
    assert "not int" in failures[4].message


@given(st.one_of(st.binary(), st.text(), st.integers(), st.tuples(st.binary(), st.binary())))
def test_any_message_is_a_row_or_says_why_not(value: Any) -> None:
    try:
        row = message_row(as_message(value))
    except ValueError as error:
        assert str(error)
    else:
        assert isinstance(row, dict)


@given(st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.none(), st.booleans())))
def test_json_objects_come_back(row: dict[str, Any]) -> None:
    text = json.dumps(row)
    expected = {k: v for k, v in json.loads(text).items() if k not in (ROW_ID, "_draw")}
    found = message_row(Message(text.encode()))
    if not any(0xD800 <= ord(c) <= 0xDFFF for c in json.dumps(row, ensure_ascii=False)):
        assert found == expected
