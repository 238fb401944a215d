"""The choice of GPUs that models which vLLM runs have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from beam_distilabel.runtime_parameters import RuntimeParameter


class CudaDevicePlacementMixin(BaseModel):
    """A model whose GPUs can be chosen.

    Attributes:
        cuda_devices: the GPUs to use, by number; "auto" leaves the choice to vLLM.
        disable_cuda_device_placement: whether to ignore `cuda_devices`.

    Example:
        >>> CudaDevicePlacementMixin(cuda_devices=[0, 1]).device_environment()
        {'CUDA_VISIBLE_DEVICES': '0,1'}
    """

    cuda_devices: RuntimeParameter[list[int] | Literal["auto"]] = Field(
        default="auto", description="The GPUs to use, by number; 'auto' leaves it to vLLM."
    )
    disable_cuda_device_placement: RuntimeParameter[bool] = Field(
        default=False, description="Whether to ignore `cuda_devices`."
    )

    def device_environment(self) -> dict[str, str]:
        """The environment variables that choose the GPUs."""
        if self.disable_cuda_device_placement or not isinstance(self.cuda_devices, list):
            return {}
        return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, self.cuda_devices))}
