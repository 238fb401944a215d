"""Logits processors whose effect on an answer doesn't depend on its neighbours in the batch.

`generate` of transformers samples with the process' one random generator, and counts the padding as
tokens that are repeated. Here every answer has a generator of its own, the choice is made by the
last processor, and `generate` takes the greatest of what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from beam_distilabel.models.local.constraint import Constraint
from beam_distilabel.models.transformers.arguments import GenerationArguments


class RepetitionPenalty:
    """Makes the tokens of the prompt and the answer less likely, those of the padding not.

    Args:
        penalty: above 1 against repetition (Keskar et al. 2019, CTRL, arXiv 1909.05858).
        attention_mask: of the prompts, 0 on the padding, which is on the left.
    """

    def __init__(self, penalty: float, attention_mask: Any) -> None:
        self._penalty = penalty
        self._padding = attention_mask == 0

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        width = self._padding.shape[1]
        prompt = input_ids[:, :width]
        # The last token of the prompt is never padding, and punished once however often it comes.
        prompt = torch.where(self._padding, prompt[:, -1:], prompt)
        tokens = torch.cat([prompt, input_ids[:, width:]], dim=1)
        known = torch.gather(scores, 1, tokens)
        known = torch.where(known < 0, known * self._penalty, known / self._penalty)
        return scores.scatter(1, tokens, known)


class Structure:
    """Leaves the tokens that the structure of each answer allows.

    Args:
        constraints: one per answer.
        ends: the tokens that end an answer.
    """

    def __init__(self, constraints: Sequence[Constraint], ends: Sequence[int]) -> None:
        self._constraints = constraints
        self._ends = set(ends)
        self._open = [True] * len(constraints)
        self._begun = False

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        if self._begun:
            for row, token in enumerate(input_ids[:, -1].tolist()):
                if self._open[row]:
                    self._constraints[row].accept(token)
                    self._open[row] = token not in self._ends
        self._begun = True
        allowed = torch.ones(scores.shape, dtype=torch.bool)
        for row, constraint in enumerate(self._constraints):
            if self._open[row]:
                flags = torch.frombuffer(bytearray(constraint.allowed()), dtype=torch.uint8) != 0
                allowed[row, : flags.shape[0]] = flags
                allowed[row, flags.shape[0] :] = False
        return scores.masked_fill(~allowed.to(scores.device), float("-inf"))


class Choice:
    """Chooses each answer's next token by its own generator.

    The greatest of p / e, with e drawn from the exponential distribution, is a sample of p.

    Args:
        seeds: one per answer.
        device: of the logits.
    """

    def __init__(self, seeds: Sequence[int], device: Any) -> None:
        import torch

        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        chances = torch.softmax(scores.float(), dim=-1)
        noise = torch.empty_like(chances)
        for row, generator in enumerate(self._generators):
            noise[row].exponential_(generator=generator)
        return chances / noise


def processors(
    arguments: GenerationArguments,
    attention_mask: Any,
    constraints: Sequence[Constraint],
    ends: Sequence[int],
    seeds: Sequence[int],
) -> Any:
    """What is done to the logits of a batch, in order.

    Args:
        arguments: the same for all answers of the batch.
        attention_mask: of the prompts.
        constraints: one per answer, or none.
        ends: the tokens that end an answer.
        seeds: one per answer.
    """
    from transformers import (
        LogitsProcessorList,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    chosen = LogitsProcessorList()
    if arguments.repetition_penalty != 1.0:
        chosen.append(RepetitionPenalty(arguments.repetition_penalty, attention_mask))
    if constraints:
        chosen.append(Structure(constraints, ends))
    if arguments.samples:
        if arguments.temperature != 1.0:
            chosen.append(TemperatureLogitsWarper(arguments.temperature))
        if arguments.top_k:
            chosen.append(TopKLogitsWarper(arguments.top_k))
        if arguments.top_p < 1.0:
            chosen.append(TopPLogitsWarper(arguments.top_p))
        chosen.append(Choice(seeds, attention_mask.device))
    return chosen
