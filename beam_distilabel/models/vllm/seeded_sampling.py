"""Seeded sampling for vLLM's CPU engine: all rows of a step at once.

vLLM's older model runner, which CPUs use, keeps a torch generator per seeded request and draws from
each of them in a Python loop, at every token: 6 to 8 % of a small model's speed. Here a request's
seed and the position of the token make one uniform number, and the token is where the cumulated
probabilities exceed it (inverse transform sampling), for all requests in a few tensor operations.

Runs in vLLM's worker process, as a logits processor; torch is there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p

SEED_ARGUMENT = "beam_distilabel_seed"
"""The key of a request's seed in `SamplingParams.extra_args`. A `seed` beside it takes precedence:
that of one of several generations."""

QUALIFIED_NAME = f"{__name__}:SeededSampling"
"""What vLLM's `logits_processors` argument takes."""

# Of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)

# A float32 has 24 bits: with one less, a number below 1 times a sum stays below the sum.
_BITS = 23


def uniform(seeds: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """A number in [0, 1) per (seed, position), the same for the same pair.

    Args:
        seeds: uint64, of any shape.
        positions: uint64, of the same shape.

    Returns:
        float32 of that shape.
    """
    with np.errstate(over="ignore"):
        # Mixed before too: seeds that follow one another would else share their positions' numbers.
        state = _mixed(seeds) + (positions + np.uint64(1)) * _GAMMA
    bits = _mixed(state) >> np.uint64(64 - _BITS)
    return (bits.astype(np.float64) / 2**_BITS).astype(np.float32)


def _mixed(state: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        state = (state ^ (state >> np.uint64(30))) * _MIX_1
        state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


class SeededSampling(LogitsProcessor):  # type: ignore[misc]  # mypy skips vllm
    """Draws the token of every request that has a seed in `SEED_ARGUMENT`.

    Called after the temperature: leaves no token but the drawn one, so that vLLM's own sampler,
    which comes next, has no choice.
    """

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        del vllm_config, device, is_pin_memory
        self._requests: dict[int, tuple[Any, Any]] = {}
        self._rows: list[int] = []
        self._outputs: list[Any] = []
        self._seeds = np.zeros(0, np.uint64)
        self._top_k: torch.Tensor | None = None
        self._top_p: torch.Tensor | None = None

    def is_argmax_invariant(self) -> bool:
        # Greedy requests aren't seeded: nothing changes for them.
        return True

    def update_state(self, batch_update: Any) -> None:
        def request_of(params: Any, prompt: Any, output: Any) -> tuple[Any, Any] | None:
            del prompt
            return (params, output) if SEED_ARGUMENT in (params.extra_args or {}) else None

        if not process_dict_updates(self._requests, batch_update, request_of):
            return
        self._rows = sorted(self._requests)
        requests = [self._requests[row] for row in self._rows]
        self._outputs = [output for _, output in requests]
        self._seeds = np.array([_seed_of(params) for params, _ in requests], dtype=np.uint64)
        top_k = [params.top_k for params, _ in requests]
        top_p = [params.top_p for params, _ in requests]
        self._top_k = torch.tensor(top_k) if any(k > 0 for k in top_k) else None
        self._top_p = torch.tensor(top_p) if any(p < 1 for p in top_p) else None

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        if not self._rows:
            return logits
        all_rows = len(self._rows) == logits.shape[0]
        chosen = logits if all_rows else logits[self._rows]
        positions = np.array([len(output) for output in self._outputs], dtype=np.uint64)
        drawn = self._draw(chosen, torch.from_numpy(uniform(self._seeds, positions)))
        if all_rows:
            return logits.fill_(-torch.inf).scatter_(1, drawn, 0.0)
        logits[self._rows] = torch.full_like(chosen, -torch.inf).scatter_(1, drawn, 0.0)
        return logits

    def _draw(self, logits: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """One token per row of `logits`, by one number in [0, 1) each; shape (rows, 1)."""
        if self._top_k is not None or self._top_p is not None:
            top_k = self._top_k
            if top_k is not None:
                vocabulary = logits.shape[1]
                top_k = torch.where(top_k > 0, top_k.clamp(max=vocabulary), vocabulary)
            # May change its argument, which vLLM filters again.
            logits = apply_top_k_top_p(logits.clone(), top_k, self._top_p)
        cumulated = logits.softmax(dim=-1, dtype=torch.float32).cumsum_(dim=-1)
        targets = numbers.to(cumulated.device).unsqueeze(1) * cumulated[:, -1:]
        # To the right of equal sums: a token of probability 0 is never drawn.
        return torch.searchsorted(cumulated, targets, right=True)


def _seed_of(params: Any) -> int:
    return int(params.extra_args[SEED_ARGUMENT] if params.seed is None else params.seed)
