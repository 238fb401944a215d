"""What models cost, as users say it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.problems import closest

_FORM = (
    'two numbers, (input, output) per million tokens, {"input": 0.15, "output": 0.6}, or '
    '{"gpu_hour": 2.5, "gpus": 1}'
)


@dataclasses.dataclass(frozen=True)
class Price:
    """What a model costs, in any one currency.

    Args:
        input: per million tokens of prompts.
        output: per million tokens of answers.
        gpu_hour: per GPU and hour, for a model on GPUs of one's own.
        gpus: how many GPUs the model takes.

    Raises:
        DistilabelUserError: a number is negative or none, or both ways are mixed.

    Example:
        >>> Price(input=0.15, output=0.6).of_tokens(2_000_000, 1_000_000)
        0.9
    """

    input: float = 0.0
    output: float = 0.0
    gpu_hour: float | None = None
    gpus: float = 1.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None and field.name == "gpu_hour":
                continue
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < 0:
                raise DistilabelUserError(
                    f"prices: {field.name}={value!r} is no price; give a number of 0 or more."
                )
        if self.gpu_hour is not None and (self.input or self.output):
            raise DistilabelUserError(
                "prices: a model costs either tokens (input, output) or hours (gpu_hour), not both."
            )

    def of_tokens(self, input_tokens: float, output_tokens: float) -> float:
        """What so many tokens cost."""
        return (input_tokens * self.input + output_tokens * self.output) / 1_000_000

    def of_seconds(self, seconds: float) -> float:
        """What so much time costs, where it is paid for."""
        return (self.gpu_hour or 0.0) * self.gpus * seconds / 3600


def as_price(value: Any, model: str = "") -> Price:
    """A `Price` of one, of (input, output), or of its arguments as a dict.

    Raises:
        DistilabelUserError: it is none.

    Example:
        >>> as_price((0.15, 0.6)).output
        0.6
    """
    if isinstance(value, Price):
        return value
    if isinstance(value, Mapping):
        known = [field.name for field in dataclasses.fields(Price)]
        for name in value:
            if name not in known:
                raise DistilabelUserError(
                    f"prices: {model!r} has {name!r}, which is unknown.{closest(str(name), known)} "
                    f"A price is {_FORM}."
                )
        return Price(**value)
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return Price(*value)
    raise DistilabelUserError(f"prices: {model!r} costs {value!r}, which is none. It is {_FORM}.")


def checked_prices(
    prices: Mapping[str, Any] | None, models: Mapping[str, Iterable[str]]
) -> dict[str, Price]:
    """Step to what its model costs.

    Args:
        prices: name of a model, or of a Step, to its price.
        models: Step to the names of its model: the model's own, and its class's.

    Raises:
        DistilabelUserError: a name is unknown, or a price is none.

    Example:
        >>> checked_prices({"gpt": (1, 2)}, {"ask": ["gpt"], "judge": ["other"]})
        {'ask': Price(input=1, output=2, gpu_hour=None, gpus=1.0)}
    """
    if not isinstance(prices, Mapping) and prices is not None:
        raise DistilabelUserError(f"prices={prices!r} has to be a dict of model to price.")
    known = dict.fromkeys(name for step, names in models.items() for name in (*names, step))
    found: dict[str, Price] = {}
    for name, value in (prices or {}).items():
        if name not in known:
            raise DistilabelUserError(
                f"prices: there is no model {name!r} in this pipeline.{closest(str(name), known)} "
                f"It has: {', '.join(known) or 'no model'}."
            )
        price = as_price(value, name)
        found.update({step: price for step, names in models.items() if name in names})
    # What is said of a Step is said of it alone.
    found.update({n: as_price(v, n) for n, v in (prices or {}).items() if n in models})
    return found


__all__ = ["Price", "as_price", "checked_prices"]
