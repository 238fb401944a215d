"""The program that starts workers in containers, without a container.

It is Beam's, and the entry point of the image for Dataflow. Flink starts it here as Dataflow does,
with the environment variables of the image.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from apache_beam.version import __version__ as beam_version

from beam_distilabel.pipeline import Pipeline
from beam_distilabel.runners.flink import FlinkSettings
from beam_distilabel.runners.flink_cluster.jars import MissingTool, java
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts
from tests.go_programs import go_program

BOOT = f"github.com/apache/beam/sdks/v2/python/container@v{beam_version}"
DOCKERFILE = Path(__file__).resolve().parents[2] / "runners" / "deploy" / "Dockerfile"


def environment_of_the_image() -> dict[str, str]:
    """The variables that the image sets for Beam's program and for Python."""
    found = dict(re.findall(r"^\s+(\w+)=(\S+?)(?: \\)?$", DOCKERFILE.read_text(), re.MULTILINE))
    return {
        name: found[name] for name in ("PYTHONUNBUFFERED", "RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT")
    }


@pytest.mark.slow
def test_a_run_whose_workers_it_starts(tmp_path: Path) -> None:
    try:
        java()
    except MissingTool as error:
        pytest.skip(str(error))
    boot = go_program("boot", BOOT)
    # It looks for Beam with pip, which the image's virtual environment has.
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    variables = {
        **environment_of_the_image(),
        "PATH": f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    exports = "".join(f"export {name}={shlex.quote(text)}\n" for name, text in variables.items())
    log = tmp_path / "boot.log"
    command = tmp_path / "worker"
    command.write_text(
        f"#!/bin/sh\n{exports}exec {shlex.quote(str(boot))} --semi_persist_dir={tmp_path} "
        f'"$@" >> {shlex.quote(str(log))} 2>&1\n'
    )
    command.chmod(0o700)
    with Pipeline(name="booted") as pipeline:
        load = LoadDataFromDicts(data=[{"a": number, "b": 0} for number in range(10)])
        _ = load >> KeepColumns(columns=["a"])
    distiset = pipeline.run(
        runner=FlinkSettings(environment="process", worker_command=str(command)),
        output_dir=tmp_path / "run",
        logging_handlers=[],
    )
    assert sorted(distiset["default"]["train"]["a"]) == list(range(10))
    assert "Provision info:" in log.read_text()
