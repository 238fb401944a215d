"""Java processes of Flink: their command lines, and the jars that they run."""

from __future__ import annotations

import logging
import urllib.error
from collections.abc import Sequence
from pathlib import Path

from apache_beam.options.pipeline_options import FlinkRunnerOptions
from apache_beam.utils.subprocess_server import JavaJarServer

from beam_distilabel.runners.flink_cluster.jars import (
    FLINK_VERSION,
    MissingTool,
    fetch_jars,
    jars_folder,
    java,
)

_OPENED = "lang util nio net time lang.invoke util.concurrent"  # packages that Flink looks into

LIGHT = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Options of a Java that lives briefly or computes little: half the time to start."""

logger = logging.getLogger(__name__)


def java_command(
    main: str,
    arguments: Sequence[str],
    *,
    class_path: str,
    temporary: Path,
    options: Sequence[str],
    info: Sequence[str] = (),
) -> list[str]:
    """The command line of a Java program of Flink's or Beam's.

    Args:
        main: its class.
        arguments: of the program.
        class_path: of Java.
        temporary: the folder for temporary files.
        options: of Java, such as `-Xmx1g`.
        info: packages that log more than warnings.

    Raises:
        MissingTool: there is no Java.
    """
    opened = [f"java.base/java.{name}" for name in _OPENED.split()] + ["java.base/sun.nio.ch"]
    return [
        java(),
        *options,
        f"-Djava.io.tmpdir={temporary}",
        *(f"--add-opens={package}=ALL-UNNAMED" for package in opened),  # Java 17 closes them
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss",
        *(f"-Dorg.slf4j.simpleLogger.log.{package}=info" for package in info),
        "-cp",
        class_path,
        main,
        *arguments,
    ]


def job_server_jars(flink_version: str | None = None, jar: str | None = None) -> str:
    """The class path of a job server.

    Beam publishes its job server as one jar for each version of Flink; where that can't be
    fetched, the jars of our pom.xml do the same for Flink `FLINK_VERSION`. What is on this machine
    already is taken first, then Beam's jar is fetched, then ours.

    Args:
        flink_version: of the cluster, such as "1.19"; None for an embedded Flink.
        jar: a job server's jar, a path or URL, that is to be taken.

    Raises:
        MissingTool: ours are needed and Maven isn't installed.
        RuntimeError: there is none for that version.
    """
    if jar is not None:
        return str(JavaJarServer.local_jar(jar))
    if flink_version in (None, FLINK_VERSION) and jars_folder().is_dir():
        return f"{jars_folder()}/*"
    wanted = flink_version or FLINK_VERSION
    reason: object = (
        f"Beam publishes it for {', '.join(FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS)}"
    )
    if wanted in FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS:
        try:
            return _beams_jar(wanted)
        except (RuntimeError, OSError, urllib.error.URLError) as error:
            reason = error
    if wanted == FLINK_VERSION:
        logger.debug("Beam's job server can't be fetched: %s", reason)
        return f"{fetch_jars()}/*"
    raise RuntimeError(
        f"there is no job server for Flink {wanted}: {reason}. Run one yourself and name it, "
        "job_endpoint='host:port', or give its jar, job_server_jar='path or URL'."
    )


def _beams_jar(flink_version: str) -> str:
    target = f":runners:flink:{flink_version}:job-server:shadowJar"
    return str(JavaJarServer.local_jar(JavaJarServer.path_to_beam_jar(target)))


__all__ = ["LIGHT", "MissingTool", "java_command", "job_server_jars"]
