"""How often finished generations are written to the checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.problems import closest


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class CheckpointSettings:
    """How many finished generations of a Task may be unwritten, per worker process.

    What is unwritten is lost when the process is killed. A write begins at half of `rows` or
    `bytes`, and at the latest after `seconds`; at `rows` or `bytes` the Task waits for it.

    Attributes:
        rows: generations.
        bytes: bytes of them.
        seconds: how long one waits to be written.

    Example:
        >>> CheckpointSettings(rows=16, seconds=1.0).rows
        16
    """

    rows: int = Field(default=2_000, ge=1)
    bytes: int = Field(default=16 * 2**20, ge=1)
    seconds: float = Field(default=5.0, gt=0, allow_inf_nan=False)


_adapter = TypeAdapter(CheckpointSettings)


def as_settings(value: CheckpointSettings | Mapping[str, Any] | None) -> CheckpointSettings:
    """`value` checked; a dict has the settings' names, None means the defaults.

    Raises:
        DistilabelUserError: names the setting, the value and what is expected.

    Example:
        >>> as_settings({"rows": 16}).rows
        16
    """
    if value is None:
        return CheckpointSettings()
    if isinstance(value, CheckpointSettings):
        return value
    if not isinstance(value, Mapping):
        raise DistilabelUserError(
            f"checkpoint={value!r}: expected CheckpointSettings, or a dict such as "
            '{"rows": 16, "seconds": 1.0}.'
        )
    names = [field.name for field in dataclasses.fields(CheckpointSettings)]
    for name in value:
        if name not in names:
            raise DistilabelUserError(
                f"checkpoint has no setting {name!r}.{closest(str(name), names)} It has: "
                f"{', '.join(names)}."
            )
    try:
        return _adapter.validate_python(dict(value))
    except ValidationError as error:
        found = error.errors()[0]
        raise DistilabelUserError(
            f"checkpoint: {'.'.join(map(str, found['loc']))}={found['input']!r}: {found['msg']}."
        ) from None
