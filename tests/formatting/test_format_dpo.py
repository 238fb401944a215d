"""FormatTextGenerationDPO and FormatChatGenerationDPO."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from beam_distilabel.errors import ColumnError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import (
    FormatChatGenerationDPO,
    FormatTextGenerationDPO,
    LoadDataFromDicts,
)
from tests.pipeline.running import failures_of

ASKED = [{"role": "user", "content": "2+2?"}]


def row_of(generations: Any, ratings: Any, **columns: Any) -> dict[str, Any]:
    return {"instruction": "2+2?", "generations": generations, "ratings": ratings, **columns}


def answered(text: str) -> list[dict[str, str]]:
    return [*ASKED, {"role": "assistant", "content": text}]


def test_best_and_worst() -> None:
    row = row_of(["5", "4", "six"], [2, 5, 1], generation_models=["a", "b", "c"])
    assert FormatTextGenerationDPO().transform_row(row) == {
        **row,
        "prompt": "2+2?",
        "prompt_id": hashlib.sha256(b"2+2?").hexdigest(),
        "chosen": answered("4"),
        "chosen_model": "b",
        "chosen_rating": 5,
        "rejected": answered("six"),
        "rejected_model": "c",
        "rejected_rating": 1,
    }


def test_a_text_is_not_preferred_to_itself() -> None:
    made = FormatTextGenerationDPO().transform_row(row_of(["a", "b", "a"], [3, 2, 1]))
    assert (made["chosen"], made["rejected"]) == (answered("a"), answered("b"))
    with pytest.raises(ColumnError, match="all the same: none is preferred"):
        FormatTextGenerationDPO().transform_row(row_of(["a", "a"], [2, 1]))


def test_system_prompt() -> None:
    row = row_of(["a", "b"], [0.5, 1.5], system_prompt="Be brief.")
    made = FormatTextGenerationDPO().transform_row(row)
    assert made["chosen"][0] == {"role": "system", "content": "Be brief."}
    assert "chosen_model" not in made


def test_chat() -> None:
    row = {"messages": ASKED, "generations": ["a", "b"], "ratings": [1, 2]}
    made = FormatChatGenerationDPO().transform_row(row)
    assert (made["chosen"], made["rejected"]) == (answered("b"), answered("a"))
    assert made["messages"] == ASKED and made["prompt"] == "2+2?"


@given(
    st.lists(
        st.tuples(
            st.none() | st.text("ab"),
            st.none() | st.integers(1, 5) | st.floats(0, 5) | st.just(float("nan")),
        ),
        max_size=6,
    )
)
def test_the_chosen_is_rated_higher_than_the_rejected(rated: list[tuple[Any, Any]]) -> None:
    row = row_of([text for text, _ in rated], [rating for _, rating in rated])
    usable = [pair for pair in rated if None not in pair and pair[1] == pair[1]]
    best = max(usable, key=lambda pair: pair[1], default=None)
    others = [rating for text, rating in usable if best and text != best[0]]
    if best is None or best[1] == min(others, default=best[1]):
        with pytest.raises(ColumnError, match="a preference needs two|none is preferred"):
            FormatTextGenerationDPO().transform_row(row)
        return
    made = FormatTextGenerationDPO().transform_row(row)
    assert (made["chosen_rating"], made["rejected_rating"]) == (best[1], min(others))
    assert made["chosen"] != made["rejected"]
    assert (made["chosen"][-1]["content"], made["chosen_rating"]) in rated
    assert (made["rejected"][-1]["content"], made["rejected_rating"]) in rated


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (row_of(["a"], [1, 2]), "lists of different lengths: 'generations' 1, 'ratings' 2"),
        (
            row_of(["a", "b"], [1, 2], generation_models=["m"]),
            "'generations' 2, 'ratings' 2, 'generation_models' 1",
        ),
        (row_of("a", [1]), "'generations' is a str, not a list"),
        (row_of(["a", "b"], None), "'ratings' is empty \\(None\\), not a list"),
        (row_of(["a", "b"], ["1", 2]), "'ratings' has '1' in it, no number"),
        (row_of(["a", ["b"]], [1, 2]), "'generations' has a list in it"),
        (row_of(["a", "b"], [3, 3]), "all rated 3: none is preferred"),
    ],
)
def test_rows_without_a_preference(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(ColumnError, match=reason):
        FormatTextGenerationDPO().transform_row(row)


def test_models_are_columns_only_where_they_are_known(tmp_path: Path) -> None:
    data = [row_of(["a", "b"], [1, 2]), row_of(["a", "b"], [1, 1])]
    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(data=data) >> FormatTextGenerationDPO(name="dpo")
    rows = pipeline.run(output_dir=tmp_path / "run")["default"]["train"]
    assert not {"chosen_model", "rejected_model"} & set(rows.column_names)
    assert [row["chosen_rating"] for row in rows] == [2, None]
    (failure,) = failures_of(tmp_path / "run")
    assert (failure["step"], failure["kind"]) == ("dpo", "column")
