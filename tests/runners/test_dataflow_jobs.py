"""Runs on Dataflow against a local stand-in of Google: what is posted, and how a run ends.

Jobs are posted by Beam's DataflowRunner through Google's own clients, which log in with a service
account's key; the stand-in runs the job from the file that was staged for it. Run directory,
staging and results are in its Cloud Storage.
"""

from __future__ import annotations

import copy
import json
import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest
import yaml
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.portability.api import beam_runner_api_pb2
from typer.testing import CliRunner

from beam_distilabel.cli import app
from beam_distilabel.errors import RunFailedError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.runners import choose_runner
from beam_distilabel.runners.direct import DirectSettings
from beam_distilabel.step import StepResources
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts
from tests.dataflow_server.fixtures import DataflowOfThisHost, google  # noqa: F401
from tests.dataflow_server.google import TOKEN, Google
from tests.fakes import Ask, FakeLLM
from tests.runners.same_everywhere import PIPELINES, outcome_of

RUN = "gs://bucket/runs/one"
TOO_MUCH = "never-in-the-job-0123456789"


def pipeline(texts: list[str], **task: Any) -> Pipeline:
    with Pipeline(name="on-dataflow") as pipeline:
        load = LoadDataFromDicts(data=[{"text": text} for text in texts])
        ask = Ask(llm=FakeLLM(), name="ask", **task)
        _ = load >> ask >> KeepColumns(columns=["text", "answer"])
    return pipeline


def options(google: Google, **more: Any) -> dict[str, Any]:  # noqa: F811
    return {
        "project": "my-project",
        "region": "us-central1",
        "temp_location": "gs://bucket/temp",
        "job_name": "a-job",
        "endpoint": google.endpoint,
        **more,
    }


def elsewhere() -> str:
    """A run directory outside of Cloud Storage, which is quicker, for runs without a result."""
    return f"memory://runs/{uuid.uuid4().hex}"


def staged(google: Google) -> beam_runner_api_pb2.Pipeline:  # noqa: F811
    job = google.service.posted[-1].job
    url = job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
    return beam_runner_api_pb2.Pipeline.FromString(google.storage.read(url))


def test_a_run_to_its_end(google: Google) -> None:  # noqa: F811
    distiset = pipeline(["a", "b", "c"]).run(
        runner="dataflow", options=options(google), output_dir=RUN
    )
    answers = distiset["default"]["train"].to_list()
    assert sorted(row["answer"] for row in answers) == ["a", "b", "c"]
    assert google.service.states() == ["JOB_STATE_DONE"]
    assert google.strangers == []  # the stand-in had an answer to everything
    report = json.loads(google.storage.read(f"{RUN}/report.json"))
    assert report["subsets"] == {"default": {"rows": 3}}
    assert report["steps"]["ask"]["requests"] == 3
    assert json.loads(google.storage.read(f"{RUN}/run.json"))["state"] == "done"
    # Again: answers are found in Cloud Storage, none is asked for.
    handle = pipeline(["a", "b", "c", "d"]).submit(
        runner="dataflow", options=options(google), output_dir=RUN
    )
    assert len(handle.distiset()["default"]["train"]) == 4
    assert handle.state == "done"
    assert handle.report["steps"]["ask"]["requests"] == 1


@pytest.mark.parametrize("name", PIPELINES)
def test_the_same_outcome_as_here(name: str, google: Google, tmp_path: Path) -> None:  # noqa: F811
    """Before it posts a job, Beam makes changes to it that are for Dataflow alone."""
    (tmp_path / "source").mkdir()
    outcomes = []
    for folder, settings in (
        ("here", DirectSettings()),
        ("there", DataflowOfThisHost(**options(google))),
    ):
        PIPELINES[name](tmp_path / "source").run(
            runner=settings, output_dir=tmp_path / folder, logging_handlers=[]
        )
        outcomes.append(outcome_of(tmp_path / folder))
    here, there = outcomes
    for part, value in here.items():
        assert there[part] == value, part
    assert google.service.states() == ["JOB_STATE_DONE"]


def test_what_is_posted(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    google.service.refusal = "nothing is run"
    monkeypatch.setenv("SOME_API_KEY", TOO_MUCH)
    with pytest.raises(RunFailedError):
        pipeline(["a"]).run(
            runner="dataflow",
            options=options(
                google,
                staging_location="gs://bucket/staging",
                image="images/one:1",
                machine_type="g2-standard-8",
                accelerator="nvidia-l4",
                num_workers=2,
                max_num_workers=8,
                autoscaling="THROUGHPUT_BASED",
                disk_type="pd-ssd",
                subnetwork="regions/us-central1/subnetworks/s",
                public_ips=False,
                service_account="workers@my-project.iam.gserviceaccount.com",
                labels={"team": "data"},
                service_options=["enable_google_cloud_profiler"],
                experiments=["enable_data_sampling"],
            ),
            output_dir=elsewhere(),
        )
    (posted,) = google.service.posted
    assert (posted.project, posted.region) == ("my-project", "us-central1")
    job = copy.deepcopy(posted.job)
    environment = job.pop("environment")
    request_id = job.pop("clientRequestId")
    assert request_id
    assert job == {"name": "a-job", "type": 1, "labels": {"team": "data"}}  # 1 is batch
    (pool,) = environment.pop("workerPools")
    (container,) = pool.pop("sdkHarnessContainerImages")
    capabilities = container.pop("capabilities")
    assert {
        "beam:protocol:progress_reporting:v1",
        "beam:protocol:worker_status:v1",
        "beam:version:sdk_base:apache/beam_python3.11_sdk:2.77.0",
    } <= {name.replace("progress_reporting:v0", "progress_reporting:v1") for name in capabilities}
    assert container == {
        "containerImage": "images/one:1",
        "useSingleCorePerContainer": True,
        "environmentId": container["environmentId"],
    }
    pool.pop("taskrunnerSettings")  # the service's address
    assert pool == {
        "kind": "local",  # by the word "localhost" in the address; the service's is "harness"
        "numWorkers": 2,
        "autoscalingSettings": {"algorithm": 2, "maxNumWorkers": 8},
        "machineType": "g2-standard-8",
        "diskSizeGb": 100,
        "diskType": "pd-ssd",
        "subnetwork": "regions/us-central1/subnetworks/s",
        "ipConfiguration": 2,  # private
        "numThreadsPerWorker": 4,
        "workerHarnessContainerImage": "images/one:1",
    }
    sdk_options = environment.pop("sdkPipelineOptions")["options"]
    assert environment.pop("tempStoragePrefix").startswith("storage.googleapis.com/bucket/temp/")
    assert environment == {
        "clusterManagerApiService": "compute.googleapis.com",
        "dataset": "bigquery.googleapis.com/cloud_dataflow",
        "experiments": [
            "enable_data_sampling",
            "no_use_multiple_sdk_containers",
            "beam_fn_api",
            "use_unified_worker",
            "use_runner_v2",
            "use_portable_job_submission",
        ],
        "serviceAccountEmail": "workers@my-project.iam.gserviceaccount.com",
        "serviceOptions": [
            "enable_google_cloud_profiler",
            "worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver:5xx",
        ],
        "userAgent": {"name": "Apache Beam Python 3.11 SDK", "version": "2.77.0"},
        "version": {"job_type": "FNAPI_BATCH", "major": "8"},
    }
    assert sdk_options["save_main_session"] is False
    assert sdk_options["pipelineUrl"].startswith("gs://bucket/staging/a-job.")
    assert sdk_options["number_of_worker_harness_threads"] == 4
    # The workers' image has all they need: nothing but the job itself is staged.
    files = [name for name in google.storage.names("bucket") if name.startswith("staging/")]
    assert [name.rpartition("/")[2] for name in files] == ["pipeline.pb"]
    everything = json.dumps(posted.job).encode() + staged(google).SerializeToString()
    for secret in (TOO_MUCH, TOKEN, "BEGIN PRIVATE KEY"):
        assert secret.encode() not in everything


def test_a_step_with_gpus_of_its_own(google: Google) -> None:  # noqa: F811
    google.service.refusal = "nothing is run"
    resources = StepResources(gpus=2, memory=2**34, resources={"nvidia-l4": 2})
    with pytest.raises(RunFailedError):
        pipeline(["a"], resources=resources).run(
            runner="dataflow", options=options(google, image="images/one:1"), output_dir=elsewhere()
        )
    job = staged(google).components
    hints = {
        urn.removeprefix("beam:resources:"): value
        for environment in job.environments.values()
        for urn, value in environment.resource_hints.items()
    }
    assert hints == {
        "accelerator:v1": b"type:nvidia-l4;count:2;install-nvidia-driver:5xx",
        "min_ram_bytes:v1": b"17179869184",
    }
    hinted = {name for name, one in job.environments.items() if one.resource_hints}
    there = {
        transform.unique_name
        for transform in job.transforms.values()
        if transform.environment_id in hinted
    }
    assert there and all("ask" in name for name in there), there
    pool = google.service.posted[0].job["environment"]["workerPools"][0]
    images = {one["environmentId"] for one in pool["sdkHarnessContainerImages"]}
    assert hinted < images  # and one for all other Steps


def test_a_package_for_the_workers(google: Google, tmp_path: Any) -> None:  # noqa: F811
    google.service.refusal = "nothing is run"
    wheel = tmp_path / "mine-1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    with pytest.raises(RunFailedError):
        pipeline(["a"]).run(
            runner="dataflow",
            options=options(google, extra_packages=[str(wheel)]),
            output_dir=elsewhere(),
        )
    contents = {
        name.rpartition("/")[2]: google.storage.objects["bucket", name]
        for name in google.storage.names("bucket")
        if name.startswith("temp/")
    }
    assert contents["mine-1.0-py3-none-any.whl"] == b"a wheel"
    assert contents["extra_packages.txt"] == b"mine-1.0-py3-none-any.whl\n"
    packages = google.service.posted[0].job["environment"]["workerPools"][0]["packages"]
    assert {package["name"] for package in packages} == {
        "mine-1.0-py3-none-any.whl",
        "extra_packages.txt",
    }


def test_a_job_that_the_service_refuses(google: Google) -> None:  # noqa: F811
    google.service.refusal = "Startup of the worker pool failed: no nvidia-l4 in us-central1."
    handle = pipeline(["a"]).submit(
        runner="dataflow", options=options(google), output_dir=elsewhere()
    )
    with pytest.raises(RunFailedError, match="no nvidia-l4 in us-central1"):
        handle.distiset()
    assert handle.state == "failed"


def test_a_step_that_raises(google: Google) -> None:  # noqa: F811
    with pytest.raises(RunFailedError, match="ask.*no text: int"):
        pipeline([7], on_failure="raise").run(  # type: ignore[list-item]
            runner="dataflow", options=options(google), output_dir=elsewhere()
        )
    assert google.service.states() == ["JOB_STATE_FAILED"]


def test_cancel(google: Google) -> None:  # noqa: F811
    google.service.holds = True
    handle = pipeline(["a"]).submit(
        runner="dataflow", options=options(google), output_dir=elsewhere()
    )
    assert google.service.began.wait(300)
    while handle.job_state != "RUNNING":
        assert handle.wait(0.01) == "running"
    handle.cancel()
    assert handle.wait(300) == "cancelled"
    assert google.service.states() == ["JOB_STATE_CANCELLED"]
    with pytest.raises(RunFailedError, match="cancelled"):
        handle.distiset()


def test_a_job_that_somebody_else_cancels(google: Google) -> None:  # noqa: F811
    google.service.holds = True
    handle = pipeline(["a"]).submit(
        runner="dataflow", options=options(google), output_dir=elsewhere()
    )
    assert google.service.began.wait(300)
    google.service.end("JOB_STATE_CANCELLED")
    assert handle.wait(300) == "failed"
    with pytest.raises(RunFailedError, match="CANCELLED"):
        handle.distiset()


def test_beam_finds_the_options_valid(google: Google) -> None:  # noqa: F811
    """As it does before it speaks to the real service; it looks into the buckets for that."""
    given = {name: value for name, value in options(google).items() if name != "endpoint"}
    settings = choose_runner("dataflow", given)
    validator = PipelineOptionsValidator(settings.pipeline_options(), settings.runner())
    assert validator.is_service_runner()
    assert validator.validate() == []


# -- jobs that nobody waits for ------------------------------------------------------------------


def launch(google: Google, *more: str, output_dir: str = RUN) -> Any:  # noqa: F811
    """Run the command as the launcher of a Flex Template does."""
    definition = yaml.safe_dump(launchable().dump()).encode()
    google.storage.put("gs://bucket/pipeline.yaml", definition)
    rows = [{"text": "a", "more": 1}, {"text": "b", "more": 2}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    google.storage.put("gs://bucket/data/rows.jsonl", lines.encode())
    flags = [
        f"--{name}={value}"
        for name, value in options(google).items()
        if name not in ("endpoint", "job_name")
    ]
    return CliRunner().invoke(
        app,
        [
            "launch",
            "--config=gs://bucket/pipeline.yaml",
            f"--output_dir={output_dir}",
            "--dataset=gs://bucket/data",
            *flags,
            f"--dataflow_endpoint={google.endpoint}",
            "--runner=DataflowRunner",
            "--job_name=from-a-template",
            *more,
        ],
        catch_exceptions=False,
    )


def launchable() -> Pipeline:
    with Pipeline(name="launched") as pipeline:
        KeepColumns(columns=["text"], name="keep")
    return pipeline


def test_a_job_that_ends_by_itself(google: Google) -> None:  # noqa: F811
    run_dir = elsewhere()
    done = launch(google, '--parameters={"keep": {"input_batch_size": 3}}', output_dir=run_dir)
    assert done.exit_code == 0, done.output
    assert "Launched the job 2026-" in done.output
    assert google.service.ended.wait(300)
    assert google.service.states() == ["JOB_STATE_DONE"]
    memory = fsspec.filesystem("memory")
    folder = run_dir.removeprefix("memory:/")
    assert json.loads(memory.cat(f"{folder}/run.json"))["state"] == "done"
    assert json.loads(memory.cat(f"{folder}/report.json"))["subsets"] == {"default": {"rows": 2}}
    assert "launched" in memory.cat(f"{folder}/distiset/README.md").decode()
    names = {name.removeprefix(f"{folder}/") for name in memory.find(folder)}
    assert not any(name.startswith((".distiset", ".failures", ".run")) for name in names), names
    assert "distiset/default/train-00000-of-00001.parquet" in names


def test_a_template(google: Google) -> None:  # noqa: F811
    done = launch(google, "--template_location=gs://bucket/templates/one")
    assert done.exit_code == 0, done.output
    assert "Wrote the template gs://bucket/templates/one" in done.output
    assert google.service.posted == []
    job = json.loads(google.storage.read("gs://bucket/templates/one"))
    assert job["name"] == "from-a-template"
    # What the service does with it then.
    from tests.dataflow_server.service import run_staged

    run_staged(
        google.storage.read(job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"])
    )
    assert json.loads(google.storage.read(f"{RUN}/run.json"))["state"] == "done"
    assert google.storage.read(f"{RUN}/distiset/default/train-00000-of-00001.parquet")


def test_a_dry_run(google: Google) -> None:  # noqa: F811
    done = launch(google, "--dry_run=True", output_dir=elsewhere())
    assert done.exit_code == 0, done.output
    assert google.service.posted == []
    assert not [name for name in google.storage.names("bucket") if name.endswith("pipeline.pb")]


def test_parameters_of_a_launch(google: Google) -> None:  # noqa: F811
    from beam_distilabel.errors import DistilabelUserError

    for text in ("{", "[]", '{"keep": 1}'):
        with pytest.raises(DistilabelUserError, match="--parameters"):
            launch(google, f"--parameters={text}")
    with pytest.raises(DistilabelUserError, match="num_worker"):
        launch(google, "--num_worker=3")
