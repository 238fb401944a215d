"""Google Cloud Dataflow, by Beam's own DataflowRunner."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineRunner
from pydantic import Field, PositiveInt, StringConstraints, field_validator, model_validator
from typing_extensions import Self

from beam_distilabel.runners.settings import RunnerSettings, parse_flags

GcsPath = Annotated[str, StringConstraints(pattern=r"^gs://[a-z0-9][-_a-z0-9.]+[a-z0-9]/[^\r\n]*$")]
"""`gs://bucket/folder`; a bucket alone ends with a slash, as Beam's own check has it."""

# The machines that a GPU comes with, from https://cloud.google.com/compute/docs/gpus.
_MACHINES = {
    "nvidia-l4": "g2-",
    "nvidia-tesla-a100": "a2-highgpu-",
    "nvidia-a100-80gb": "a2-ultragpu-",
    "nvidia-h100-80gb": "a3-highgpu-",
    "nvidia-h100-mega-80gb": "a3-megagpu-",
    "nvidia-tesla-p4": "n1-",
    "nvidia-tesla-p100": "n1-",
    "nvidia-tesla-t4": "n1-",
    "nvidia-tesla-v100": "n1-",
}

# Setting to Beam's option, where they say the same.
_OPTIONS = {
    "project": "project",
    "region": "region",
    "temp_location": "temp_location",
    "staging_location": "staging_location",
    "job_name": "job_name",
    "image": "sdk_container_image",
    "machine_type": "machine_type",
    "num_workers": "num_workers",
    "max_num_workers": "max_num_workers",
    "autoscaling": "autoscaling_algorithm",
    "disk_size_gb": "disk_size_gb",
    "disk_type": "disk_type",
    "network": "network",
    "subnetwork": "subnetwork",
    "public_ips": "use_public_ips",
    "service_account": "service_account_email",
    "streaming": "streaming",
    "setup_file": "setup_file",
    "extra_packages": "extra_packages",
    "threads": "number_of_worker_harness_threads",
    "template_location": "template_location",
    "dry_run": "dry_run",
    "endpoint": "dataflow_endpoint",
}

_ONE_PROCESS = "no_use_multiple_sdk_containers"
_ACCELERATOR = "worker_accelerator="


class DataflowSettings(RunnerSettings):
    """Google Cloud Dataflow: machines that it starts for a job, with or without GPUs.

    Flags of Beam's that say the same as settings are checked as these. What they set besides what
    is given, and why (nothing of it was tried on the service, only against a local stand-in of it):

    - `save_main_session=False`: functions and classes in `__main__` are pickled by value without
      it (https://github.com/apache/beam/issues/34903). Of Beam's default for Dataflow, True, Beam
      2.77's cloudpickle makes a file of registered coders, logical types and schemas; dill would
      send all of `__main__`, so any secret that a script holds.
    - The experiment `no_use_multiple_sdk_containers`: Dataflow starts one Python process per vCPU,
      each in a container of its own
      (https://cloud.google.com/dataflow/docs/concepts/gpu-support, "GPUs and worker parallelism"),
      and every process would load the model; containers don't see each other's engines. Beam's
      benchmark of its vLLM handler sets it too (vllm_gemma_benchmarks in apache/beam).
    - With an accelerator `number_of_worker_harness_threads=4`: a bundle ends when its longest
      answer is there, and the other threads' bundles keep the engine busy meanwhile. More would
      hold more rows in memory, which all threads share
      (https://cloud.google.com/dataflow/docs/guides/troubleshoot-oom).
    - With an accelerator the service option
      `worker_accelerator=type:T;count:N;install-nvidia-driver:5xx`
      (https://cloud.google.com/dataflow/docs/gpu/use-gpus). Without `5xx` Dataflow installs a
      driver that is too old for vLLM, says Beam's notebook on vLLM.
    - With an accelerator `disk_size_gb=100`: the image, with CUDA and vLLM, is unpacked on the boot
      disk, whose default of 25 GB for batch it fills, and weights are kept beside it
      (https://cloud.google.com/dataflow/docs/guides/configure-worker-vm).

    A GPU for some Steps only is asked for by their resources: `StepResources(gpus=1,
    resources={"nvidia-l4": 1})` is a resource hint, and Dataflow gives such Steps workers of their
    own; with it the accelerator of all workers is left out, and streaming isn't supported
    (https://cloud.google.com/dataflow/docs/guides/right-fitting).

    Attributes:
        project: the project's id, not its number.
        region: such as "us-central1".
        temp_location: a folder `gs://...` for temporary files.
        staging_location: a folder `gs://...` for what is sent to workers; default is
            `temp_location`.
        job_name: lower case letters, digits and hyphens; default is one of Beam's making.
        image: the workers' container image, with this package in it: `runners/deploy/Dockerfile`.
        setup_file: where the image doesn't have it: the path of the `setup.py` or `pyproject.toml`
            of your package, which workers build and install when they start.
        extra_packages: paths of sdists or wheels that workers install when they start, such as the
            wheel of this package.
        machine_type: of the workers, such as "g2-standard-8"; Dataflow has a default.
        accelerator: the type of GPU of every worker, such as "nvidia-l4".
        accelerator_count: GPUs per worker.
        nvidia_driver: the driver's version for `install-nvidia-driver`, "" for Dataflow's default.
        num_workers: at the start.
        max_num_workers: with autoscaling.
        autoscaling: "THROUGHPUT_BASED", which is Dataflow's default, or "NONE".
        disk_size_gb: of a worker's boot disk.
        disk_type: such as "pd-ssd".
        network: the VPC network.
        subnetwork: "regions/REGION/subnetworks/NAME".
        public_ips: whether workers have public addresses; default is Dataflow's, which is yes.
            Without them the subnetwork needs Private Google Access, and the Hub a NAT.
        service_account: the email of the workers' account.
        streaming: a streaming job; Beam finds out by itself where a source is unbounded.
        one_process: one Python process per worker; else one per vCPU.
        threads: of that process.
        labels: of the job.
        service_options: of the service, beside those that follow from the others.
        experiments: of the service, beside those that follow from the others.
        template_location: write the job to this file in place of starting it.
        dry_run: make the job and don't send it.
        endpoint: another address of the service than Google's.

    Raises:
        ValueError: a value can't be, or values don't fit together.

    Example:
        >>> settings = DataflowSettings(
        ...     project="my-project",
        ...     region="us-central1",
        ...     temp_location="gs://my-bucket/temp",
        ...     image="us-docker.pkg.dev/my-project/images/beam-distilabel:1",
        ...     machine_type="g2-standard-8",
        ...     accelerator="nvidia-l4",
        ... )
        >>> settings.preset()["dataflow_service_options"]
        ['worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver:5xx']
    """

    project: Annotated[str, StringConstraints(pattern=r"^[a-z][-a-z0-9:.]+[a-z0-9]$")]
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]+-[a-z]+[0-9]+$")]
    temp_location: GcsPath
    staging_location: GcsPath | None = None
    job_name: Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")] | None = (
        None
    )
    image: str | None = None
    setup_file: str | None = None
    extra_packages: tuple[str, ...] = ()
    machine_type: str | None = None
    accelerator: str | None = None
    accelerator_count: PositiveInt = 1
    nvidia_driver: str = "5xx"
    num_workers: PositiveInt | None = None
    max_num_workers: PositiveInt | None = None
    autoscaling: Literal["THROUGHPUT_BASED", "NONE"] | None = None
    disk_size_gb: Annotated[int, Field(ge=30)] | None = None
    disk_type: str | None = None
    network: str | None = None
    subnetwork: str | None = None
    public_ips: bool | None = None
    service_account: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    streaming: bool = False
    one_process: bool = True
    threads: PositiveInt | None = None
    labels: dict[str, str] = {}
    service_options: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    template_location: str | None = None
    dry_run: bool = False
    endpoint: str | None = None

    # -- checks ----------------------------------------------------------------------------------

    @model_validator(mode="before")
    @classmethod
    def _read_flags(cls, values: Any) -> Any:
        """Take what flags say as what is set: flags take precedence."""
        if not isinstance(values, Mapping) or not values.get("flags"):
            return values
        said = parse_flags(list(values["flags"]))
        read = {name: said[option] for name, option in _OPTIONS.items() if option in said}
        if _ONE_PROCESS in (said.get("experiments") or ()):
            read["one_process"] = True
        elif "use_multiple_sdk_containers" in (said.get("experiments") or ()):
            read["one_process"] = False
        for option in said.get("dataflow_service_options") or ():
            if option.startswith(_ACCELERATOR):
                read.update(_read_accelerator(option))
        return {**values, **read}

    @field_validator("setup_file", "extra_packages")
    @classmethod
    def _is_there(cls, value: Any) -> Any:
        """Make paths absolute: Beam can't build the package of a relative one."""
        if value is None:
            return None
        if isinstance(value, tuple):
            return tuple(map(_file, value))
        path = _file(value)
        if os.path.basename(path) not in ("setup.py", "pyproject.toml"):
            raise ValueError(f"{path!r} is no setup.py or pyproject.toml; Beam takes no other.")
        return path

    @field_validator("labels")
    @classmethod
    def _are_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for name, value in labels.items():
            # https://cloud.google.com/compute/docs/labeling-resources#restrictions
            if not re.fullmatch(r"[a-z][-_a-z0-9]{0,62}", name):
                raise ValueError(f"{name!r} is no label: lower case, beginning with a letter.")
            if not re.fullmatch(r"[-_a-z0-9]{0,63}", value):
                raise ValueError(f"label {name!r}: its value has more than a-z, 0-9, '-' and '_'.")
        return labels

    @field_validator("service_options")
    @classmethod
    def _no_accelerator(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        if any(option.startswith(_ACCELERATOR) for option in options):
            raise ValueError(
                "set accelerator, accelerator_count and nvidia_driver, so that they can be "
                "checked, in place of the option worker_accelerator=..."
            )
        return options

    @model_validator(mode="after")
    def _fit(self) -> Self:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        if self.accelerator is not None:
            yield from self._accelerator_problems(self.accelerator)
        elif "accelerator_count" in self.model_fields_set:
            yield (
                f"accelerator_count={self.accelerator_count} without accelerator: name the type, "
                f"such as 'nvidia-l4'. Known ones: {', '.join(_MACHINES)}."
            )
        if self.num_workers and self.max_num_workers and self.num_workers > self.max_num_workers:
            yield (
                f"num_workers={self.num_workers} is more than "
                f"max_num_workers={self.max_num_workers}."
            )
        if self.autoscaling == "NONE" and not self.num_workers:
            yield "autoscaling='NONE' needs num_workers: nothing else says how many there are."
        if self.public_ips is False and not (self.subnetwork or self.network):
            yield (
                "public_ips=False needs the network or subnetwork that has Private Google Access; "
                "Dataflow's workers reach Cloud Storage by nothing else."
            )
        if self.template_location and self.dry_run:
            yield "template_location and dry_run: leave one out."

    def _accelerator_problems(self, accelerator: str) -> Iterator[str]:
        if self.image is None:
            yield (
                f"accelerator={accelerator!r} needs an image: Dataflow's own has no CUDA and no "
                "vLLM, and to install these whenever a worker starts takes many minutes. Build one "
                "with runners/deploy/Dockerfile."
            )
        if self.machine_type is None:
            family = _MACHINES.get(accelerator)
            yield (
                f"accelerator={accelerator!r} needs a machine_type that it can be part of"
                + (f": one that begins with {family!r}." if family else ".")
            )
        elif not self.machine_type.startswith(_MACHINES.get(accelerator, "")):
            yield (
                f"machine_type={self.machine_type!r} has no {accelerator!r}; those that do begin "
                f"with {_MACHINES[accelerator]!r}."
            )
        if not self.one_process:
            yield (
                "one_process=False with an accelerator: each process has a container of its own, "
                "doesn't see the others' engines, and would load the model onto the same GPU."
            )

    def check_hints(self, step: str, hints: Mapping[str, Any]) -> None:
        hint = hints.get("accelerator")
        if hint is None:
            return
        if "type:" not in hint:
            raise ValueError(
                f"Step {step!r}: its resources ask for GPUs ({hint}) and name no type, without "
                "which Dataflow gives none. For workers of its own name it there, "
                "resources={'nvidia-l4': 1}; for GPUs on all workers take `gpus` out and set the "
                "runner's accelerator."
            )
        if self.accelerator is not None:
            raise ValueError(
                f"Step {step!r}: its resources ask for GPUs of its own ({hint}), and the runner's "
                f"accelerator={self.accelerator!r} is for all workers. Dataflow does one of the "
                "two: leave one out."
            )
        if self.streaming:
            raise ValueError(
                f"Step {step!r}: its resources ask for GPUs ({hint}); in streaming jobs Dataflow "
                "has none for single Steps. Set the runner's accelerator."
            )
        if self.image is None or not self.one_process:
            raise ValueError(
                f"Step {step!r}: its resources ask for GPUs ({hint}): the runner needs an image "
                "with CUDA and vLLM, and one_process=True."
            )

    # -- Beam ------------------------------------------------------------------------------------

    @property
    def other_hosts(self) -> bool:
        return True

    @property
    def executes(self) -> bool:
        return self.template_location is None and not self.dry_run

    def runner(self) -> PipelineRunner:
        """Beam's DataflowRunner.

        Raises:
            ImportError: `beam-distilabel[dataflow]` isn't installed.
        """
        from apache_beam.runners.dataflow import dataflow_runner

        if dataflow_runner.dataflow_api is None:
            raise ImportError(
                "runner='dataflow' needs Google's packages: pip install 'beam-distilabel[dataflow]'"
            )
        return dataflow_runner.DataflowRunner()

    def preset(self) -> Mapping[str, Any]:
        preset: dict[str, Any] = {"save_main_session": False}
        for name, option in _OPTIONS.items():
            value = getattr(self, name)
            if value not in (None, (), False) or (name == "public_ips" and value is False):
                preset[option] = list(value) if isinstance(value, tuple) else value
        if self.accelerator is not None:
            preset.setdefault("number_of_worker_harness_threads", 4)
            preset.setdefault("disk_size_gb", 100)
        if self.labels:
            preset["labels"] = [f"{name}={value}" for name, value in self.labels.items()]
        experiments = [*self.experiments, *([_ONE_PROCESS] if self.one_process else [])]
        if experiments:
            preset["experiments"] = experiments
        if service_options := [*self.service_options, *self._accelerator_option()]:
            preset["dataflow_service_options"] = service_options
        return preset

    def _accelerator_option(self) -> Iterator[str]:
        if self.accelerator is not None:
            driver = f":{self.nvidia_driver}" if self.nvidia_driver else ""
            yield (
                f"{_ACCELERATOR}type:{self.accelerator};count:{self.accelerator_count};"
                f"install-nvidia-driver{driver}"
            )

    def pipeline_options(self) -> PipelineOptions:
        flags = list(self.flags)
        given = PipelineOptions(flags).get_all_options(drop_default=True)
        preset = dict(self.preset())
        if "save_main_session" in given:
            del preset["save_main_session"]
        for name in ("experiments", "labels", "dataflow_service_options"):
            # Of lists, flags add to what the settings lead to.
            values = [*(given.get(name) or ()), *preset.get(name, ())]
            if values:
                preset[name] = list({_key(value): value for value in reversed(values)}.values())
                preset[name].reverse()
        return PipelineOptions(flags, **preset)


def _read_accelerator(option: str) -> dict[str, str]:
    """`worker_accelerator=type:T;count:N;install-nvidia-driver:V` as settings."""
    parts = dict(part.partition(":")[::2] for part in option[len(_ACCELERATOR) :].split(";"))
    names = {
        "accelerator": "type",
        "accelerator_count": "count",
        "nvidia_driver": "install-nvidia-driver",
    }
    return {name: parts[part] for name, part in names.items() if part in parts}


def _key(value: str) -> str:
    """What can be in a list of options once."""
    return value.partition("=")[0]


def _file(path: str) -> str:
    absolute = Path(path).expanduser().resolve()
    if not absolute.is_file():
        raise ValueError(f"there is no file {str(absolute)!r}.")
    return str(absolute)
