"""The jars of Beam's Flink job server: fetched by Maven once per machine, then kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

VARIABLE = "BEAM_DISTILABEL_FLINK_JARS"
"""The environment variable that names a folder which has the jars, or will."""

FLINK_VERSION = "1.19"
"""The Flink that they are."""

_POM = Path(__file__).with_name("pom.xml")
_SECONDS = 900


class MissingTool(RuntimeError):
    """Java or Maven isn't installed."""


def jars_folder() -> Path:
    """Where the jars are kept: a folder of its own for every content of `pom.xml`."""
    if folder := os.environ.get(VARIABLE):
        return Path(folder)
    version = hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]
    return Path.home() / ".cache" / "beam_distilabel" / f"flink-jars-{version}"


def java() -> str:
    """The path of Java.

    Raises:
        MissingTool: there is none.
    """
    path = shutil.which("java")
    if path is None:
        raise MissingTool(
            "Flink needs Java (17 was tried), and there is no `java` on PATH. Install it (Debian: "
            "apt-get install openjdk-17-jre-headless), or name a job server that somebody runs: "
            "job_endpoint='host:port'."
        )
    return path


def fetch_jars() -> Path:
    """The folder with the jars; the first call on a machine lets Maven fill it (150 MB).

    Raises:
        MissingTool: they aren't there yet, and Maven isn't either.
        RuntimeError: Maven failed; has the end of what it said.
    """
    folder = jars_folder()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingTool(
            f"the jars of Flink aren't in {folder} (another folder: {VARIABLE}), and there is no "
            "`mvn` on PATH that could fetch them. Install Maven (Debian: apt-get install maven)."
        )
    # Under its name the folder is complete; what a fetch that was cut off has left isn't used.
    partial = Path(f"{folder}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    command = [maven, "--batch-mode", "--quiet", "--file", str(_POM)]
    command += ["dependency:copy-dependencies", "-DincludeScope=runtime"]
    command += [f"-DoutputDirectory={partial}"]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode or not any(partial.glob("beam-runners-flink-*.jar")):
        raise RuntimeError(f"Maven could not fetch the jars of Flink:\n{done.stdout[-3000:]}")
    partial.rename(folder)


if __name__ == "__main__":
    print(fetch_jars())
