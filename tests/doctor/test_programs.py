"""Java, Flink's jars and Prism, on a PATH of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_distilabel.doctor.engines import look_at_vllm
from beam_distilabel.doctor.programs import look_at_flink_jars, look_at_java, look_at_prism
from beam_distilabel.runners.flink_cluster.jars import VARIABLE
from beam_distilabel.runners.prism import VARIABLE as PRISM_VARIABLE, PrismSettings
from tests.doctor.programs import only_path


@pytest.mark.parametrize(
    ("script", "wanted", "status"),
    [
        ("echo 'openjdk version \"17.0.12\" 2024-07-16' >&2", True, "ok"),
        ("echo 'openjdk version \"21.0.1\"' >&2", True, "warning"),
        ("echo 'openjdk version \"21.0.1\"' >&2", False, "ok"),
        ("echo 'java version \"1.8.0_292\"' >&2", True, "failed"),
        ("echo 'java version \"1.8.0_292\"' >&2", False, "skipped"),
        ("echo 'cannot allocate memory' >&2; exit 1", True, "failed"),
        (None, True, "failed"),
        (None, False, "skipped"),
    ],
)
def test_java(
    script: str | None, wanted: bool, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = {} if script is None else {"java": script}
    only_path(tmp_path / "bin", monkeypatch, **programs)
    finding = look_at_java(wanted)
    assert finding.status == status
    if status == "failed":
        assert finding.remedy


def test_flinks_jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "jars"))
    only_path(tmp_path / "bin", monkeypatch)
    assert look_at_flink_jars(wanted=False).status == "skipped"
    finding = look_at_flink_jars(wanted=True)
    assert finding.status == "warning"
    assert "Maven" in finding.remedy and VARIABLE in finding.remedy
    only_path(tmp_path / "bin", monkeypatch, mvn="exit 0")
    assert look_at_flink_jars(wanted=True).status == "ok"
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "flink.jar").touch()
    assert "1 jars in" in look_at_flink_jars(wanted=True).detail


def test_prism(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PRISM_VARIABLE, raising=False)
    only_path(tmp_path / "bin", monkeypatch)
    assert look_at_prism(None).status == "skipped"
    finding = look_at_prism(PrismSettings())
    assert finding.status == "failed"
    assert "go install" in finding.remedy and "no `go` on PATH" in finding.remedy
    assert look_at_prism(PrismSettings(job_endpoint="localhost:8073")).status == "ok"
    only_path(tmp_path / "bin", monkeypatch, prism="exit 0")
    assert look_at_prism(PrismSettings()).detail == str(tmp_path / "bin" / "prism")


@pytest.mark.parametrize(
    ("text", "wanted", "status", "said"),
    [
        ("__version__ = '0.32.0'", True, "ok", "vLLM 0.32.0"),
        ("raise ImportError('libtorch is of another version')", True, "failed", "libtorch"),
        ("raise ImportError('libtorch is of another version')", False, "warning", "libtorch"),
        ("import os; os.abort()", True, "failed", "can't be imported"),
    ],
)
def test_vllms_import(
    text: str,
    wanted: bool,
    status: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "__init__.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("beam_distilabel.doctor.engines.find_spec", lambda name: name)
    finding = look_at_vllm(120.0, wanted)
    assert finding.status == status
    assert said in finding.detail


def test_vllms_import_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vllm.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("beam_distilabel.doctor.engines.find_spec", lambda name: name)
    assert "isn't imported within 0.5 s" in look_at_vllm(0.5, True).detail


def test_without_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_distilabel.doctor.engines.find_spec", lambda name: None)
    assert look_at_vllm(1.0, wanted=False).status == "skipped"
    finding = look_at_vllm(1.0, wanted=True)
    assert (finding.status, "beam-distilabel[vllm]" in finding.remedy) == ("failed", True)
