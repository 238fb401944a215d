"""Which GPUs a vLLM engine that starts on this host gets."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from beam_distilabel.models.devices import (
    CLAIM_SECONDS,
    VISIBLE_VARIABLE,
    Claim,
    chosen_gpus,
    ledger,
    visible_gpus,
)

if TYPE_CHECKING:
    from beam_distilabel.models.vllm import vLLM
    from beam_distilabel.models.vllm.embeddings import vLLMEmbeddings


@dataclasses.dataclass
class Placement:
    """An engine's GPUs.

    Attributes:
        environment: the variables that lead the engine to them.
        claim: what holds them; None where there are none to hold.
    """

    environment: dict[str, str]
    claim: Claim | None = None

    def release(self) -> None:
        """Let others have them; call when the engine's processes are gone."""
        if self.claim is not None:
            self.claim.release()


def place_engine(llm: vLLM | vLLMEmbeddings, ready_seconds: float) -> Placement:
    """Hold the GPUs that the engine of `llm` needs, in the process that starts it.

    Args:
        llm: says how many, how much of each, and maybe which.
        ready_seconds: in which the engine has to be ready.

    Raises:
        EngineError: they aren't free; says who holds them.
        DistilabelUserError: `cuda_devices` names one that this process can't use.
    """
    need = llm.memory_need()
    claim = None
    if need.gpus:
        gpus = visible_gpus()
        only = chosen_gpus(need.devices, gpus)
        if llm.disable_cuda_device_placement:
            only = gpus[: need.gpus]
        claim = ledger.claim(
            gpus,
            need.gpus,
            need.share,
            f"vLLM with {llm.model!r}",
            only=only,
            timeout=min(CLAIM_SECONDS, ready_seconds),
        )
    if claim is None or need.devices or llm.disable_cuda_device_placement:
        return Placement(llm.device_environment(), claim)
    # The numbers are those of `nvidia-smi`; CUDA's own may be in another order.
    numbers = ",".join(gpu.number for gpu in claim.gpus)
    return Placement({VISIBLE_VARIABLE: numbers, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, claim)
