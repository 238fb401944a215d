"""Seeded sampling for the CPU engine: repeatable, independent of the batch, of the right law."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

pytest.importorskip("vllm")

import torch
from scipy.stats import chisquare
from vllm import SamplingParams
from vllm.v1.sample.logits_processor.interface import BatchUpdate, MoveDirectionality

from beam_distilabel.models.vllm.seeded_sampling import SEED_ARGUMENT, SeededSampling, uniform

SEEDS = st.integers(0, 2**63 - 1)


def processor(*params: SamplingParams, outputs: list[list[int]] | None = None) -> SeededSampling:
    made = SeededSampling(None, torch.device("cpu"), False)
    outputs = outputs or [[] for _ in params]
    added = [(i, own, None, outputs[i]) for i, own in enumerate(params)]
    made.update_state(BatchUpdate(len(params), removed=[], added=added, moved=[]))
    return made


def seeded(seed: int, **values: Any) -> SamplingParams:
    return SamplingParams(extra_args={SEED_ARGUMENT: seed}, **values)


def drawn(made: SeededSampling, logits: torch.Tensor) -> list[int]:
    """The only token left in each row."""
    left = made.apply(logits.clone())
    assert (torch.isfinite(left).sum(dim=1) == 1).all()
    return left.argmax(dim=1).tolist()


@given(st.lists(st.tuples(SEEDS, st.integers(0, 2**20)), min_size=1, max_size=50))
def test_numbers_are_in_range_and_repeat_themselves(pairs: list[tuple[int, int]]) -> None:
    seeds, positions = np.array(pairs, dtype=np.uint64).T
    numbers = uniform(seeds, positions)
    assert ((numbers >= 0) & (numbers < 1)).all()
    for (seed, position), number in zip(pairs, numbers, strict=True):
        alone = uniform(np.array([seed], np.uint64), np.array([position], np.uint64))
        assert alone[0] == number


def test_numbers_are_uniform_over_seeds_and_over_positions() -> None:
    many = np.arange(20_000, dtype=np.uint64)
    one = np.full(20_000, 7, np.uint64)
    for numbers in (uniform(many, one), uniform(one, many), uniform(many, many)):
        counts = np.histogram(numbers, bins=100, range=(0, 1))[0]
        assert chisquare(counts).pvalue > 1e-4
        assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.03


@pytest.mark.parametrize("filters", [{}, {"top_k": 3}, {"top_p": 0.6}, {"top_k": 4, "top_p": 0.8}])
def test_tokens_are_drawn_by_their_probabilities(filters: dict[str, Any]) -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 12)
    count = 20_000
    tokens = drawn(
        processor(*(seeded(i, **filters) for i in range(count))), logits.repeat(count, 1)
    )
    expected = logits.double().softmax(dim=-1)[0]
    order = expected.argsort(descending=True)
    kept = order[: filters.get("top_k", 12)]
    if "top_p" in filters:
        shares = expected[kept] / expected[kept].sum()
        before = shares.cumsum(0) - shares
        kept = kept[before < filters["top_p"]]
    probabilities = expected[kept] / expected[kept].sum()
    counts = np.bincount(tokens, minlength=12)
    assert counts.sum() == counts[kept.numpy()].sum()
    assert chisquare(counts[kept.numpy()], probabilities.numpy() * count).pvalue > 1e-4


def test_a_token_without_probability_is_never_drawn() -> None:
    logits = torch.full((5_000, 6), -torch.inf)
    logits[:, 2] = 0.0
    logits[:, 4] = -12.0
    tokens = drawn(processor(*(seeded(i) for i in range(5_000))), logits)
    assert set(tokens) <= {2, 4}


def test_the_rest_of_the_batch_changes_nothing() -> None:
    torch.manual_seed(1)
    logits = torch.randn(8, 50)
    alone = [drawn(processor(seeded(i)), logits[i : i + 1])[0] for i in range(8)]
    assert drawn(processor(*(seeded(i) for i in range(8))), logits) == alone


def test_positions_give_other_tokens() -> None:
    logits = torch.zeros(1, 1_000)
    output: list[int] = []
    made = processor(seeded(3), outputs=[output])
    tokens = set()
    for _ in range(50):
        made.update_state(None)
        tokens.update(drawn(made, logits))
        output.append(0)
    assert len(tokens) > 40


def test_of_several_generations_the_first_is_the_only_one_there_would_be() -> None:
    logits = torch.randn(1, 200)
    # What vLLM makes of a request for several: each has a seed of its own.
    several = [SamplingParams(seed=9 + i, extra_args={SEED_ARGUMENT: 9}) for i in range(3)]
    tokens = drawn(processor(*several), logits.repeat(3, 1))
    assert tokens == drawn(processor(seeded(9), seeded(10), seeded(11)), logits.repeat(3, 1))


def test_requests_without_a_seed_are_left_alone_and_requests_move() -> None:
    torch.manual_seed(2)
    logits = torch.randn(3, 20)
    made = processor(SamplingParams(), seeded(5), seeded(6))
    left = made.apply(logits.clone())
    assert torch.equal(left[0], logits[0])
    chosen = left[1:].argmax(dim=1).tolist()
    made.update_state(
        BatchUpdate(2, removed=[0], added=[], moved=[(2, 0, MoveDirectionality.UNIDIRECTIONAL)])
    )
    assert drawn(made, logits[[2, 1]]) == chosen[::-1]
    made.update_state(BatchUpdate(0, removed=[0, 1], added=[], moved=[]))
    assert torch.equal(made.apply(logits.clone()), logits)
