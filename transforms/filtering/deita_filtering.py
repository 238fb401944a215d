"""DeitaFiltering: the best rows that are not too near to others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from beam_distilabel.errors import ColumnError, DistilabelUserError
from beam_distilabel.row import Row
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.step import GlobalStep
from beam_distilabel.transforms.columns.values import described, list_in
from beam_distilabel.typing import StepColumns, StepInput, StepOutput

_SCORES = ("evol_instruction_score", "evol_response_score")
_BLOCK_BYTES = 1 << 26

Vectors = npt.NDArray[np.float64]


class DeitaFiltering(GlobalStep):
    """Keeps the rows with the highest scores among those that are far enough from all others.

    A row's score is the product of its scores for complexity and quality; one that is missing is
    left out of account. Of the rows whose nearest neighbour is at least `diversity_threshold` away,
    those with the highest scores are kept, `data_budget` at most. So of rows that resemble each
    other none is kept, as in distilabel; with `neighbours="selected"` a row is compared with those
    that are kept already, best first, as in the paper: then the best of them is.

    All rows are gathered on one worker; the time grows with the square of their number.

    Attributes:
        data_budget: how many rows are kept at most.
        diversity_threshold: the smallest distance to the nearest neighbour; default is 0.9.
        normalize_embeddings: whether embeddings are scaled to length 1 first, as they are by
            default. The cosine distance, 1 minus the dot product, is only then one.
        distance_metric: "cosine" (the default) or "manhattan".
        neighbours: "all" rows (the default), or those "selected" already.

    Input columns: `evol_instruction_score`, `evol_response_score` (numbers or None), `embedding`
        (a list of numbers; a row without a usable one is a failure of kind `column`).
    Output columns: `deita_score`, `deita_score_computed_with` (which scores are in it),
        `nearest_neighbor_distance` (infinite where there is no neighbour).

    References:
        What Makes Good Data for Alignment? https://arxiv.org/abs/2312.15685

    Example:
        >>> rows = [
        ...     {"evol_instruction_score": 2, "evol_response_score": 3, "embedding": [1.0, 0.0]},
        ...     {"evol_instruction_score": 4, "evol_response_score": 5, "embedding": [0.0, 1.0]},
        ... ]
        >>> [best] = next(DeitaFiltering(data_budget=1).process(rows))
        >>> best["deita_score"], best["nearest_neighbor_distance"]
        (20, 1.0)
    """

    data_budget: RuntimeParameter[int] = Field(
        default=None, ge=0, description="How many rows are kept at most."
    )
    diversity_threshold: RuntimeParameter[float] = Field(
        default=0.9, description="The smallest distance to the nearest neighbour."
    )
    normalize_embeddings: RuntimeParameter[bool] = Field(
        default=True, description="Whether embeddings are scaled to length 1 first."
    )
    distance_metric: RuntimeParameter[Literal["cosine", "manhattan"]] = Field(
        default="cosine", description="How distances are measured: 'cosine' or 'manhattan'."
    )
    neighbours: RuntimeParameter[Literal["all", "selected"]] = Field(
        default="all",
        description="What a row is compared with: 'all' rows, or those 'selected' already.",
    )

    @property
    def inputs(self) -> StepColumns:
        return [*_SCORES, "embedding"]

    @property
    def outputs(self) -> StepColumns:
        return ["deita_score", "deita_score_computed_with", "nearest_neighbor_distance"]

    def output_schema(self) -> pa.Schema | None:
        return pa.schema(
            [
                ("deita_score_computed_with", pa.list_(pa.string())),
                ("nearest_neighbor_distance", pa.float64()),
            ]
        )

    def _check_usable(self, row: Row) -> None:
        """Raise for a row without usable scores or a usable embedding.

        Raises:
            ColumnError: a score is no number, or the embedding no list of finite numbers; or it has
                length 0, and is to be scaled.
        """
        for name in _SCORES:
            score = row.get(name)
            if score is not None and not _is_finite(score):
                raise ColumnError(f"the column {name!r} has {str(score)[:80]!r}, no number")
        embedding = list_in(row, "embedding")
        if not embedding:
            raise ColumnError("the column 'embedding' is an empty list")
        for value in embedding:
            if not _is_finite(value):
                raise ColumnError(f"the column 'embedding' has {described(value)} in it: {value!r}")
        if self.normalize_embeddings and not any(embedding):
            raise ColumnError("the column 'embedding' is all zeros: it can't be scaled to length 1")

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        """Yields the rows that are kept, best first.

        Raises:
            DistilabelUserError: embeddings are of different lengths, or all zeros.
        """
        if not inputs:
            yield []
            return
        scored = [{**row, **deita_score(row)} for row in inputs]
        vectors = self._vectors(scored)
        order = sorted(range(len(scored)), key=lambda i: -scored[i]["deita_score"])
        near = self._near_all(vectors) if self.neighbours == "all" else None
        kept: list[int] = []
        done: list[Row] = []
        assert self.data_budget is not None and self.diversity_threshold is not None
        for i in order:
            if len(kept) >= self.data_budget:
                break
            distance = float(near[i]) if near is not None else self._near(vectors, i, kept)
            if distance >= self.diversity_threshold:
                kept.append(i)
                done.append({**scored[i], "nearest_neighbor_distance": distance})
        yield done

    def _vectors(self, rows: Sequence[Row]) -> Vectors:
        lengths = sorted({len(row["embedding"]) for row in rows})
        if len(lengths) > 1:
            raise DistilabelUserError(
                f"{self._described()}: the embeddings are of different lengths: "
                f"{', '.join(map(str, lengths))}; make all with one model."
            )
        vectors = np.array([row["embedding"] for row in rows], dtype=np.float64)
        if self.normalize_embeddings:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            if not norms.all():
                raise DistilabelUserError(
                    f"{self._described()}: an embedding is all zeros; it can't be scaled to length "
                    "1. Leave such rows out, or set normalize_embeddings=False."
                )
            vectors /= norms
        return vectors

    def _distances(self, some: Vectors, others: Vectors) -> Vectors:
        if self.distance_metric == "cosine":
            return np.asarray(1 - some @ others.T)
        return np.asarray(np.abs(some[:, None] - others).sum(-1))

    def _near_all(self, vectors: Vectors) -> Vectors:
        """Each vector's distance to the nearest other one."""
        nearest = np.empty(len(vectors))
        for start, stop in self._blocks(vectors):
            distances = self._distances(vectors[start:stop], vectors)
            distances[np.arange(stop - start), np.arange(start, stop)] = np.inf
            nearest[start:stop] = distances.min(axis=1)
        return nearest

    def _blocks(self, vectors: Vectors) -> Iterator[tuple[int, int]]:
        count, width = vectors.shape
        row_bytes = 8 * count * (1 if self.distance_metric == "cosine" else width)
        size = max(1, _BLOCK_BYTES // row_bytes)
        for start in range(0, count, size):
            yield start, min(start + size, count)

    def _near(self, vectors: Vectors, index: int, others: Sequence[int]) -> float:
        if not others:
            return math.inf
        return float(self._distances(vectors[index : index + 1], vectors[others]).min())


def deita_score(row: Row) -> dict[str, Any]:
    """The product of a row's scores, and which are in it; 0 where there is none.

    Example:
        >>> deita_score({"evol_instruction_score": 3, "evol_response_score": None})
        {'deita_score': 3, 'deita_score_computed_with': ['evol_instruction_score']}
    """
    there = [name for name in _SCORES if row.get(name) is not None]
    score = math.prod(row[name] for name in there) if there else 0
    return {"deita_score": score, "deita_score_computed_with": there}


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


__all__ = ["DeitaFiltering", "deita_score"]
