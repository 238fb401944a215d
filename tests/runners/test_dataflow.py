"""Settings of Dataflow: what they refuse, and what they lead to. No service is asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    SetupOptions,
    WorkerOptions,
)

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.runners import choose_runner
from beam_distilabel.runners.dataflow import DataflowSettings
from beam_distilabel.step import StepResources
from beam_distilabel.steps import LoadDataFromDicts
from tests.fakes import Ask, FakeLLM

NEEDED = {"project": "my-project", "region": "us-central1", "temp_location": "gs://bucket/temp"}
FLAGS = [f"--{name}={value}" for name, value in NEEDED.items()]
GPU = {"image": "images/one:1", "accelerator": "nvidia-l4", "machine_type": "g2-standard-8"}


def settings(**given: Any) -> DataflowSettings:
    return DataflowSettings(**{**NEEDED, **given})


@pytest.mark.parametrize("missing", NEEDED)
def test_what_is_needed(missing: str) -> None:
    given = {name: value for name, value in NEEDED.items() if name != missing}
    with pytest.raises(ValueError, match=f"'dataflow' needs its setting '{missing}'"):
        choose_runner("dataflow", given)
    with pytest.raises(ValueError, match=f"'dataflow' needs its setting '{missing}'"):
        choose_runner("dataflow", [f"--{name}={value}" for name, value in given.items()])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"project": "123456"}, "project"),
        ({"project": "My Project"}, "project"),
        ({"region": "us-central1-a"}, "region"),
        ({"temp_location": "/tmp/here"}, "temp_location"),
        ({"temp_location": "gs://bucket"}, "temp_location"),
        ({"staging_location": "s3://bucket/x"}, "staging_location"),
        ({"job_name": "My job"}, "job_name"),
        ({"service_account": "me"}, "service_account"),
        ({"num_workers": 0}, "num_workers"),
        ({"num_workers": 5, "max_num_workers": 2}, "num_workers=5 is more than max_num_workers=2"),
        ({"autoscaling": "NONE"}, "needs num_workers"),
        ({"autoscaling": "SOMETIMES"}, "autoscaling"),
        ({"disk_size_gb": 5}, "disk_size_gb"),
        ({"public_ips": False}, "needs the network or subnetwork"),
        ({"labels": {"Team": "a"}}, "'Team' is no label"),
        ({"labels": {"team": "A"}}, "label 'team': its value"),
        ({"service_options": ["worker_accelerator=type:x"]}, "set accelerator"),
        ({"accelerator_count": 2}, "without accelerator"),
        ({"template_location": "gs://bucket/t", "dry_run": True}, "leave one out"),
        ({**GPU, "image": None}, "needs an image: Dataflow's own has no CUDA"),
        ({**GPU, "machine_type": None}, "needs a machine_type .* begins with 'g2-'"),
        ({**GPU, "machine_type": "n1-standard-8"}, "has no 'nvidia-l4'; .* begin with 'g2-'"),
        ({**GPU, "one_process": False}, "would load the model onto the same GPU"),
        ({"setup_file": "/no/such/setup.py"}, "there is no file '/no/such/setup.py'"),
        ({"extra_packages": ["/no/such.whl"]}, "there is no file '/no/such.whl'"),
        ({"num_worker": 1}, "'num_worker'.*'num_workers'"),
    ],
)
def test_what_is_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        choose_runner("dataflow", {**NEEDED, **given})


def test_a_setup_file_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beam fails on a relative one."""
    (tmp_path / "setup.py").touch()
    (tmp_path / "proto.py").touch()
    monkeypatch.chdir(tmp_path)
    options = settings(setup_file="setup.py").pipeline_options()
    assert options.view_as(SetupOptions).setup_file == str(tmp_path / "setup.py")
    options = settings(flags=("--setup_file=setup.py",)).pipeline_options()
    assert options.view_as(SetupOptions).setup_file == str(tmp_path / "setup.py")
    with pytest.raises(ValueError, match="is no setup.py or pyproject.toml"):
        settings(setup_file="proto.py")


def test_the_preset_without_a_gpu() -> None:
    options = settings().pipeline_options()
    given = options.get_all_options(drop_default=True)
    assert given == {
        **NEEDED,
        "save_main_session": False,  # Beam would send all of `__main__`, secrets too
        "experiments": ["no_use_multiple_sdk_containers"],
    }


def test_the_preset_with_gpus() -> None:
    options = settings(**GPU, accelerator_count=2).pipeline_options()
    given = options.get_all_options(drop_default=True)
    assert given == {
        **NEEDED,
        "save_main_session": False,
        "experiments": ["no_use_multiple_sdk_containers"],
        "sdk_container_image": "images/one:1",
        "machine_type": "g2-standard-8",
        "number_of_worker_harness_threads": 4,
        "disk_size_gb": 100,
        "dataflow_service_options": [
            "worker_accelerator=type:nvidia-l4;count:2;install-nvidia-driver:5xx"
        ],
    }


def test_what_is_set_comes_before_the_preset() -> None:
    given = settings(
        **GPU,
        nvidia_driver="",
        threads=8,
        disk_size_gb=300,
        disk_type="pd-ssd",
        public_ips=False,
        subnetwork="regions/us-central1/subnetworks/s",
        service_account="a@b.iam.gserviceaccount.com",
        labels={"team": "data"},
        service_options=["enable_prime"],
        experiments=["other"],
        num_workers=2,
        max_num_workers=5,
        job_name="a-job",
    ).pipeline_options()
    workers = given.view_as(WorkerOptions)
    assert (workers.disk_size_gb, workers.disk_type) == (300, "pd-ssd")
    assert workers.use_public_ips is False
    assert workers.subnetwork == "regions/us-central1/subnetworks/s"
    assert (workers.num_workers, workers.max_num_workers) == (2, 5)
    debug = given.view_as(DebugOptions)
    assert debug.number_of_worker_harness_threads == 8
    assert debug.experiments == ["other", "no_use_multiple_sdk_containers"]
    cloud = given.view_as(GoogleCloudOptions)
    assert cloud.labels == ["team=data"]
    assert cloud.service_account_email == "a@b.iam.gserviceaccount.com"
    assert cloud.dataflow_service_options == [
        "enable_prime",
        "worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver",
    ]


def test_flags_are_checked_as_settings_are() -> None:
    accelerator = "worker_accelerator=type:nvidia-l4;count:2;install-nvidia-driver"
    flags = [*FLAGS, f"--dataflow_service_options={accelerator}", "--sdk_container_image=i"]
    with pytest.raises(ValueError, match="needs a machine_type"):
        choose_runner("dataflow", flags)
    chosen = choose_runner("dataflow", [*flags, "--worker_machine_type=g2-standard-24"])
    given = chosen.pipeline_options().get_all_options(drop_default=True)
    assert given["dataflow_service_options"] == [accelerator]
    assert given["number_of_worker_harness_threads"] == 4


def test_flags_come_before_settings_and_lists_grow() -> None:
    flags = ("--num_workers=3", "--experiments=a", "--label=x=1", "--save_main_session")
    options = settings(
        flags=flags, num_workers=1, experiments=["b"], labels={"x": "2", "y": "3"}
    ).pipeline_options()
    given = options.get_all_options(drop_default=True)
    assert given["num_workers"] == 3
    assert given["experiments"] == ["a", "b", "no_use_multiple_sdk_containers"]
    assert given["labels"] == ["x=1", "y=3"]
    assert given["save_main_session"] is True


def test_several_processes_where_a_flag_wants_them() -> None:
    chosen = choose_runner("dataflow", [*FLAGS, "--experiments=use_multiple_sdk_containers"])
    given = chosen.pipeline_options().view_as(DebugOptions)
    assert given.experiments == ["use_multiple_sdk_containers"]


def test_beam_has_every_option_of_the_preset() -> None:
    """PipelineOptions keeps names silently that it doesn't know."""
    everything = settings(
        **GPU,
        staging_location="gs://bucket/staging",
        network="n",
        endpoint="https://other.example",
        autoscaling="THROUGHPUT_BASED",
        streaming=True,
        threads=1,
        labels={"a": "b"},
        service_options=["a"],
        template_location="gs://bucket/template",
    )
    known = choose_runner("direct", None).pipeline_options().get_all_options()
    assert set(everything.preset()) <= set(known)


# -- a run is refused before it begins ---------------------------------------------------------


def asking(**resources: Any) -> Pipeline:
    with Pipeline(name="asks") as pipeline:
        load = LoadDataFromDicts(data=[{"text": "why"}])
        _ = load >> Ask(llm=FakeLLM(), name="ask", resources=StepResources(**resources))
    return pipeline


@pytest.mark.parametrize("runner", ["dataflow", "DataflowRunner"])
def test_a_local_run_directory(runner: str, tmp_path: Path) -> None:
    pytest.importorskip("google.cloud.dataflow")
    folder = str(tmp_path / "run")
    with pytest.raises(DistilabelUserError, match=f"output_dir={folder!r} is on this machine"):
        asking().run(runner=runner, options=NEEDED, output_dir=folder)
    assert not Path(folder).exists()


def test_a_local_cache_of_answers(tmp_path: Path) -> None:
    pipeline = asking()
    pipeline._response_cache_dir = str(tmp_path)
    with pytest.raises(DistilabelUserError, match=re.escape("response_cache_dir='")):
        pipeline.run(runner="dataflow", options=NEEDED, output_dir="memory://bucket/run")


@pytest.mark.parametrize("more", [{"template_location": "gs://bucket/t"}, {"dry_run": True}])
def test_what_only_describes_a_job_is_no_run(more: dict[str, Any]) -> None:
    with pytest.raises(DistilabelUserError, match="`beam-distilabel launch` is for that"):
        asking().run(runner="dataflow", options={**NEEDED, **more}, output_dir="memory://b/run")


L4 = {"gpus": 1, "resources": {"nvidia-l4": 1}}


@pytest.mark.parametrize(
    ("given", "resources", "text"),
    [
        ({}, {"gpus": 1}, "Step 'ask': its resources ask for GPUs .* name no type"),
        (GPU, {"gpus": 1}, "Step 'ask': .* name no type"),
        (GPU, L4, "Step 'ask': .* Dataflow does one of the two"),
        ({"streaming": True, "image": "i"}, L4, "Step 'ask': .* in streaming jobs"),
        ({}, L4, "Step 'ask': .* needs an image"),
        ({"image": "i", "one_process": False}, L4, "Step 'ask': .* one_process=True"),
    ],
)
def test_gpus_that_a_step_would_not_get(
    given: dict[str, Any], resources: dict[str, Any], text: str
) -> None:
    with pytest.raises(DistilabelUserError, match=text):
        asking(**resources).run(
            runner="dataflow", options={**NEEDED, **given}, output_dir="memory://bucket/run"
        )


def test_gpus_that_a_step_gets() -> None:
    """Nothing is raised."""
    settings(image="i").check_hints("ask", StepResources(**L4).resource_hints())
    settings(**GPU).check_hints("ask", StepResources(memory=2**30).resource_hints())
