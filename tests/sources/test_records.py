"""JSON from bytes, whatever the size of what is read at a time."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from beam_distilabel.transforms.sources import records
from beam_distilabel.transforms.sources.records import iter_json, parse_record, split_lines

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(VALUES, max_size=6), st.integers(1, 30), st.booleans(), st.sampled_from([None, 1]))
def test_documents_are_read_in_chunks_of_any_size(
    values: list[Any], chunk: int, ascii_only: bool, indent: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "CHUNK", chunk)
        array = json.dumps(values, ensure_ascii=ascii_only, indent=indent)
        assert list(iter_json(io.StringIO(f"\n {array} \n"))) == values
        objects = [{"value": value} for value in values]
        sequence = "\n".join(json.dumps(o, indent=indent) for o in objects)
        assert list(iter_json(io.StringIO(sequence))) == objects


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('[{"a": 1}, {"a": 2}', 2),
        ('[{"a": 1} {"a": 2}]', 1),
        ('[{"a": 1}, {"a" 2}]', 1),
        ('[{"a": 1}] x', 1),
        ('[{"a": 1}, {"a": "x', 1),
        ('[{"a": 1},', 1),
    ],
)
def test_broken_documents_say_where(text: str, count: int) -> None:
    found = []
    with pytest.raises(ValueError, match=f"after {count} records, at character"):
        for value in iter_json(io.StringIO(text)):
            found.append(value)
    assert len(found) == count


@settings(deadline=None)
@given(st.lists(st.binary().map(lambda b: b.replace(b"\n", b"")), max_size=8), st.integers(1, 9))
def test_lines_are_split_in_chunks_of_any_size(lines: list[bytes], chunk: int) -> None:
    text = b"".join(line + b"\n" for line in lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "CHUNK", chunk)
        assert list(split_lines(io.BytesIO(text))) == lines
        assert list(split_lines(io.BytesIO(text + b"end"))) == [*lines, b"end"]
        assert list(split_lines(io.BytesIO(text + b"rest\n"), len(text))) == lines


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b'{"a": 123456789012345678901234567890}', 123456789012345678901234567890),
        (b'{"a": 18446744073709551616}', 2**64),
        (b'{"a": -9223372036854775809}', -(2**63) - 1),
        (b'{"a": Infinity}', float("inf")),
        (b'{"a": "\\ud800"}', "\\ud800"),
        (b'{"a": 1e400}', float("inf")),
    ],
)
def test_what_orjson_refuses_or_rounds_is_kept(line: bytes, value: Any) -> None:
    assert parse_record(line) == {"a": value}


def test_lone_surrogates_in_documents_become_escapes() -> None:
    assert list(iter_json(io.StringIO('[{"\\uDFFF": ["\\ud83d\\ude00", "\\ud800"]}]'))) == [
        {"\\udfff": ["\U0001f600", "\\ud800"]}
    ]


@pytest.mark.parametrize(
    "line", [b"[1]", b"3", b"null", b'"x"', b"{", b"", b"\xff", b"[" * 100_000]
)
def test_other_lines_are_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        parse_record(line)
