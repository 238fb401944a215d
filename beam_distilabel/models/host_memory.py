"""How much memory this host has for this process, and how much the process has taken.

By `/proc` and the container's limits (cgroup, version 1 or 2) on Linux. Elsewhere less is known:
all of the host's memory, and the most that the process ever had.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


class _Files(NamedTuple):
    """Where a version of cgroup says what."""

    limit: str
    used: str
    cached: str


_VERSION_2 = _Files("memory.max", "memory.current", "inactive_file")
_VERSION_1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def available_memory() -> int | None:
    """Bytes of memory that this process could still get; None where the system doesn't say."""
    known = [amount for amount in (_meminfo(), *_left_in_cgroups()) if amount is not None]
    return min(known) if known else None


def resident_memory() -> int | None:
    """Bytes of memory that this process has now; None where the system doesn't say.

    On macOS it is the most that it ever had.
    """
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory_text(size: int) -> str:
    """A number of bytes for a person.

    Example:
        >>> memory_text(3 * 2**29)
        '1.50 GiB'
    """
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:.2f} {name}"
    return f"{size} bytes"


def _meminfo() -> int | None:
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
        return None
    except OSError:
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (ValueError, OSError, AttributeError):
            return None


def _left_in_cgroups() -> Iterator[int]:
    """What is left of the limits of this process' groups; a group's limit holds for those in it."""
    paths = _own_paths()
    for folder, names, path in (
        (CGROUP, _VERSION_2, paths.get("", "/")),
        (CGROUP / "memory", _VERSION_1, paths.get("memory", "/")),
    ):
        own = folder / path.lstrip("/")
        # In a container the path may be one of the host, and the folder the container's own.
        for group in [own, *own.parents]:
            left = _left(group, names)
            if left is not None:
                yield left
            if group == folder:
                break


def _own_paths() -> dict[str, str]:
    """Controller to the path of this process' group; of version 2 under ""."""
    try:
        lines = OWN_CGROUPS.read_text().splitlines()
    except OSError:
        return {}
    paths: dict[str, str] = {}
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def _left(group: Path, names: _Files) -> int | None:
    try:
        limit = (group / names.limit).read_text().strip()
        used = int((group / names.used).read_text())
        statistics: Mapping[str, str] = dict(
            line.split(maxsplit=1) for line in (group / "memory.stat").read_text().splitlines()
        )
        if not limit.isdigit():  # "max"
            return None
        # Cached files are given up when memory is asked for.
        return max(0, int(limit) - used + int(statistics.get(names.cached, 0)))
    except (OSError, ValueError):
        return None
