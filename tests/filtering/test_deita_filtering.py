"""DeitaFiltering, compared with plain Python."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from beam_distilabel.errors import DistilabelUserError, PipelineValidationError
from beam_distilabel.metadata import METADATA
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.row import ROW_ID
from beam_distilabel.steps import DeitaFiltering, LoadDataFromDicts
from beam_distilabel.transforms.filtering import deita_filtering
from tests.pipeline.running import failures_of


def row(complexity: Any, quality: Any, *embedding: Any, **more: Any) -> dict[str, Any]:
    scores = {"evol_instruction_score": complexity, "evol_response_score": quality}
    return {**scores, "embedding": list(embedding), **more}


ROWS = [
    row(1, 2, 1.0, 0.0, n=0),
    row(5, 5, 0.0, 1.0, n=1),
    row(4, 5, 0.0, 2.0, n=2),
    row(3, 3, -1.0, 0.1, n=3),
]


def kept(rows: list[Any], **fields: Any) -> list[int]:
    return [made["n"] for made in next(DeitaFiltering(**fields).process(rows))]


def test_best_first_within_the_budget() -> None:
    assert kept(ROWS, data_budget=9) == [3, 0]  # 1 and 2 point the same way
    assert kept(ROWS, data_budget=1) == [3]
    assert kept(ROWS, data_budget=0) == []
    assert kept(ROWS, data_budget=9, diversity_threshold=0.0) == [1, 2, 3, 0]
    assert kept([], data_budget=9) == []


def test_compared_with_what_is_selected_the_best_of_twins_stays() -> None:
    assert kept(ROWS, data_budget=9, neighbours="selected") == [1, 3, 0]
    [first, *_] = next(DeitaFiltering(data_budget=9, neighbours="selected").process(ROWS))
    assert first["nearest_neighbor_distance"] == math.inf


def test_scores_that_are_missing() -> None:
    rows = [
        row(2, 3, 1.0, 0.0),
        row(None, 4, 0.0, 1.0),
        row(5, None, 0.0, -1.0),
        row(0, 9, -1.0, 0.0),
    ]
    rows += [row(None, None, 1.0, -1.0), {"embedding": [-1.0, 1.0]}]
    made = next(DeitaFiltering(data_budget=9, diversity_threshold=0.0).process(rows))
    assert [(m["deita_score"], len(m["deita_score_computed_with"])) for m in made] == [
        (6, 2),
        (5, 1),
        (4, 1),
        (0, 2),
        (0, 0),
        (0, 0),
    ]


FINITE = st.floats(-10, 10).map(lambda x: round(x, 3))


@settings(max_examples=40, deadline=None)
@given(
    vectors=st.lists(st.lists(FINITE, min_size=3, max_size=3).filter(any), min_size=1, max_size=9),
    metric=st.sampled_from(["cosine", "manhattan"]),
    normalize=st.booleans(),
    block=st.sampled_from([1, 200, 1 << 20]),
)
def test_distances_are_those_of_plain_python(
    vectors: list[list[float]], metric: Any, normalize: bool, block: int
) -> None:
    rows = [row(1, 1, *vector, n=i) for i, vector in enumerate(vectors)]
    step = DeitaFiltering(
        data_budget=99,
        diversity_threshold=-1e9,
        distance_metric=metric,
        normalize_embeddings=normalize,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deita_filtering, "_BLOCK_BYTES", block)
        made = next(step.process(rows))
    scaled = [np.array(v) / (np.linalg.norm(v) if normalize else 1) for v in vectors]

    def distance(a: Any, b: Any) -> float:
        return float(1 - a @ b if metric == "cosine" else abs(a - b).sum())

    assert len(made) == len(vectors)
    for one in made:
        others = [distance(scaled[one["n"]], v) for i, v in enumerate(scaled) if i != one["n"]]
        assert one["nearest_neighbor_distance"] == pytest.approx(min(others, default=math.inf))


def test_in_a_pipeline_bad_rows_cost_themselves(tmp_path: Path) -> None:
    bad: list[Any] = [
        row(1, 1, n=10),
        row(1, 1, 0.0, 0.0, n=11),
        row(1, 1, 1.0, None, n=12),
        row(1, 1, float("nan"), 1.0, n=13),
        row("9", 1, 1.0, 1.0, n=14),
        {**row(1, 1, n=15), "embedding": None},
    ]
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(data=[*ROWS[:2], *bad, *ROWS[2:]])
        load >> DeitaFiltering(name="deita", on_failure="drop")
    distiset = pipeline.run(parameters={"deita": {"data_budget": 9}}, output_dir=tmp_path / "run")
    rows = distiset["default"]["train"].to_list()
    assert sorted(r["n"] for r in rows) == [0, 3]
    failures = failures_of(tmp_path / "run")
    assert {f["row"]["n"] for f in failures} == {10, 11, 12, 13, 14, 15}
    assert {f["kind"] for f in failures} == {"column"}
    messages = " ".join(f["message"] for f in failures)
    for reason in (
        "empty list",
        "all zeros",
        "no number",
        "not a list",
        "nan",
        "empty (None) in it",
    ):
        assert reason in messages


def test_a_row_that_failed_may_go_on(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(data=[row(1, 1, n=10), *ROWS])
        load >> DeitaFiltering(name="deita", data_budget=1)
    [lost, best] = pipeline.run(output_dir=tmp_path / "run")["default"]["train"].to_list()
    assert (lost["n"], best["n"]) == (10, 3)
    assert lost["deita_score"] is None
    assert lost[METADATA]["failure_deita"]["kind"] == "column"
    assert ROW_ID not in best


def test_errors() -> None:
    with pytest.raises(DistilabelUserError, match="of different lengths: 1, 2; make all with one"):
        kept([row(1, 1, 1.0), row(1, 1, 1.0, 2.0)], data_budget=1)
    with pytest.raises(DistilabelUserError, match="an embedding is all zeros"):
        kept([row(1, 1, 0.0)], data_budget=1)
    with pytest.raises(ValidationError, match="data_budget"):
        DeitaFiltering(data_budget=-1)
    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(data=ROWS) >> DeitaFiltering(name="deita")
    with pytest.raises(PipelineValidationError, match="missing required runtime parameter.*budget"):
        pipeline.run()
