"""The GPUs, their driver, who is on them, and whether torch's CUDA suits the driver."""

from __future__ import annotations

import csv
import os
import re
import shutil
import sys
from importlib.util import find_spec
from typing import NamedTuple

from beam_distilabel.doctor.check import QUICK_SECONDS, Finding, Output, run_program
from beam_distilabel.models.devices import VISIBLE_VARIABLE, Gpu, visible_gpus

FREE_SHARE = 0.9
"""Of a GPU's memory: what has to be free so that vLLM can take its default share."""

_QUERY = "--query-gpu=index,uuid,name,driver_version,memory.total,memory.free"
_PROCESSES = "--query-compute-apps=pid,process_name,used_memory"
_FORMAT = "--format=csv,noheader,nounits"


class SeenGpu(NamedTuple):
    """A GPU, as `nvidia-smi` tells of it; memory in MiB."""

    number: str
    uuid: str
    name: str
    driver: str
    total: int
    free: int


class BrokenDriver(RuntimeError):
    """`nvidia-smi` is there and fails; has what it said."""


def look_at_gpus() -> Finding:
    """Which there are, and with which driver."""
    try:
        gpus = seen_gpus()
    except BrokenDriver as error:
        return Finding(
            "failed",
            f"nvidia-smi fails: {error}",
            "Install or load NVIDIA's driver; in a container start it with the GPUs "
            "(docker run --gpus all).",
        )
    if gpus is None:
        return Finding("skipped", "there is no nvidia-smi: vLLM runs on the CPU, by its CPU build")
    if not gpus:
        return Finding("failed", "nvidia-smi lists no GPU", "Give this machine or container one.")
    named = [f"{gpu.number}: {gpu.name}, {gpu.total / 1024:.0f} GiB" for gpu in gpus]
    return Finding("ok", f"{'; '.join(named)}; driver {gpus[0].driver}")


def look_at_gpu_memory() -> Finding:
    """Whether it is free, and which processes have it."""
    gpus = _gpus_or_none()
    if not gpus:
        return Finding("skipped", "no GPU")
    free = "; ".join(f"{g.number}: {g.free / 1024:.1f} of {g.total / 1024:.1f} GiB" for g in gpus)
    taken = [gpu for gpu in gpus if gpu.free < FREE_SHARE * gpu.total]
    if not taken:
        return Finding("ok", f"free: {free}")
    return Finding(
        "warning",
        f"free: {free}. Processes on them: {_processes() or 'none that this user can see'}",
        "End what isn't needed, choose free GPUs (`cuda_devices`), or lower "
        "gpu_memory_utilization in the LLM's extra_kwargs.",
    )


def look_at_visible_gpus() -> Finding:
    """`CUDA_VISIBLE_DEVICES`."""
    gpus = _gpus_or_none()
    value = os.environ.get(VISIBLE_VARIABLE)
    if not gpus:
        return Finding("skipped", "no GPU")
    if value is None:
        return Finding("ok", "not set: all are used")
    known = [Gpu(gpu.number, gpu.uuid) for gpu in gpus]
    found = visible_gpus({VISIBLE_VARIABLE: value}, known)
    strange = [gpu.number for gpu in found if gpu not in known and not gpu.name.startswith("MIG-")]
    wanted = [part for part in value.split(",") if part.strip()]
    if not found:
        return Finding(
            "failed",
            f"{VISIBLE_VARIABLE}={value!r} hides all GPUs",
            f"Unset {VISIBLE_VARIABLE}, or give it numbers of nvidia-smi: "
            f"{', '.join(gpu.number for gpu in gpus)}.",
        )
    if strange or len(found) < len(wanted):
        return Finding(
            "failed",
            f"{VISIBLE_VARIABLE}={value!r} has a GPU that isn't there; CUDA leaves out what comes "
            "after it",
            f"Give it numbers of nvidia-smi: {', '.join(gpu.number for gpu in gpus)}.",
        )
    return Finding("ok", f"{VISIBLE_VARIABLE}={value!r}: {len(found)} of {len(gpus)}")


def look_at_cuda(seconds: float) -> Finding:
    """Whether the driver can run what torch was built for."""
    if not _gpus_or_none():
        return Finding("skipped", "no GPU")
    if find_spec("torch") is None:
        return Finding("skipped", "torch isn't installed")
    said = _smi()
    match = None if said is None else re.search(r"CUDA Version:\s*(\d+)\.(\d+)", said.text)
    code = "import torch; print(torch.version.cuda or 'none', torch.cuda.is_available())"
    told = run_program([sys.executable, "-c", code], seconds)
    if told.code != 0:
        late = f"torch isn't imported within {seconds:g} s" if told.code is None else ""
        return Finding("failed", late or f"torch can't be imported: {told.last_lines()}", _AGAIN)
    built, works = told.text.split()[-2:]
    if built == "none":
        return Finding("failed", "torch was built without CUDA, and there are GPUs", _AGAIN)
    driver = match and (int(match[1]), int(match[2]))
    text = f"torch is built for CUDA {built}; the driver runs up to " + (
        f"{match[1]}.{match[2]}" if match else "an unknown version"
    )
    if driver and driver[0] < int(built.partition(".")[0]):
        return Finding(
            "failed",
            text,
            f"Update NVIDIA's driver to one for CUDA {built}, or install vLLM and torch built for "
            f"CUDA {driver[0]}.",
        )
    if works != "True":
        return Finding(
            "failed",
            f"{text}, but torch finds no CUDA",
            f"See {VISIBLE_VARIABLE}, and whether this container was given the GPUs.",
        )
    return Finding("ok", text)


_AGAIN = "pip install --force-reinstall 'beam-distilabel[vllm]'"


def seen_gpus() -> list[SeenGpu] | None:
    """The GPUs; None where there is no `nvidia-smi`.

    Raises:
        BrokenDriver: it fails.
    """
    said = _smi(_QUERY, _FORMAT)
    if said is None:
        return None
    if said.code != 0:
        raise BrokenDriver(said.last_lines() or "it says nothing")
    gpus = []
    for fields in csv.reader(said.text.splitlines(), skipinitialspace=True):
        if len(fields) == 6:
            number, uuid, name, driver, total, free = (field.strip() for field in fields)
            gpus.append(SeenGpu(number, uuid, name, driver, _number(total), _number(free)))
    return gpus


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0  # "[N/A]", of a part of a GPU


def _gpus_or_none() -> list[SeenGpu] | None:
    try:
        return seen_gpus()
    except BrokenDriver:  # which is a finding of its own
        return None


def _processes() -> str:
    said = _smi(_PROCESSES, _FORMAT)
    if said is None or said.code != 0:
        return ""
    rows = [row for row in csv.reader(said.text.splitlines(), skipinitialspace=True) if row]
    return "; ".join(f"{row[0]} ({row[1]}, {row[2]} MiB)" for row in rows if len(row) == 3)


def _smi(*arguments: str) -> Output | None:
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    try:
        said = run_program([command, *arguments], QUICK_SECONDS / 2)
    except OSError as error:
        return Output(1, "", str(error))
    return said if said.code is not None else Output(1, "", "it doesn't end")


__all__ = [
    "BrokenDriver",
    "SeenGpu",
    "look_at_cuda",
    "look_at_gpu_memory",
    "look_at_gpus",
    "look_at_visible_gpus",
    "seen_gpus",
]
