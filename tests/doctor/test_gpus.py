"""GPUs, by scripts that speak as `nvidia-smi` does."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_distilabel.doctor.gpus import (
    look_at_cuda,
    look_at_gpu_memory,
    look_at_gpus,
    look_at_visible_gpus,
)
from tests.doctor.programs import only_path

SECONDS = 120.0

SMI = """
case "$1" in
  --query-gpu*)
    echo '0, GPU-aaaa, NVIDIA L4, 550.54.15, 23034, {free}'
    echo '1, GPU-bbbb, NVIDIA L4, 550.54.15, 23034, 22500' ;;
  --query-compute-apps*) echo '4711, python3, 20000' ;;
  *) echo '| NVIDIA-SMI 550.54.15   Driver Version: 550.54.15   CUDA Version: 12.4 |' ;;
esac
"""


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two GPUs, of which all is free; the value is the folder of the program."""
    only_path(tmp_path / "bin", monkeypatch, nvidia_smi=SMI.format(free=22500))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path / "bin"


def fake_torch(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A torch that other processes import."""
    (folder / "torch").mkdir(parents=True)
    (folder / "torch" / "__init__.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr("beam_distilabel.doctor.gpus.find_spec", lambda name: name)


def torch_of(cuda: str | None, works: bool) -> str:
    return (
        f"class version: cuda = {cuda!r}\n"
        f"class cuda: is_available = staticmethod(lambda: {works})\n"
    )


def test_two_gpus(gpus: Path) -> None:
    finding = look_at_gpus()
    assert finding.status == "ok"
    assert "0: NVIDIA L4, 22 GiB; 1: NVIDIA L4, 22 GiB; driver 550.54.15" in finding.detail
    assert look_at_gpu_memory().status == "ok"
    assert look_at_visible_gpus().status == "ok"


def test_a_gpu_that_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_path(tmp_path / "bin", monkeypatch, nvidia_smi=SMI.format(free=2000))
    finding = look_at_gpu_memory()
    assert finding.status == "warning"
    assert "0: 2.0 of 22.5 GiB" in finding.detail
    assert "4711 (python3, 20000 MiB)" in finding.detail
    assert "gpu_memory_utilization" in finding.remedy


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'NVIDIA-SMI has failed: driver/library version mismatch' >&2; exit 18", "mismatch"),
        ("exit 9", "it says nothing"),
        ("exit 0", "lists no GPU"),
    ],
)
def test_a_driver_that_does_not_work(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_path(tmp_path / "bin", monkeypatch, nvidia_smi=script)
    finding = look_at_gpus()
    assert finding.status == "failed"
    assert said in finding.detail and finding.remedy
    assert look_at_gpu_memory().status == "skipped"


def test_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_path(tmp_path / "bin", monkeypatch)
    looks = (look_at_gpus, look_at_gpu_memory, look_at_visible_gpus, lambda: look_at_cuda(SECONDS))
    assert [look().status for look in looks] == ["skipped"] * 4


@pytest.mark.parametrize(
    ("value", "status", "said"),
    [
        ("0,1", "ok", "2 of 2"),
        ("1", "ok", "1 of 2"),
        ("GPU-bbbb", "ok", "1 of 2"),
        ("MIG-1234", "ok", "1 of 2"),
        ("", "failed", "hides all"),
        ("-1", "failed", "hides all"),
        ("0,2", "failed", "isn't there"),
        ("GPU-cccc", "failed", "isn't there"),
    ],
)
def test_visible_gpus(
    value: str, status: str, said: str, gpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    finding = look_at_visible_gpus()
    assert (finding.status, said in finding.detail) == (status, True)


@pytest.mark.parametrize(
    ("torch", "status", "said"),
    [
        (torch_of("12.8", True), "ok", "built for CUDA 12.8; the driver runs up to 12.4"),
        (torch_of("13.0", False), "failed", "built for CUDA 13.0; the driver runs up to 12.4"),
        (torch_of("12.4", False), "failed", "torch finds no CUDA"),
        (torch_of(None, False), "failed", "without CUDA"),
        ("raise ImportError('libcudart.so.12: no such file')", "failed", "libcudart.so.12"),
    ],
)
def test_cuda(
    torch: str,
    status: str,
    said: str,
    gpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_torch(tmp_path / "packages", monkeypatch, torch)
    finding = look_at_cuda(SECONDS)
    assert finding.status == status
    assert said in finding.detail
    assert bool(finding.remedy) == (status != "ok")


def test_without_torch(gpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_distilabel.doctor.gpus.find_spec", lambda name: None)
    assert look_at_cuda(SECONDS).status == "skipped"
