"""Programs that runners need: Java and Flink's jars, Prism."""

from __future__ import annotations

import re
import shutil

from beam_distilabel.doctor.check import QUICK_SECONDS, Finding, Status, run_program
from beam_distilabel.runners.flink_cluster.jars import VARIABLE, MissingTool, jars_folder
from beam_distilabel.runners.prism import PrismSettings

LEAST_JAVA = 11
TRIED_JAVA = 17


def look_at_java(wanted: bool) -> Finding:
    """The Java that Flink's processes would run on.

    Args:
        wanted: whether the runner that is examined needs it.
    """
    path = shutil.which("java")
    if path is None:
        return _missing("there is no `java` on PATH", wanted, f"Install Java {TRIED_JAVA} (a JRE).")
    said = run_program([path, "-version"], QUICK_SECONDS / 2)
    text = said.errors or said.text
    match = re.search(r'version "(?:1\.)?(\d+)', text)
    if said.code != 0 or match is None:
        return _missing(f"{path} doesn't run: {said.last_lines(2)}", wanted, "Install it anew.")
    version = int(match[1])
    if version < LEAST_JAVA:
        return _missing(f"Java {version}, {path}", wanted, f"Install Java {TRIED_JAVA}.")
    if version != TRIED_JAVA:
        remedy = f"If Flink doesn't start: Java {TRIED_JAVA}."
        status: Status = "warning" if wanted else "ok"
        return Finding(status, f"Java {version}, {path}; {TRIED_JAVA} was tried", remedy)
    return Finding("ok", f"Java {version}, {path}")


def look_at_flink_jars(wanted: bool) -> Finding:
    """Flink's jars, or Maven, which fetches them.

    Args:
        wanted: whether the runner that is examined needs them.
    """
    folder = jars_folder()
    if folder.is_dir() and any(folder.glob("*.jar")):
        return Finding("ok", f"{sum(1 for _ in folder.glob('*.jar'))} jars in {folder}")
    if shutil.which("mvn") is None:
        if not wanted:
            return Finding("skipped", f"not in {folder}, and there is no `mvn`; not needed here")
        return Finding(
            "warning",
            f"Flink's jars aren't in {folder}, and there is no `mvn` on PATH: Beam's own job "
            "server has to be downloaded",
            "Without an open internet: install Maven, which fetches them once (150 MB), or name a "
            f"folder that has them by {VARIABLE}.",
        )
    return Finding("ok", f"Maven fetches them at the first run (150 MB), into {folder}")


def look_at_prism(settings: PrismSettings | None) -> Finding:
    """The program `prism`.

    Args:
        settings: of the runner that is examined, if that is Prism.
    """
    if settings is not None and settings.job_endpoint is not None:
        return Finding("ok", f"it runs at {settings.job_endpoint}")
    try:
        return Finding("ok", (settings or PrismSettings()).program())
    except MissingTool as error:
        if settings is None:
            return Finding("skipped", "Prism isn't installed; not needed here")
        found, _, remedy = str(error).partition(". ")
        go = "" if shutil.which("go") else " (there is no `go` on PATH either: install Go first)"
        return Finding("failed", found, f"{remedy}{go}")


def _missing(detail: str, wanted: bool, remedy: str) -> Finding:
    if wanted:
        return Finding("failed", detail, remedy)
    return Finding("skipped", f"{detail}; not needed here")


__all__ = ["look_at_flink_jars", "look_at_java", "look_at_prism"]
