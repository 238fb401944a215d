"""This machine: memory, disks, the clock, and connections to itself."""

from __future__ import annotations

import email.utils
import os
import shutil
import socket
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from beam_distilabel.doctor.check import Finding
from beam_distilabel.errors import DistilabelError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.host_folder import host_folder
from beam_distilabel.layout import is_local
from beam_distilabel.models.host_memory import available_memory, memory_text

LEAST_MEMORY = 2 * 2**30
LEAST_SHARED = 2**30
LEAST_DISK = 2 * 2**30
CLOCK_SECONDS = 30.0
"""How much the clock may be off: leases of run directories end after 60 s."""

SHARED_MEMORY = Path("/dev/shm")


def look_at_memory() -> Finding:
    """What this process could still get."""
    available = available_memory()
    if available is None:
        return Finding("warning", "the system doesn't say how much memory is available")
    text = f"{memory_text(available)} available"
    if available < LEAST_MEMORY:
        return Finding(
            "warning",
            text,
            "End other programs, or give the container more: engines need the size of their "
            "weights and KV cache, and runner 'direct' holds rows in memory.",
        )
    return Finding("ok", text)


def look_at_shared_memory(gpus: int = 0) -> Finding:
    """`/dev/shm`, through which the processes of a vLLM engine talk.

    Args:
        gpus: how many there are; an engine of several needs more of it.
    """
    if not SHARED_MEMORY.is_dir():
        return Finding("skipped", f"this system has no {SHARED_MEMORY}")
    usage = shutil.disk_usage(SHARED_MEMORY)
    text = f"{memory_text(usage.free)} of {memory_text(usage.total)} free in {SHARED_MEMORY}"
    if usage.free >= LEAST_SHARED:
        return Finding("ok", text)
    return Finding(
        "failed" if gpus > 1 else "warning",
        text,
        "Containers get 64 MiB: docker run --shm-size=8g (or --ipc=host); in Kubernetes mount an "
        "emptyDir with medium: Memory there.",
    )


def look_at_run_directory(path: str) -> Finding:
    """Whether runs can write there, and locks work.

    Args:
        path: the folder for run directories; on any filesystem that Beam or fsspec knows.
    """
    try:
        if not is_local(path):
            return _look_at_remote(path)
    except DistilabelError as error:  # nobody knows such a filesystem
        return Finding("failed", str(error), "Choose another with --output-dir.")
    folder = Path(path).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".doctor-{uuid.uuid4().hex}"
        probe.write_text("doctor")
        probe.rename(f"{probe}.renamed")
        Path(f"{probe}.renamed").unlink()
    except OSError as error:
        return Finding(
            "failed",
            f"{folder} can't be written to: {error}",
            "Make it writable, or choose another with --output-dir (or DISTILABEL_CACHE_DIR).",
        )
    unlocked = _unlocked(folder)
    if unlocked is not None:
        return Finding(
            "warning",
            f"file locks don't work in {folder}: {unlocked}",
            "Runs keep each other out by leases instead; clocks have to agree. Better: a folder of "
            "a filesystem with locks.",
        )
    return _free_disk(folder, "--output-dir")


def look_at_temporary_folder() -> Finding:
    """`TMPDIR`: engine servers and shards on their way are there."""
    folder = Path(tempfile.gettempdir())
    try:
        host_folder()
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"doctor")
    except (OSError, DistilabelError) as error:
        return Finding("failed", f"{folder}: {error}", "Set TMPDIR to a folder of your own.")
    return _free_disk(folder, "TMPDIR")


def _look_at_remote(path: str) -> Finding:
    probe = f"{path.rstrip('/')}/.doctor-{uuid.uuid4().hex}"
    try:
        filesystem, name = url_to_fs(probe, auto_mkdir=True)
        with filesystem.open(name, "wb") as file:
            file.write(b"doctor")
        filesystem.rm_file(name)
    except Exception as error:  # every filesystem has its own
        return Finding(
            "failed",
            f"{path} can't be written to: {type(error).__name__}: {error}",
            "Look at the address, the credentials and the package of that filesystem.",
        )
    return Finding("ok", f"{path} can be written to")


def _unlocked(folder: Path) -> str | None:
    """Why file locks don't work in `folder`; None where they do."""
    path = folder / f".doctor-{uuid.uuid4().hex}.lock"
    try:
        with FileLock(path, timeout=0, fallback_to_soft=False):
            try:
                with FileLock(path, timeout=0, fallback_to_soft=False):
                    return "two hold one lock"
            except Timeout:
                return None
    except (OSError, Timeout) as error:
        return str(error)
    finally:
        path.unlink(missing_ok=True)


def _free_disk(folder: Path, setting: str) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{memory_text(free)} free in {folder}"
    if free < LEAST_DISK:
        return Finding("warning", text, f"Free some, or choose another disk with {setting}.")
    return Finding("ok", text)


def look_at_clock(endpoint: str, seconds: float) -> Finding:
    """Whether the clock is right, by a server's.

    Args:
        endpoint: the server's address; offline nothing is asked.
        seconds: in which it has to answer.
    """
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as error:
        date = error.headers.get("Date")
        error.close()
    except (OSError, ValueError) as error:
        return Finding("skipped", f"there is nobody to compare it with: {error}")
    if not date:
        return Finding("skipped", f"{endpoint} tells no time")
    try:
        off = time.time() - email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        return Finding("skipped", f"{endpoint} tells the time as {date!r}")
    if abs(off) > CLOCK_SECONDS:
        return Finding(
            "warning",
            f"the clock is {abs(off):.0f} s {'ahead' if off > 0 else 'behind'}",
            "Set it by a time server (NTP): leases, signed uploads and certificates go by it.",
        )
    return Finding("ok", f"{abs(off):.0f} s off {endpoint}")


def look_at_ports(environment: Mapping[str, str] | None = None) -> Finding:
    """Whether this process can connect to itself, as Beam's workers and job servers do."""
    environment = os.environ if environment is None else environment
    try:
        with socket.create_server(("localhost", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("localhost", port), timeout=10):
                pass
    except OSError as error:
        return Finding(
            "failed",
            f"localhost can't be connected to: {error}",
            "Look at /etc/hosts (localhost has to be 127.0.0.1) and the firewall: Beam's workers "
            "talk to the runner by local ports.",
        )
    proxies = [n for n in ("http_proxy", "https_proxy", "grpc_proxy") if environment.get(n)]
    spared = environment.get("no_grpc_proxy") or environment.get("no_proxy") or ""
    if proxies and not {"localhost", "*"} & {part.strip() for part in spared.split(",")}:
        return Finding(
            "warning",
            f"{', '.join(proxies)} set, and no_proxy={spared!r} leaves localhost out",
            "Add localhost and 127.0.0.1 to no_proxy: gRPC, by which Beam's workers talk, asks the "
            "proxy otherwise.",
        )
    return Finding("ok", "this process can connect to itself")


__all__ = [
    "look_at_clock",
    "look_at_memory",
    "look_at_ports",
    "look_at_run_directory",
    "look_at_shared_memory",
    "look_at_temporary_folder",
]
