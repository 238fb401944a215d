"""What each docstring example of distilabel says about beam_distilabel.

An example is run twice with the same fake models: against distilabel itself, in distilabel's own
environment, and against beam_distilabel in this one. The two outcomes give one of four verdicts.
"""

import concurrent.futures
import json
import pathlib
import subprocess
import sys
from typing import Any, NamedTuple

from tests.compat.run_example import KINDS

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXPECTED = pathlib.Path(__file__).with_name("expected.json")
DISTILABEL_VERSION = "1.5.3"

PASS, WAITS, FAILS, NOT_RUNNABLE = "pass", "waits", "fails", "not runnable"
# An example that ends so isn't complete, or asks for what a test has no right to reach.
INHERENT = frozenset({"syntax", "undefined", "network", "file", "third-party"})


class Verdict(NamedTuple):
    """What became of one example, and why."""

    verdict: str
    reason: str


def verdict_of(ours: dict[str, Any], theirs: dict[str, Any]) -> Verdict:
    """Judge one example by how it ended here and in distilabel.

    Args:
        ours: the outcome (see ``run_example``) against beam_distilabel.
        theirs: the outcome against distilabel 1.5.3.

    Example:
        >>> ran = {"id": "steps:A:0", "kind": "ok", "detail": "", "missing": [], "columns": []}
        >>> verdict_of(ran, ran)
        Verdict(verdict='pass', reason='')
    """
    missing = [name for name in ours["missing"] if name not in theirs["missing"]]
    if ours["kind"] == "ok":
        if theirs["kind"] == "ok" and ours["columns"] != theirs["columns"]:
            found, wanted = (", ".join(one["columns"]) for one in (ours, theirs))
            return Verdict(FAILS, f"makes the columns {found}; distilabel makes {wanted}")
        if not missing:
            return Verdict(PASS, "")
        # A stand-in for the very class that an example is about would show nothing.
        tested = ours["id"].split(":")[1].partition(".")[0] not in missing
        return Verdict(WAITS, _quoted(missing) + ("; runs with a stand-in" if tested else ""))
    if theirs["kind"] in ("syntax", "undefined", "missing") and (
        ours["kind"] in ("missing", theirs["kind"])
    ):
        return Verdict(NOT_RUNNABLE, _reason(theirs))
    if ours["kind"] == "missing":
        return Verdict(WAITS, _quoted(missing))
    if theirs["kind"] != "ok":
        if ours["kind"] in INHERENT:
            return Verdict(NOT_RUNNABLE, _reason(ours))
        if ours["kind"] == theirs["kind"] and _type(ours) == _type(theirs):
            ends = f"raises {_type(theirs)}" if _type(theirs) else KINDS[theirs["kind"]]
            return Verdict(NOT_RUNNABLE, f"{ends} in distilabel too")
        if ours["kind"] == theirs["kind"] == "error" and _type(ours) == "DistilabelUserError":
            return Verdict(NOT_RUNNABLE, f"is refused here, raises {_type(theirs)} in distilabel")
    return Verdict(FAILS, _reason(ours))


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _type(outcome: dict[str, Any]) -> str:
    return str(outcome["detail"]).partition(":")[0]


def _reason(outcome: dict[str, Any]) -> str:
    reason = KINDS[outcome["kind"]]
    if outcome["kind"] in ("undefined", "missing", "third-party"):
        return f"{reason}: `{outcome['detail']}`"
    if outcome["kind"] in ("error", "failed-rows"):
        return f"{reason}: {outcome['detail']}"
    return reason


def distilabel_version(python: str) -> str | None:
    """Return the version of distilabel that the interpreter ``python`` has, if any."""
    code = "import importlib.metadata as m; print(m.version('distilabel'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _lines(python: str, module: str, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        [python, "-m", f"tests.compat.{module}", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{python} -m tests.compat.{module} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def compute(python: str) -> dict[str, Verdict]:
    """Run every example of the distilabel that ``python`` has, there and here.

    Returns:
        The verdict of each example by its id, in the order of distilabel's modules.
    """
    examples = _lines(python, "extract", "distilabel")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        theirs = pool.submit(_lines, python, "run_example", "distilabel", stdin=examples)
        ours = pool.submit(_lines, sys.executable, "run_example", "beam_distilabel", stdin=examples)
        pairs = zip(ours.result().splitlines(), theirs.result().splitlines(), strict=True)
        outcomes = [(json.loads(one), json.loads(other)) for one, other in pairs]
    return {one["id"]: verdict_of(one, other) for one, other in outcomes}


def read_expected() -> dict[str, Verdict]:
    """Return the committed verdicts."""
    recorded = json.loads(EXPECTED.read_text(encoding="utf-8"))
    return {name: Verdict(*entry) for name, entry in recorded.items()}


def write_expected(verdicts: dict[str, Verdict]) -> None:
    """Make ``verdicts`` the expected ones."""
    text = json.dumps({name: list(entry) for name, entry in verdicts.items()}, indent=1)
    EXPECTED.write_text(text + "\n", encoding="utf-8")
