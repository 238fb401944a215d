"""Programs that runners need: Java and Flink's jars, Prism."""

from __future__ import annotations

import re
import shutil

from beam_distilabel.doctor.check import QUICK_SECONDS, Finding, run_program
from beam_distilabel.runners.flink_cluster.jars import jars_folder

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
        status = "warning" if wanted else "ok"
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
        return _missing(
            f"Flink's jars aren't in {folder}, and there is no `mvn` on PATH",
            wanted,
            "Install Maven, which fetches them once (150 MB), or name a folder that has them by "
            "BEAM_DISTILABEL_FLINK_JARS.",
        )
    return Finding("ok", f"Maven fetches them at the first run (150 MB), into {folder}")


def look_at_prism(wanted: bool) -> Finding:
    """The program `prism`, or Go, which builds it.

    Args:
        wanted: whether the runner that is examined needs it.
    """
    found = shutil.which("prism")
    if found is not None:
        return Finding("ok", found)
    go = shutil.which("go")
    remedy = "go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0, its folder on PATH"
    if go is not None:
        return Finding(
            "warning" if wanted else "skipped", f"`prism` isn't on PATH; {go} builds it", remedy
        )
    return _missing(
        "there is no `prism` on PATH, and no `go`", wanted, f"Install Go, then: {remedy}."
    )


def _missing(detail: str, wanted: bool, remedy: str) -> Finding:
    if wanted:
        return Finding("failed", detail, remedy)
    return Finding("skipped", f"{detail}; not needed here")


__all__ = ["look_at_flink_jars", "look_at_java", "look_at_prism"]
