"""The `distilabel_metadata` column."""

from typing import Any

import pytest

from beam_distilabel.metadata import METADATA, metadata_of, with_failure


@pytest.mark.parametrize(
    ("value", "metadata"),
    [(None, {}), ({"a": 1}, {"a": 1}), (["a"], {"upstream": ["a"]}), ("a", {"upstream": "a"})],
)
def test_metadata_is_a_dict_of_its_own(value: Any, metadata: dict[str, Any]) -> None:
    row = {METADATA: value}
    found = metadata_of(row)
    assert found == metadata
    found["more"] = 1
    assert row == {METADATA: value}
    assert metadata_of({}) == {}


def test_reasons_add_up() -> None:
    row = {"x": 1, METADATA: {"raw_output_a": "text"}}
    twice = with_failure(with_failure(row, "a", {"kind": "parse"}), "b", {"kind": "join"})
    assert twice == {
        "x": 1,
        METADATA: {
            "raw_output_a": "text",
            "failure_a": {"kind": "parse"},
            "failure_b": {"kind": "join"},
        },
    }
    assert row == {"x": 1, METADATA: {"raw_output_a": "text"}}
