"""The Flex Template: what its metadata offers, its launcher takes, and the other way round."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from beam_distilabel.cli import app
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.runners.dataflow import DataflowSettings
from beam_distilabel.steps import KeepColumns

FOLDER = Path(__file__).resolve().parents[2] / "runners" / "deploy" / "flex_template"
TEXT = (FOLDER / "metadata.json").read_text()
PARAMETERS: dict[str, Any] = {one["name"]: one for one in json.loads(TEXT)["parameters"]}

VALUES = {
    "config": "gs://bucket/pipeline.yaml",
    "output_dir": "gs://bucket/runs/one",
    "sdk_container_image": "us-docker.pkg.dev/my-project/images/beam-distilabel:1",
    "dataset": "gs://bucket/data",
    "parameters": '{"keep": {"input_batch_size": 3}}',
    "repo_id": "someone/some-data",
    "dataflow_service_options": (
        "worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver:5xx"
    ),
    "number_of_worker_harness_threads": "2",
    "disk_size_gb": "200",
}
WRONG = {
    "config": ["pipeline.yaml", "gs://bucket/pipeline.py"],
    "output_dir": ["/tmp/run"],
    "sdk_container_image": ["an image"],
    "dataset": ["s3://bucket/data"],
    "parameters": ["keep.input_batch_size=3", "[]"],
    "repo_id": ["a/b/c", "https://hub"],
    "dataflow_service_options": ["a b"],
    "number_of_worker_harness_threads": ["0", "two"],
    "disk_size_gb": ["-1", "100GB"],
}

# What the service passes beside a template's parameters.
OF_THE_SERVICE = [
    "--runner=DataflowRunner",
    "--project=my-project",
    "--region=us-central1",
    "--job_name=from-a-template",
    "--temp_location=gs://bucket/temp",
    "--staging_location=gs://bucket/staging",
    "--template_location=gs://bucket/staging/template_launches/1/job_object",
    "--service_account_email=a@my-project.iam.gserviceaccount.com",
    "--machine_type=g2-standard-8",
    "--max_num_workers=3",
    "--labels={}",
]


def commands() -> dict[str, Any]:
    """The options of the command, by their names."""
    command: Any = typer.main.get_command(app).commands["launch"]  # type: ignore[attr-defined]
    return {one.opts[0].removeprefix("--"): one for one in command.params}


def launched(
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, str],
    of_the_service: Sequence[str] = OF_THE_SERVICE,
    code: int = 0,
) -> dict[str, Any]:
    """What the launcher, run as a program, gives to `Pipeline.launch`."""
    got: dict[str, Any] = {}

    def launch(self: Pipeline, **given: Any) -> None:
        got.update(given, pipeline=self)

    with Pipeline(name="templated") as pipeline:
        KeepColumns(columns=["a"], name="keep")
    monkeypatch.setattr(Pipeline, "from_file", lambda path: pipeline)
    monkeypatch.setattr(Pipeline, "launch", launch)
    flags = [f"--{name}={value}" for name, value in arguments.items()]
    monkeypatch.setattr(sys, "argv", ["main.py", *flags, *of_the_service])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / "main.py"), run_name="__main__")
    assert (ended.value.code or 0) == code
    return got


def test_the_metadata_is_what_the_service_reads() -> None:
    """By the types of Google's own client, which refuse names that they don't know."""
    dataflow = pytest.importorskip("google.cloud.dataflow")
    metadata = dataflow.TemplateMetadata.from_json(TEXT, ignore_unknown_fields=False)
    assert [one.name for one in metadata.parameters] == list(PARAMETERS)
    assert metadata.parameters[0].param_type == dataflow.ParameterType.GCS_READ_FILE
    for one in PARAMETERS.values():
        assert re.fullmatch(r"[a-zA-Z][-\w]*", one["name"])
        assert one["label"] and one["helpText"]


def test_values_and_the_expressions_that_check_them() -> None:
    assert set(VALUES) == set(WRONG) == set(PARAMETERS)
    for name, parameter in PARAMETERS.items():
        for expression in parameter["regexes"]:
            assert re.fullmatch(expression, VALUES[name]), name
        for value in WRONG[name]:
            assert not all(re.fullmatch(one, value) for one in parameter["regexes"]), (name, value)


def test_every_parameter_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    got = launched(monkeypatch, VALUES)
    settings = got.pop("runner")
    assert isinstance(settings, DataflowSettings)
    assert got.pop("pipeline").name == "templated"
    assert got == {
        "parameters": {"keep": {"input_batch_size": 3}},
        "dataset": VALUES["dataset"],
        "output_dir": VALUES["output_dir"],
        "push_to_hub": VALUES["repo_id"],
    }
    options = settings.pipeline_options().get_all_options(drop_default=True)
    assert options["sdk_container_image"] == VALUES["sdk_container_image"]
    assert options["number_of_worker_harness_threads"] == 2
    assert options["disk_size_gb"] == 200
    assert options["dataflow_service_options"] == [VALUES["dataflow_service_options"]]
    assert options["experiments"] == ["no_use_multiple_sdk_containers"]
    assert options["save_main_session"] is False
    assert options["template_location"].endswith("/job_object")


def test_what_is_needed_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {name for name, one in PARAMETERS.items() if not one.get("isOptional")}
    got = launched(monkeypatch, {name: VALUES[name] for name in needed})
    assert got["dataset"] is None and got["push_to_hub"] is None and got["parameters"] == {}


def test_the_launcher_takes_nothing_that_the_metadata_has_not() -> None:
    """Or else nobody could give it."""
    own = commands()
    assert set(own) - {"help"} <= set(PARAMETERS)
    for name, option in own.items():
        if name in PARAMETERS:
            assert option.required == (not PARAMETERS[name].get("isOptional", False)), name


def test_gpus_without_a_machine_that_has_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = [one for one in OF_THE_SERVICE if not one.startswith("--machine_type")]
    assert launched(monkeypatch, VALUES, service, code=1) == {}
    assert "needs a machine_type" in " ".join(capsys.readouterr().err.split())
