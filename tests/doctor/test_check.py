"""A check that breaks or hangs is a finding, and the others are made."""

from __future__ import annotations

import sys
import threading

from beam_distilabel.doctor import Check, Finding, run_checks
from beam_distilabel.doctor.check import run_program


def test_checks_that_break_or_hang_stop_nothing() -> None:
    released = threading.Event()

    def breaks() -> Finding:
        raise ZeroDivisionError("of the check")

    def hangs() -> Finding:
        released.wait(300)
        return Finding("ok", "too late")

    checks = [
        Check("breaks", breaks),
        Check("hangs", hangs, 0.05),
        Check("works", lambda: Finding("warning", "there is something", "do something")),
    ]
    results = list(run_checks(checks))
    released.set()
    assert [(result.name, result.status) for result in results] == [
        ("breaks", "failed"),
        ("hangs", "failed"),
        ("works", "warning"),
    ]
    assert "ZeroDivisionError: of the check" in results[0].detail
    assert "no answer within 0.05 s" in results[1].detail
    assert results[2].as_dict() == {
        "name": "works",
        "status": "warning",
        "detail": "there is something",
        "remedy": "do something",
        "seconds": results[2].seconds,
    }


def test_findings_hold_no_secrets() -> None:
    token = "hf_" + "a" * 30
    [result] = run_checks([Check("tells", lambda: Finding("failed", f"got {token}", token))])
    assert token not in result.detail + result.remedy


def test_programs() -> None:
    said = run_program([sys.executable, "-c", "import sys; print('a'); sys.exit('b')"], 60)
    assert (said.code, said.text.strip(), said.errors.strip()) == (1, "a", "b")
    assert said.last_lines() == "b"
    code = "import time; print('begun', flush=True); time.sleep(600)"
    said = run_program([sys.executable, "-c", code], 5)
    assert said.code is None
