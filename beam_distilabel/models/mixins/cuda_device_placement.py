"""The choice of GPUs that models which vLLM runs have in common."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.runtime_parameters import RuntimeParameter


class CudaDevicePlacementMixin(BaseModel):
    """A model whose GPUs can be chosen.

    Attributes:
        cuda_devices: the GPUs to use, by number; "auto" takes those that are free.
        disable_cuda_device_placement: whether to ignore `cuda_devices`.

    Example:
        >>> CudaDevicePlacementMixin(cuda_devices=[0, 1]).device_environment()
        {'CUDA_VISIBLE_DEVICES': '0,1'}
    """

    cuda_devices: RuntimeParameter[list[int] | Literal["auto"]] = Field(
        default="auto", description="The GPUs to use, by number; 'auto' takes free ones."
    )
    disable_cuda_device_placement: RuntimeParameter[bool] = Field(
        default=False, description="Whether to ignore `cuda_devices`."
    )

    def chosen_devices(self) -> tuple[int, ...]:
        """The numbers of the GPUs to use; none where they aren't chosen."""
        if self.disable_cuda_device_placement or not isinstance(self.cuda_devices, list):
            return ()
        return tuple(self.cuda_devices)

    def device_environment(self) -> dict[str, str]:
        """The environment variables that choose the GPUs, for the process that calls this.

        Raises:
            DistilabelUserError: this process doesn't see so many GPUs.
        """
        if self.disable_cuda_device_placement or not isinstance(self.cuda_devices, list):
            return {}
        return {"CUDA_VISIBLE_DEVICES": visible_devices(self.cuda_devices)}


def visible_devices(chosen: Sequence[int]) -> str:
    """The value of CUDA_VISIBLE_DEVICES with which an engine sees the chosen GPUs alone.

    Args:
        chosen: numbers among the GPUs that this process sees, as CUDA counts them.

    Raises:
        DistilabelUserError: this process' CUDA_VISIBLE_DEVICES has no such GPU.

    Example:
        >>> from unittest import mock
        >>> with mock.patch.dict(os.environ, CUDA_VISIBLE_DEVICES="2,3"):
        ...     visible_devices([0])
        '2'
    """
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if seen is None:
        return ",".join(map(str, chosen))
    names = [name.strip() for name in seen.split(",") if name.strip()]
    for number in chosen:
        if not 0 <= number < len(names):
            raise DistilabelUserError(
                f"vLLM's cuda_devices has {number}, and this process sees {len(names)} GPUs "
                f"(CUDA_VISIBLE_DEVICES={seen!r}), counted from 0."
            )
    return ",".join(names[number] for number in chosen)
