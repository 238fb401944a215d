"""What models need to be loaded, and what a host has for them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from beam_distilabel.models.devices import Gpu, place
from beam_distilabel.models.host_memory import memory_text

_WEIGHTS = (".safetensors", ".bin", ".pt", ".gguf")


@dataclasses.dataclass(frozen=True)
class MemoryNeed:
    """What a model takes while it is loaded; nothing by default, as a remote one.

    Attributes:
        memory: bytes of the host's memory.
        gpus: how many GPUs.
        share: how much of the memory of each, 0 to 1.
        devices: the numbers of the GPUs, where they are chosen already.
    """

    memory: int = 0
    gpus: int = 0
    share: float = 1.0
    devices: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.memory or self.gpus)

    def at_least(self, memory: int, gpus: int) -> MemoryNeed:
        """This need, raised to what a Step was said to need."""
        return dataclasses.replace(self, memory=max(self.memory, memory), gpus=max(self.gpus, gpus))

    def __str__(self) -> str:
        parts = []
        if self.memory:
            parts.append(f"{memory_text(self.memory)} of memory")
        if self.gpus:
            of = f" ({', '.join(map(str, self.devices))})" if self.devices else ""
            parts.append(f"{self.share:.0%} of {self.gpus} GPU{'s' * (self.gpus > 1)}{of}")
        return " and ".join(parts) or "nothing"


@dataclasses.dataclass(frozen=True)
class MemoryBudget:
    """What the models of one job may take together.

    Attributes:
        memory: bytes of the host's memory; None where that isn't known, and so not checked.
        gpus: the GPUs, each with all of its memory; none where they aren't known.
    """

    memory: int | None = None
    gpus: tuple[Gpu, ...] = ()

    def fits(self, needs: Iterable[MemoryNeed]) -> bool:
        """Whether models with these needs can be loaded at once.

        Example:
            >>> MemoryBudget(memory=10).fits([MemoryNeed(memory=6), MemoryNeed(memory=5)])
            False
        """
        needs = list(needs)
        if self.memory is not None and sum(need.memory for need in needs) > self.memory:
            return False
        if not self.gpus:
            return True
        free = {str(number): 1.0 for number in range(len(self.gpus))}
        # Those that can't choose come first.
        for need in sorted(needs, key=lambda need: not need.devices):
            if need.gpus:
                only = [str(device) for device in need.devices]
                placed = place(free, need.gpus, need.share, only)
                if placed is None:
                    return False
                for name in placed:
                    free[name] -= need.share
        return True

    def __str__(self) -> str:
        parts = []
        if self.memory is not None:
            parts.append(f"{memory_text(self.memory)} of memory")
        if self.gpus:
            parts.append(f"the GPUs {', '.join(gpu.number for gpu in self.gpus)}")
        return " and ".join(parts) or "unknown"


def weight_bytes(model: str, revision: str | None) -> int:
    """The size of the files with a model's weights; 0 where they aren't on this host yet."""
    folder = Path(os.path.expanduser(model))
    if folder.is_file():
        return folder.stat().st_size
    if not folder.is_dir():
        cached = _cached_folder(model, revision)
        if cached is None:
            return 0
        folder = cached
    sizes = {
        suffix: sum(file.stat().st_size for file in folder.glob(f"*{suffix}"))
        for suffix in _WEIGHTS
    }
    # A model may come in several formats, of which one is loaded.
    return next((size for size in sizes.values() if size), 0)


def _cached_folder(model: str, revision: str | None) -> Path | None:
    """The folder of a model of the Hub that has been downloaded."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, "config.json", revision=revision)
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None
