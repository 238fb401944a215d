"""GPUs of this host: which there are, and who holds how much of which.

Engines of several processes may share a GPU as long as their shares of its memory fit. Who holds
what is in one file per user and host, changed under a lock: a claim ends with its process, however
that ends. GPUs are found by `nvidia-smi`; on a host without it nothing is claimed.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import json
import logging
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.host_folder import host_folder

VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"

CLAIM_SECONDS = 60.0
"""How long a GPU is waited for that another process holds; a job before may be about to end."""

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_ROUNDING = 1e-6


class Gpu(NamedTuple):
    """A GPU: its number in `nvidia-smi`, and a name that is its own in every process."""

    number: str
    name: str


@functools.lru_cache(maxsize=1)
def host_gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs of this host; none where there is no `nvidia-smi`."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    query = [command, "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()  # a driver that isn't loaded: there is no GPU to use
    return tuple(
        Gpu(number.strip(), name.strip()) for number, name in csv.reader(done.stdout.splitlines())
    )


def visible_gpus(
    environment: Mapping[str, str] | None = None, gpus: Sequence[Gpu] | None = None
) -> tuple[Gpu, ...]:
    """The GPUs that this process may use, by `CUDA_VISIBLE_DEVICES`.

    Args:
        environment: the environment variables; this process' own if None.
        gpus: those of the host; found out if None.

    Example:
        >>> two = (Gpu("0", "GPU-aa"), Gpu("1", "GPU-bb"))
        >>> visible_gpus({"CUDA_VISIBLE_DEVICES": "1"}, two)
        (Gpu(number='1', name='GPU-bb'),)
        >>> visible_gpus({}, two) == two
        True
    """
    environment = os.environ if environment is None else environment
    known = host_gpus() if gpus is None else tuple(gpus)
    allowed = environment.get(VISIBLE_VARIABLE)
    if allowed is None or not known:
        return known
    found = []
    for token in filter(None, (part.strip() for part in allowed.split(","))):
        if token.startswith("-"):
            break  # as CUDA does: nothing after the first that isn't there
        match = [g for g in known if token == g.number or g.name.startswith(token)]
        if token.isdigit():
            match = [g for g in known if token == g.number]
            if not match:
                break
        # A part of a GPU (MIG) has a name of its own, which `nvidia-smi` doesn't list here.
        found.append(match[0] if match else Gpu(token, token))
    return tuple(found)


def chosen_gpus(devices: Sequence[int], gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """Those of `gpus` with the numbers `devices`, counted from 0 as CUDA does.

    Raises:
        DistilabelUserError: there are not so many.
    """
    for device in devices:
        if not 0 <= device < len(gpus):
            raise DistilabelUserError(
                f"cuda_devices={list(devices)}: this process sees {len(gpus)} GPUs "
                f"({VISIBLE_VARIABLE}), counted from 0."
            )
    return tuple(gpus[device] for device in devices)


def place(
    free: Mapping[str, float], count: int, share: float, only: Sequence[str] = ()
) -> tuple[str, ...] | None:
    """`count` GPUs with `share` of their memory free, the freest first; None if there are none.

    Args:
        free: GPU to the free share of its memory, 0 to 1.
        count: how many.
        share: of each.
        only: the GPUs that have to be taken; any if empty.

    Example:
        >>> place({"a": 0.4, "b": 1.0}, 1, 0.3)
        ('b',)
        >>> place({"a": 0.4, "b": 1.0}, 2, 0.5) is None
        True
    """
    names = list(only) or sorted(free, key=lambda name: -free[name])[:count]
    enough = len(names) >= count and all(free.get(n, 0.0) >= share - _ROUNDING for n in names)
    return tuple(names) if enough else None


class Holder(NamedTuple):
    """Who holds how much of which GPUs."""

    claim: str
    pid: int
    started: float
    what: str
    share: float
    gpus: tuple[str, ...]


class Claim:
    """GPUs that this process holds, until `release`.

    Attributes:
        gpus: which.
    """

    def __init__(self, gpus: tuple[Gpu, ...], release: Callable[[], None]) -> None:
        self.gpus = gpus
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Give them back; more than once does nothing."""
        release, self._release = self._release, None
        if release is not None:
            release()


class DeviceLedger:
    """The claims of all processes of this user on this host.

    Args:
        path: the file; default is one in the user's folder on this host.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._given_path = None if path is None else Path(path)

    @functools.cached_property
    def _path(self) -> Path:
        return self._given_path or host_folder() / "gpus.json"

    def claim(
        self,
        gpus: Sequence[Gpu],
        count: int,
        share: float,
        what: str,
        *,
        only: Sequence[Gpu] = (),
        timeout: float = CLAIM_SECONDS,
    ) -> Claim:
        """Hold `share` of the memory of `count` GPUs.

        Args:
            gpus: those that may be taken.
            count: how many.
            share: of each one's memory, 0 to 1.
            what: for the messages of others.
            only: exactly these.
            timeout: how many seconds to wait for others.

        Raises:
            EngineError: they aren't free; says who holds them, and what can be done.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._open() as holders:
                free = {gpu.name: 1.0 for gpu in gpus}
                for holder in holders:
                    for name in holder.gpus:
                        free[name] = free.get(name, 1.0) - holder.share
                names = place(
                    {gpu.name: free[gpu.name] for gpu in gpus},
                    count,
                    share,
                    [gpu.name for gpu in only],
                )
                if names is not None:
                    own = _own(what, share, names)
                    holders.append(own)
                    by_name = {gpu.name: gpu for gpu in gpus}
                    return Claim(
                        tuple(by_name[name] for name in names),
                        functools.partial(self._release, own.claim),
                    )
                held = list(holders)
            if time.monotonic() >= deadline:
                raise EngineError(_taken(only or gpus, count, share, what, held))
            time.sleep(_POLL_SECONDS)

    def holders(self) -> list[Holder]:
        """Who holds what now."""
        with self._open() as holders:
            return list(holders)

    def _release(self, claim: str) -> None:
        with self._open() as holders:
            holders[:] = [holder for holder in holders if holder.claim != claim]

    @contextlib.contextmanager
    def _open(self) -> Iterator[list[Holder]]:
        """The claims of processes that live, locked; changes are written at the end."""
        import fcntl

        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = _read(self._path)
            holders = [holder for holder in before if _lives(holder)]
            yield holders
            if holders != before:
                # Whole or not at all: a process may be killed while it writes.
                written = self._path.with_suffix(".part")
                written.write_text(json.dumps([holder._asdict() for holder in holders]))
                written.replace(self._path)
        finally:
            os.close(lock)


def _read(path: Path) -> list[Holder]:
    try:
        entries = json.loads(path.read_text())
        return [Holder(**{**entry, "gpus": tuple(entry["gpus"])}) for entry in entries]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError) as error:
        # Of another version, or damaged: what it said is lost, but engines can start.
        logger.warning("%s can't be read (%s) and is begun anew", path, error)
        return []


def _own(what: str, share: float, gpus: tuple[str, ...]) -> Holder:
    import psutil

    started = psutil.Process().create_time()
    return Holder(uuid.uuid4().hex, os.getpid(), started, what, share, gpus)


def _lives(holder: Holder) -> bool:
    import psutil

    try:
        # Numbers of processes are used again.
        return bool(abs(psutil.Process(holder.pid).create_time() - holder.started) < 1.0)
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False


def _taken(
    gpus: Sequence[Gpu], count: int, share: float, what: str, holders: Sequence[Holder]
) -> str:
    names = {gpu.name: gpu.number for gpu in gpus}
    lines: list[Any] = [
        f"{what} needs {share:.0%} of the memory of {count} GPU{'s' if count > 1 else ''}, which "
        f"isn't free on {', '.join(f'GPU {number}' for number in names.values()) or 'this host'}."
    ]
    for holder in holders:
        held = [names[name] for name in holder.gpus if name in names]
        if held:
            lines.append(
                f"Process {holder.pid} holds {holder.share:.0%} of GPU {', '.join(held)} for "
                f"{holder.what}."
            )
    lines.append(
        "Share one engine between processes with engine='server', choose other GPUs by "
        "`cuda_devices`, or lower `gpu_memory_utilization` (in extra_kwargs) of both."
    )
    return "\n".join(lines)


ledger = DeviceLedger()
"""Of this process."""
