"""EmbeddingGeneration: a bad row costs one row, in a pipeline and alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.errors import RowError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import EmbeddingGeneration, LoadDataFromDicts
from tests.models.embeddings.test_base import Lengths

ROWS: list[dict[str, Any]] = [
    {"text": "four", "n": 0},
    {"text": "", "n": 1},
    {"text": None, "n": 2},
    {"text": "three", "n": 3},
    {"text": 5, "n": 4},
]
GOOD = {0: [4.0, 0.5], 3: [5.0, 0.5]}


def embedded(**kwargs: Any) -> Any:
    return ROWS | EmbeddingGeneration(embeddings=Lengths(), **kwargs).with_failures()


def test_rows_get_vectors_and_bad_ones_none_with_a_reason() -> None:
    outputs = embedded(name="embed")
    rows = {row["n"]: row for row in outputs["rows"]}
    assert {n: row["embedding"] for n, row in rows.items()} == {1: None, 2: None, 4: None, **GOOD}
    assert [rows[n]["model_name"] for n in (0, 1)] == ["lengths", None]
    kinds = {failure.row["n"]: failure.kind for failure in outputs["failures"]}
    assert kinds == {1: "engine", 2: "render", 4: "render"}
    reason = rows[2]["distilabel_metadata"]["failure_embed"]
    assert reason["message"] == "the column 'text' is empty (None)"
    assert "distilabel_metadata" not in rows[0]


def test_bad_rows_can_be_dropped() -> None:
    outputs = embedded(on_failure="drop")
    assert {row["n"]: row["embedding"] for row in outputs["rows"]} == GOOD
    assert len(outputs["failures"]) == 3


def test_a_bad_row_can_end_the_run() -> None:
    with pytest.raises(RowError, match="a row failed"):
        embedded(on_failure="raise")


def test_in_a_pipeline_with_other_names(tmp_path: Path) -> None:
    with Pipeline(name="vectors") as pipeline:
        load = LoadDataFromDicts(data=[{"body": "four", "text": 1}, {"body": "abc", "text": 2}])
        embed = EmbeddingGeneration(
            name="embed",
            embeddings=Lengths(),
            input_mappings={"text": "body"},
            output_mappings={"embedding": "vector"},
        )
        load >> embed
    rows = pipeline.run(output_dir=str(tmp_path / "run"))["default"]["train"].to_list()
    assert [(r["body"], r["text"], r["vector"]) for r in rows] == [
        ("four", 1, [4.0, 0.5]),
        ("abc", 2, [3.0, 0.5]),
    ]
    again = Pipeline.from_dict(pipeline.dump())
    assert again.dump() == pipeline.dump()


def test_a_subclass_with_a_process_of_its_own_is_used_as_it_is() -> None:
    class Twice(EmbeddingGeneration):
        def process(self, inputs):
            for batch in super().process(inputs):
                yield [{**row, "embedding": [2 * x for x in row["embedding"]]} for row in batch]

    (row,) = [{"text": "four"}] | Twice(embeddings=Lengths())
    assert row["embedding"] == [8.0, 1.0]
