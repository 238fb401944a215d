"""Files of finished generations: whole, damaged, foreign."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from beam_distilabel.checkpoint import segments
from beam_distilabel.checkpoint.documents import seal, unseal
from beam_distilabel.checkpoint.segments import (
    ROWS_PER_GROUP,
    CorruptSegment,
    is_part,
    is_segment,
    list_segments,
    read_segment,
    segment_name,
    write_segment,
    written_at,
)
from tests.beam_filesystems import ROOT, FlatFileSystem, TreeFileSystem  # noqa: F401
from tests.checkpoint.faulty import FAULTS

ROWS = {bytes([n % 256, n // 256]) * 8: f"answer {n}" for n in range(ROWS_PER_GROUP + 100)}


def write(folder: str, name: str, rows: dict[bytes, Any]) -> None:
    write_segment(folder, name, list(rows), [seal(key, value) for key, value in rows.items()])


def readable(folder: str, name: str) -> dict[bytes, Any]:
    """What of a segment can be read."""
    found = {}
    for row in read_segment(folder, name).to_pylist():
        try:
            found[row["key"]] = unseal(row["key"], row["value"])
        except (ValueError, TypeError):
            continue
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segment of two groups."""
    folder = tmp_path_factory.mktemp("whole")
    write(str(folder), segment_name(1), ROWS)
    (file,) = folder.iterdir()
    return file


@pytest.mark.parametrize("place", ["{}/run", "memory://segments{}", "flat://bucket{}", "tree://{}"])
def test_any_filesystem(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT, str(tmp_path))
    if not place.startswith("{"):
        place = place.format("/below" + tmp_path.name)
    else:
        place = place.format(tmp_path)
    if place.startswith("tree"):
        place = place.replace("///", "//")
    assert list_segments(place) == []
    names = [segment_name() for _ in range(3)]
    for number, name in enumerate(names):
        write(place, name, {bytes([number]) * 16: number})
    assert list_segments(place) == sorted(names)
    assert [readable(place, name) for name in names] == [{bytes([n]) * 16: n} for n in range(3)]
    segments.remove(place, names[0])
    segments.remove(place, names[0])
    assert list_segments(place) == sorted(names[1:])
    with pytest.raises(FileNotFoundError):
        read_segment(place, names[0])


def test_names_sort_by_time() -> None:
    assert sorted([segment_name(10), segment_name(9)])[0].startswith("0" * 19 + "9-")
    assert written_at(segment_name(123)) == 123
    assert written_at(segment_name(0)) == 0
    assert is_segment(segment_name())
    for name in ("x.parquet", "1-a.parquet", segment_name()[:-1], "." + segment_name() + ".part"):
        assert not is_segment(name)
    assert is_part("." + segment_name() + ".part")
    assert not is_part(".other.part")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_costs_a_group_at_most_and_no_value_is_wrong(
    whole: Path, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(whole.read_bytes())
    footer = int.from_bytes(content[-8:-4], "little") + 8
    # The magic number, pages and their headers of both groups, the footer, its length.
    start, end = data.draw(
        st.sampled_from(
            [
                (0, 4),
                (4, 200),
                (4, len(content) - footer),
                (len(content) - footer, len(content) - 8),
                (len(content) - 8, len(content)),
            ]
        )
    )
    at = data.draw(st.integers(start, end - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / whole.name).write_bytes(content)
    try:
        found = readable(str(tmp_path), whole.name)
    except CorruptSegment:
        assert not 4 <= at < len(content) - footer
        return
    assert found.items() <= ROWS.items()
    if at < len(content) - footer:
        assert len(found) >= len(ROWS) - ROWS_PER_GROUP


@pytest.mark.parametrize("cut", [0, 1, 3, 100, 0.5, -9, -8, -1])
def test_a_truncated_file_is_no_segment(whole: Path, tmp_path: Path, cut: Any) -> None:
    content = whole.read_bytes()
    kept = content[: int(cut * len(content))] if isinstance(cut, float) else content[:cut]
    (tmp_path / whole.name).write_bytes(kept)
    with pytest.raises(CorruptSegment, match=whole.name):
        read_segment(str(tmp_path), whole.name)


def test_foreign_files_are_no_segments(tmp_path: Path) -> None:
    names = [segment_name() for _ in range(4)]
    pq.write_table(pa.table({"key": ["a"], "value": [1]}), tmp_path / names[0])
    (tmp_path / names[1]).write_text("PAR1 notes PAR1")
    (tmp_path / names[2]).mkdir()
    pq.write_table(pa.table({"key": pa.array([b"0" * 16], pa.binary(16))}), tmp_path / names[3])
    (tmp_path / "README.md").write_text("hello")
    assert list_segments(str(tmp_path)) == sorted(names)
    for name in names:
        with pytest.raises(CorruptSegment):
            read_segment(str(tmp_path), name)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    FAULTS.__init__()  # type: ignore[misc]
    FAULTS.room = 10
    with pytest.raises(OSError, match="No space"):
        write(f"faulty://{tmp_path}", segment_name(), ROWS)
    assert list(tmp_path.glob("*.p*")) == []


def test_errors_of_object_stores_are_errors_of_the_filesystem(whole: Path) -> None:
    FAULTS.__init__()  # type: ignore[misc]
    FAULTS.reading_fails = 1
    with pytest.raises(OSError, match="ClientError: the connection was reset"):
        read_segment(f"faulty://{whole.parent}", whole.name)


def test_a_copy_is_the_same(whole: Path, tmp_path: Path) -> None:
    shutil.copy(whole, tmp_path)
    assert readable(str(tmp_path), whole.name) == ROWS
