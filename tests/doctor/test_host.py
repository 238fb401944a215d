"""The machine: memory, disks, locks, the clock, connections."""

from __future__ import annotations

import email.utils
import http.server
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from filelock import FileLock

from beam_distilabel.doctor import host
from beam_distilabel.doctor.host import (
    look_at_clock,
    look_at_memory,
    look_at_ports,
    look_at_run_directory,
    look_at_shared_memory,
    look_at_temporary_folder,
)

GIB = 2**30


def disk_of(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = shutil._ntuple_diskusage(10 * GIB, 10 * GIB - free, free)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


@pytest.mark.parametrize(
    ("available", "status"), [(8 * GIB, "ok"), (GIB, "warning"), (None, "warning")]
)
def test_memory(available: int | None, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "available_memory", lambda: available)
    assert look_at_memory().status == status


@pytest.mark.parametrize(
    ("free", "gpus", "status"),
    [(8 * GIB, 2, "ok"), (64 * 2**20, 0, "warning"), (64 * 2**20, 2, "failed")],
)
def test_shared_memory(
    free: int, gpus: int, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "SHARED_MEMORY", tmp_path)
    disk_of(monkeypatch, free)
    finding = look_at_shared_memory(gpus)
    assert finding.status == status
    assert ("--shm-size" in finding.remedy) == (status != "ok")
    monkeypatch.setattr(host, "SHARED_MEMORY", tmp_path / "none")
    assert look_at_shared_memory(gpus).status == "skipped"


def test_a_run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk_of(monkeypatch, 8 * GIB)
    assert look_at_run_directory(str(tmp_path / "new")).status == "ok"
    assert not list((tmp_path / "new").iterdir())
    disk_of(monkeypatch, GIB)
    finding = look_at_run_directory(str(tmp_path))
    assert (finding.status, finding.remedy) == (
        "warning",
        "Free some, or choose another disk with --output-dir.",
    )


def test_a_run_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    finding = look_at_run_directory(str(tmp_path / "file" / "runs"))
    assert finding.status == "failed"
    assert "can't be written to" in finding.detail and "--output-dir" in finding.remedy


def test_a_filesystem_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def acquire(*_: Any, **__: Any) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", acquire)
    finding = look_at_run_directory(str(tmp_path))
    assert finding.status == "warning"
    assert "No locks available" in finding.detail
    assert not list(tmp_path.iterdir())


def test_locks_that_lock_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileLock, "acquire", lambda *_, **__: None)
    assert "two hold one lock" in look_at_run_directory(str(tmp_path)).detail


def test_another_filesystem() -> None:
    assert look_at_run_directory("memory://runs").status == "ok"
    assert not [name for name in fsspec.filesystem("memory").find("/") if ".doctor" in name]
    finding = look_at_run_directory("nosuch://bucket/runs")
    assert finding.status == "failed"
    assert "nosuch" in finding.detail


def test_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk_of(monkeypatch, 8 * GIB)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert look_at_temporary_folder().status == "ok"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    finding = look_at_temporary_folder()
    assert finding.status == "failed"
    assert "TMPDIR" in finding.remedy


@pytest.fixture
def server() -> Iterator[Any]:
    """A server whose clock is `ahead` seconds off."""

    class Handler(http.server.BaseHTTPRequestHandler):
        ahead = 0.0
        code = 200

        def do_HEAD(self) -> None:
            self.send_response_only(self.code)
            if self.ahead is not None:
                self.send_header("Date", email.utils.formatdate(time.time() + self.ahead))
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.mark.parametrize("code", [200, 404])
@pytest.mark.parametrize(
    ("ahead", "status", "said"),
    [
        (0.0, "ok", "s off"),
        (7200.0, "warning", "s behind"),
        (-7200.0, "warning", "s ahead"),
        (None, "skipped", "tells no time"),
    ],
)
def test_the_clock(server: Any, ahead: float | None, status: str, said: str, code: int) -> None:
    server.RequestHandlerClass.ahead = ahead
    server.RequestHandlerClass.code = code
    finding = look_at_clock(f"http://127.0.0.1:{server.server_port}", 60.0)
    assert finding.status == status
    assert said in finding.detail


def test_a_clock_that_cannot_be_compared() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert look_at_clock(f"http://127.0.0.1:{port}", 60.0).status == "skipped"
    assert look_at_clock("no address", 60.0).status == "skipped"


@pytest.mark.parametrize(
    ("environment", "status"),
    [
        ({}, "ok"),
        ({"http_proxy": "http://proxy:1"}, "warning"),
        ({"https_proxy": "http://proxy:1", "no_proxy": "example.org, localhost"}, "ok"),
        ({"grpc_proxy": "http://proxy:1", "no_proxy": "*"}, "ok"),
    ],
)
def test_ports(environment: dict[str, str], status: str) -> None:
    assert look_at_ports(environment).status == status


def test_localhost_that_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(socket, "create_server", refuse)
    finding = look_at_ports({})
    assert finding.status == "failed"
    assert "/etc/hosts" in finding.remedy
