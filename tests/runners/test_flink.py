"""Flink's settings: what they are, what is refused, and Beam's options that come of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    PipelineOptions,
    PortableOptions,
)
from apache_beam.runners.portability.flink_runner import FlinkRunner
from pydantic import ValidationError

from beam_distilabel.pipeline.preflight import check_options
from beam_distilabel.runners import choose_runner
from beam_distilabel.runners.flink import FlinkSettings
from beam_distilabel.runners.flink_cluster import jars
from beam_distilabel.runners.flink_cluster.java import job_server_jars

CLUSTER = {"master": "flink:8081", "worker_pool": "localhost:50000"}


def test_defaults() -> None:
    settings = choose_runner("flink", None)
    assert isinstance(settings, FlinkSettings)
    assert isinstance(settings.runner(), FlinkRunner)
    assert not settings.local
    assert settings.shares_process
    assert settings.default_engine == "embedded"
    options = settings.pipeline_options().view_as(PortableOptions)
    assert options.environment_type == "LOOPBACK"
    assert options.environment_config is None
    assert options.job_endpoint is None
    assert options.sdk_worker_parallelism == 1
    assert settings.preset()["number_of_execution_retries"] == 0


def test_a_cluster() -> None:
    settings = choose_runner("flink", {**CLUSTER, "parallelism": 4, "sdk_worker_parallelism": 2})
    assert not settings.shares_process
    assert settings.default_engine == "server"
    options = settings.pipeline_options()
    portable = options.view_as(PortableOptions)
    assert (portable.environment_type, portable.environment_config) == (
        "EXTERNAL",
        "localhost:50000",
    )
    assert portable.sdk_worker_parallelism == 2
    flink = options.view_as(FlinkRunnerOptions)
    assert (flink.parallelism, flink.flink_master) == (4, "flink:8081")
    assert settings.preset()["number_of_execution_retries"] == 3


def test_options_that_only_the_job_server_knows() -> None:
    settings = FlinkSettings(
        execution_mode="BATCH_FORCED",
        max_bundle_size=7,
        max_bundle_time_millis=8,
        checkpointing_interval_millis=9,
        restart_attempts=5,
        restart_delay_seconds=0.25,
    )
    found = settings.pipeline_options().get_all_options(retain_unknown_options=True)
    expected = {
        "execution_mode_for_batch": "BATCH_FORCED",
        "max_bundle_size": 7,
        "max_bundle_time_mills": 8,
        "checkpointing_interval": 9,
        "number_of_execution_retries": 5,
        "execution_retry_delay": 250,
    }
    assert {name: found[name] for name in expected} == expected


def test_the_other_workers() -> None:
    process = FlinkSettings(master="f:1", environment="process", worker_command="/opt/worker")
    config = process.pipeline_options().view_as(PortableOptions).environment_config
    assert json.loads(config) == {"command": "/opt/worker"}
    docker = FlinkSettings(master="f:1", environment="docker", worker_image="image:1")
    assert docker.pipeline_options().view_as(PortableOptions).environment_config == "image:1"


def test_flags_are_settings_too() -> None:
    settings = choose_runner(
        "flink",
        [
            "--flink_master=http://f:8081",
            "--environment_type=EXTERNAL",
            "--environment_config=pool:1",
            "--parallelism=3",
            "--execution_mode_for_batch=BATCH_FORCED",
            "--object_reuse",
            "--checkpointing_interval=1000",
            "--savepoint_path=/savepoint",
        ],
    )
    assert isinstance(settings, FlinkSettings)
    assert (settings.master, settings.worker_pool) == ("http://f:8081", "pool:1")
    assert (settings.parallelism, settings.execution_mode) == (3, "BATCH_FORCED")
    assert settings.object_reuse
    assert settings.checkpointing_interval_millis == 1000
    found = settings.pipeline_options().get_all_options(retain_unknown_options=True)
    assert found["execution_mode_for_batch"] == "BATCH_FORCED"
    assert found["savepoint_path"] == "/savepoint"
    assert found["environment_config"] == "pool:1"


def test_flags_take_precedence() -> None:
    settings = FlinkSettings(parallelism=2, flags=("--parallelism=5",))
    assert settings.parallelism == 5
    flink = settings.pipeline_options().view_as(FlinkRunnerOptions)
    assert flink.parallelism == 5


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"master": "flink"}, "master"),
        ({"parallelism": 0}, "parallelism"),
        ({"heap": "1 GB"}, "heap"),
        ({"execution_mode": "batch"}, "execution_mode"),
        ({"worker_image": "i"}, "worker_image is for environment='docker'"),
        ({"master": "f:1"}, "environment='external' needs worker_pool"),
        ({"environment": "docker"}, "environment='docker' needs worker_image"),
        ({"job_endpoint": "j:1", "environment": "process"}, "needs worker_command"),
        ({"no_such": 1}, "no_such"),
        ({"flags": ["--no_such=1"]}, "no_such"),
        ({"flags": ["--parallelism=0"]}, "parallelism"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        FlinkSettings(**settings)


def test_an_unknown_setting_has_the_closest_one() -> None:
    with pytest.raises(ValueError, match="paralelism.*Did you mean 'parallelism'"):
        choose_runner("flink", {"paralelism": 2})


def test_beams_own_options_are_taken_as_they_are() -> None:
    given = PipelineOptions(["--flink_master=f:1"])
    assert choose_runner("FlinkRunner", given).pipeline_options() is given


def test_without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(jars.MissingTool, match="openjdk"):
        FlinkSettings().check()
    FlinkSettings(job_endpoint="j:1").check()  # somebody else has it


def test_without_maven(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv(jars.VARIABLE, str(tmp_path / "jars"))
    with pytest.raises(jars.MissingTool, match="Install Maven"):
        jars.fetch_jars()


def test_the_jars_of_a_job_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    jar = tmp_path / "job-server.jar"
    jar.write_bytes(b"")
    assert job_server_jars(jar=str(jar)) == str(jar)
    monkeypatch.setenv(jars.VARIABLE, str(tmp_path))
    assert job_server_jars() == f"{tmp_path}/*"
    assert job_server_jars(jars.FLINK_VERSION) == f"{tmp_path}/*"
    with pytest.raises(RuntimeError, match="no job server for Flink 1.3"):
        job_server_jars("1.3")


def test_no_word_of_discarded_options(caplog: pytest.LogCaptureFixture) -> None:
    """Beam warns of options that it doesn't know, as if they weren't passed on."""
    check_options(FlinkSettings(**CLUSTER).pipeline_options())
    assert "Discarding" not in caplog.text
