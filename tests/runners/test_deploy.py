"""Images, compose file, manifests: linted, consistent, and their commands tried without Docker."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam
import kubernetes_validate
import pytest
import yaml
from apache_beam.options.pipeline_options import PortableOptions
from typer.testing import CliRunner

from beam_distilabel.cli import app
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.runners import choose_runner
from beam_distilabel.runners.flink import FlinkSettings
from beam_distilabel.runners.flink_cluster.jars import MissingTool, fetch_jars, java
from tests.test_packaging import PROJECT_FILES

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "runners" / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
COMPOSE = {
    name: {"command": [], **service}
    for name, service in yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].items()
}
BIN = Path(sys.executable).parent
POOL = "beam_distilabel.runners.flink_cluster.worker_pool"
SECRETS = ("HF_TOKEN", "OPENAI_API_KEY")


def run(*command: str | Path) -> str:
    """The output of a command that has to succeed."""
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def documents() -> list[Any]:
    """All Kubernetes objects, but the kustomization."""
    found = []
    for path in MANIFESTS:
        found += [one for one in yaml.safe_load_all(path.read_text()) if one]
    return [one for one in found if one["kind"] != "Kustomization"]


def pods() -> dict[str, Any]:
    """The specs of pods, by the kind and name of what makes them."""
    return {
        f"{one['kind']}/{name_of(one)}": one["spec"]["template"]["spec"]
        for one in documents()
        if "template" in one.get("spec", {})
    }


def name_of(document: Any) -> str:
    metadata = document["metadata"]
    return str(metadata.get("name") or metadata["generateName"])


def containers() -> Iterator[tuple[str, Any, Any]]:
    """Each container, with where it is and its pod."""
    for where, pod in pods().items():
        for container in pod["containers"]:
            yield f"{where}/{container['name']}", container, pod


# -- linters -------------------------------------------------------------------------------------


def test_yaml() -> None:
    rules = {
        "document-start": "disable",
        "line-length": {"max": 100},
        "comments": {"min-spaces-from-content": 1},
    }
    run(BIN / "yamllint", "-s", "-d", json.dumps({"extends": "default", "rules": rules}), DEPLOY)


def test_the_dockerfile() -> None:
    run(BIN / "hadolint", DEPLOY / "Dockerfile")


def test_the_compose_file() -> None:
    schema = "vendor.compose-spec"
    run(BIN / "check-jsonschema", "--builtin-schema", schema, DEPLOY / "compose.yaml")


def test_the_manifests() -> None:
    for document in documents():
        document["metadata"].setdefault("name", "some")  # the check can't do without one
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_the_linters_find_something(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /x\n")
    assert subprocess.run([BIN / "hadolint", tmp_path / "Dockerfile"]).returncode
    (tmp_path / "compose.yaml").write_text("services:\n  one:\n    imagee: x\n")
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"]
    assert subprocess.run([*command, tmp_path / "compose.yaml"]).returncode
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "datas": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_the_kustomization_has_all_but_the_run() -> None:
    listed = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    there = {path.name for path in MANIFESTS} - {"kustomization.yaml", "submit.yaml"}
    assert set(listed["resources"]) == there


# -- versions ------------------------------------------------------------------------------------


def arguments() -> dict[str, str]:
    """The defaults of the Dockerfile's arguments."""
    return dict(re.findall(r"^ARG (\w+)=(\S+)$", DOCKERFILE, re.MULTILINE))


def test_versions_are_those_that_were_tried() -> None:
    assert arguments()["BEAM"] == apache_beam.__version__
    assert arguments()["PYTHON"] == "3.11"
    assert f"python{arguments()['PYTHON'].replace('.', '')}-" in arguments()["LAUNCHER"]
    pom = (ROOT / "runners" / "flink_cluster" / "pom.xml").read_text()
    flink = re.search(r"beam-runners-flink-([\d.]+)<", pom)[1]  # type: ignore[index]
    images = {service["image"] for service in COMPOSE.values()}
    images |= {container["image"] for _, container, _ in containers()}
    for image in images:
        if image.startswith("flink:"):
            assert image.startswith(f"flink:{flink}.")
        elif image.startswith("apache/"):
            assert image == f"apache/beam_flink{flink}_job_server:{apache_beam.__version__}"
        else:
            assert image.removeprefix("${BEAM_DISTILABEL_IMAGE:-").rstrip("}") == (
                "beam-distilabel:flink"
            )
    assert len(images) == 4  # the last of them in the compose file with a variable


def test_extras_of_the_image_are_ours() -> None:
    setup = (ROOT / "setup.py").read_text()
    for extra in arguments()["EXTRAS"].split(","):
        assert f'"{extra}": [' in setup, extra


# -- the image -----------------------------------------------------------------------------------


def test_what_is_copied_into_the_image_is_there() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert set(kept) == {"beam_distilabel", "runners", "transforms", *PROJECT_FILES}
    assert all((ROOT / name).exists() for name in kept)
    for source, _ in re.findall(r"^COPY (?!--)(\S+) (\S+)$", DOCKERFILE, re.MULTILINE):
        assert source == "." or (ROOT / source).is_file()
        assert source == "." or any(fnmatch.fnmatch(source, f"{name}/*") for name in kept)


def test_targets_that_are_named_are_there() -> None:
    targets = set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE))
    builds = [service["build"] for service in COMPOSE.values() if "build" in service]
    assert builds
    for build in builds:
        assert build["target"] in targets
        context = (DEPLOY / build["context"]).resolve()
        assert context == ROOT
        assert context / build["dockerfile"] == DEPLOY / "Dockerfile"
    assert set(re.findall(r"--target (\w+)", DOCKERFILE)) < targets


def test_workers_of_flink_are_not_root() -> None:
    flink = DOCKERFILE.partition("AS flink")[2].partition("FROM ")[0]
    user = re.search(r"^USER (\d+)$", flink, re.MULTILINE)[1]  # type: ignore[index]
    assert user == re.search(r"useradd --uid (\d+)", DOCKERFILE)[1]  # type: ignore[index]
    users = {
        container["securityContext"].get("runAsUser") or pod["securityContext"]["runAsUser"]
        for _, container, pod in containers()
        if container["image"].startswith("beam-distilabel")
    }
    assert users == {int(user)}


def pool_command() -> list[str]:
    """What the image for Flink runs."""
    flink = DOCKERFILE.partition("AS flink")[2].partition("FROM ")[0]
    found = re.search(r"ENTRYPOINT (\[.*\])\n(?:#.*\n)?CMD (\[.*\])", flink)
    assert found is not None
    return [*json.loads(found[1]), *json.loads(found[2])]


def test_the_pool_is_where_jobs_look_for_it() -> None:
    command = pool_command()
    assert command[:3] == ["python", "-m", POOL]
    host, port = command[command.index("--host") + 1], command[command.index("--port") + 1]
    assert host == "127.0.0.1"  # whoever reaches it can start programs
    for submitted in submissions():
        assert f"--runner-option=worker_pool=localhost:{port}" in submitted
    for _, container, _ in containers():
        if container["name"] == "worker-pool":
            for probe in ("readinessProbe", "livenessProbe"):
                code = container[probe]["exec"]["command"][-1]
                assert f'"{host}", {port}' in code


def test_the_probe_of_the_pool() -> None:
    probes = [
        container["readinessProbe"]["exec"]["command"]
        for _, container, _ in containers()
        if container["name"] == "worker-pool"
    ]
    ((_, _, code),) = probes
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = code.replace("50000", str(server.getsockname()[1]))
        assert subprocess.run([sys.executable, "-c", here]).returncode == 0
    assert subprocess.run([sys.executable, "-c", here], capture_output=True).returncode


# -- the cluster ---------------------------------------------------------------------------------


def test_every_taskmanager_has_a_pool_of_its_own() -> None:
    """Two TaskManagers that share Beam's own kind of pool hang."""
    managers = {name for name, one in COMPOSE.items() if one["command"] == "taskmanager"}
    pools = {name: one for name, one in COMPOSE.items() if name.startswith("worker-pool")}
    assert len(managers) == len(pools) > 1
    assert {one["network_mode"] for one in pools.values()} == {
        f"service:{name}" for name in managers
    }
    gpus = [
        gpu
        for one in pools.values()
        for device in one["deploy"]["resources"]["reservations"]["devices"]
        for gpu in device["device_ids"]
    ]
    assert len(gpus) == len(set(gpus)) == len(pools)
    pod = pods()["Deployment/taskmanager"]
    assert [one["name"] for one in pod["containers"]] == ["taskmanager", "worker-pool"]
    assert pod["containers"][1]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_names_that_are_used_are_there() -> None:
    services = {name_of(one) for one in documents() if one["kind"] == "Service"}
    claims = {name_of(one) for one in documents() if one["kind"] == "PersistentVolumeClaim"}
    maps = {name_of(one) for one in documents() if one["kind"] == "ConfigMap"}
    for where, container, pod in containers():
        mounted = {mount["name"] for mount in container.get("volumeMounts", ())}
        assert mounted <= {volume["name"] for volume in pod["volumes"]}, where
        for source in container.get("envFrom", ()):
            assert source["configMapRef"]["name"] in maps, where
        for text in [*container.get("args", ()), *container.get("command", ())]:
            for host in re.findall(r"=(?:[\w-]+\.)?([a-z-]+):\d+$", text):
                assert host in {*services, "localhost"}, text
    for where, pod in pods().items():
        for volume in pod["volumes"]:
            claim = volume.get("persistentVolumeClaim")
            assert claim is None or claim["claimName"] in claims, where
    for name, service in COMPOSE.items():
        for text in service["command"] if isinstance(service["command"], list) else ():
            for host in re.findall(r"=(?:[\w-]+=)?([a-z-]+):\d+$", text):
                assert host in {*COMPOSE, "localhost"}, (name, text)


def test_pods_have_no_rights_that_they_do_not_need() -> None:
    for where, container, pod in containers():
        assert pod["securityContext"]["runAsNonRoot"], where
        assert pod["automountServiceAccountToken"] is False, where
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False, where
        assert context["capabilities"] == {"drop": ["ALL"]}, where
        assert "memory" in container["resources"]["limits"], where


def test_no_secret_is_written_down() -> None:
    for where, container, _ in containers():
        for variable in container.get("env", ()):
            if variable["name"] in SECRETS:
                assert set(variable) == {"name", "valueFrom"}, where
                assert "secretKeyRef" in variable["valueFrom"], where
    seen = 0
    for name, service in COMPOSE.items():
        for variable, value in service.get("environment", {}).items():
            if variable in SECRETS:
                assert value == f"${{{variable}:-}}", name
                seen += 1
    assert seen >= 2 * len(SECRETS)


# -- commands ------------------------------------------------------------------------------------


def submissions() -> list[list[str]]:
    """The commands that submit a run: of the compose file, and of the manifests."""
    (container,) = (one for _, one, _ in containers() if one["name"] == "submit")
    submit = COMPOSE["submit"]
    plain = [re.sub(r"\$\{\w+:-(.*)\}", r"\1", text) for text in submit["command"]]
    return [[*submit["entrypoint"], *plain], [*container["command"], *container["args"]]]


@pytest.mark.parametrize("number", [0, 1])
def test_the_submission_is_one(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *arguments = submissions()[number]
    assert program == "beam-distilabel"
    got: dict[str, Any] = {}
    monkeypatch.setattr(Pipeline, "from_file", lambda path: Pipeline(name="deployed"))
    monkeypatch.setattr(Pipeline, "run", lambda self, **given: got.update(given))
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    settings = choose_runner(got["runner"], got["options"])
    assert isinstance(settings, FlinkSettings)
    assert settings.environment == "external"
    assert not settings.shares_process
    assert settings.default_engine == "server"
    assert str(settings.job_endpoint).endswith(":8099")
    options = settings.pipeline_options().view_as(PortableOptions)
    assert options.environment_type == "EXTERNAL"
    assert options.environment_config == "localhost:50000"
    mounts = [*COMPOSE["submit"]["volumes"], *COMPOSE["worker-pool-1"]["volumes"]]
    assert got["output_dir"].startswith("/runs/") and mounts.count("runs:/runs") == 2
    slots = [yaml.safe_load(text)["taskmanager.numberOfTaskSlots"] for text in configurations()]
    managers = [
        sum(one["command"] == "taskmanager" for one in COMPOSE.values()),
        pods_of("Deployment", "taskmanager"),
    ]
    assert settings.parallelism == slots[number] * managers[number]


def pods_of(kind: str, name: str) -> int:
    """How many there are of something."""
    (found,) = (one for one in documents() if one["kind"] == kind and name_of(one) == name)
    return int(found["spec"]["replicas"])


def test_the_pool_starts() -> None:
    _, *arguments = pool_command()
    arguments[arguments.index("--port") + 1] = "0"
    pool = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert pool.stdout is not None
        address = pool.stdout.readline().strip()
        assert re.fullmatch(r"(localhost|127\.0\.0\.1):\d+", address)
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))).close()
    finally:
        pool.terminate()
        pool.wait()


def job_server_options() -> list[list[str]]:
    (container,) = (one for _, one, _ in containers() if one["name"] == "job-server")
    return [container["args"], COMPOSE["job-server"]["command"]]


@pytest.fixture(scope="module")
def jars() -> Path:
    try:
        java()
        return fetch_jars()
    except MissingTool as error:
        pytest.skip(str(error))


def test_the_job_server_takes_its_options(jars: Path) -> None:
    main = "org.apache.beam.runners.flink.FlinkJobServerDriver"
    done = subprocess.run(
        [java(), "-cp", f"{jars}/*", main, "--help"], capture_output=True, text=True, timeout=300
    )
    known = set(re.findall(r"--[a-z-]+", done.stdout + done.stderr))
    assert "--job-port" in known
    for options in job_server_options():
        names = {option.partition("=")[0] for option in options}
        assert names <= known, names - known
        assert "--artifacts-dir=/artifacts" in options
        assert "--flink-master=jobmanager:8081" in options


def configurations() -> list[str]:
    """Flink's configuration: of the compose file, and of the manifests."""
    properties = {
        service["environment"]["FLINK_PROPERTIES"]
        for service in COMPOSE.values()
        if "FLINK_PROPERTIES" in service.get("environment", {})
    }
    maps = [one["data"]["FLINK_PROPERTIES"] for one in documents() if one["kind"] == "ConfigMap"]
    return [*properties, *maps]


@pytest.mark.parametrize("number", [0, 1])
def test_flink_takes_its_configuration(number: int, jars: Path, tmp_path: Path) -> None:
    """Flink's own program works out the memory that Java gets, as its image does at the start."""
    text = configurations()[number]
    (tmp_path / "flink-conf.yaml").write_text(text)
    wanted = yaml.safe_load(text)
    main = "org.apache.flink.runtime.util.bash.BashJavaUtils"
    for process, command in (
        ("taskmanager", "GET_TM_RESOURCE_PARAMS"),
        ("jobmanager", "GET_JM_RESOURCE_PARAMS"),
    ):
        seen = run(java(), "-cp", f"{jars}/*", main, command, "--configDir", tmp_path)
        heap = re.search(r"-Xmx(\d+)", seen)
        assert heap is not None, seen
        whole = int(wanted[f"{process}.memory.process.size"].removesuffix("g")) * 2**30
        assert 0 < int(heap[1]) < whole


def test_the_arguments_of_the_images_of_flink() -> None:
    roles = [service["command"] for name, service in COMPOSE.items() if "manager" in name]
    assert set(roles) == {"jobmanager", "taskmanager"}
    roles = [one["args"] for _, one, _ in containers() if one["image"].startswith("flink:")]
    assert sorted(roles) == [["jobmanager"], ["taskmanager"]]


def test_commands_in_comments_name_files_that_are_there() -> None:
    """What a reader copies from the files' heads."""
    for path in [DEPLOY / "Dockerfile", DEPLOY / "compose.yaml", *MANIFESTS]:
        for line in re.findall(r"^#   (.+)$", path.read_text(), re.MULTILINE):
            for word in shlex.split(line):
                if word.startswith("runners/"):
                    assert (ROOT / word).exists(), line
