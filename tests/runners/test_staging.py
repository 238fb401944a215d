"""What is staged for workers: paths that Beam can use, and files that stand in its way."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions

from beam_distilabel.pipeline import preflight
from beam_distilabel.runners import choose_runner
from beam_distilabel.runners.staging import check_options, shadowing, with_absolute_paths


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("setup.py", "requirements.txt", "own-1.0.whl", "script.py"):
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_paths_become_absolute(package: Path) -> None:
    """Beam fails on `--setup_file=setup.py`."""
    flags = ["--setup_file=setup.py", "--requirements_file", "./requirements.txt"]
    flags += ["--extra_package=own-1.0.whl", "--extra_packages=gs://bucket/other.whl"]
    expected = {
        "setup_file": f"{package}/setup.py",
        "requirements_file": f"{package}/requirements.txt",
        "extra_packages": [f"{package}/own-1.0.whl", "gs://bucket/other.whl"],
    }
    for runner, options in (
        ("PortableRunner", flags),
        (None, ["--runner=PortableRunner", *flags]),
        ("direct", {"flags": flags}),
        ("PortableRunner", {"flags": flags}),
    ):
        made = choose_runner(runner, options).pipeline_options().view_as(SetupOptions)
        assert {name: getattr(made, name) for name in expected} == expected
    assert with_absolute_paths(["--job_name", "setup.py"]) == ("--job_name", "setup.py")


def test_what_cannot_be_staged_is_refused(package: Path) -> None:
    for flag, problem in (
        ("--setup_file=other/setup.py", "there is no file '.*/other/setup.py'"),
        ("--setup_file=script.py", "is no setup.py or pyproject.toml"),
        ("--requirements_file=nowhere.txt", "requirements_file: there is no file"),
    ):
        with pytest.raises(ValueError, match=problem):
            choose_runner("PortableRunner", [flag])
    (package / "build.py").write_text("")
    with pytest.raises(ValueError, match=r"build\.py stands in for the module 'build'"):
        choose_runner("PortableRunner", ["--setup_file=setup.py"])


def test_beam_options_are_only_checked(package: Path) -> None:
    check_options(PipelineOptions([f"--setup_file={package}/setup.py"]))
    with pytest.raises(ValueError, match=rf"absolute path: .* Write '{package}/setup\.py'"):
        check_options(PipelineOptions(["--setup_file=setup.py"]))


def test_files_beside_a_script_that_shadow(
    package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert list(shadowing(package)) == []
    (package / "proto.py").write_text("")
    (package / "queue.py").write_text("")
    found: Any = [str(package / name) for name in ("proto.py", "queue.py")]
    assert list(shadowing(package)) == found
    monkeypatch.setattr(sys, "argv", [str(package / "script.py")])
    with caplog.at_level(logging.WARNING):
        preflight.check_options(PipelineOptions([]))
    assert [record.args for record in caplog.records] == [(name,) for name in found]
