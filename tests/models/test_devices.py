"""GPUs of a host that has none: which there are, and who holds them, is told to the functions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.models.devices import DeviceLedger, Gpu, chosen_gpus, visible_gpus

TWO = (Gpu("0", "GPU-aaaa"), Gpu("1", "GPU-bbbb"))


@pytest.fixture
def ledger(tmp_path: Path) -> DeviceLedger:
    return DeviceLedger(tmp_path / "host" / "gpus.json")


@pytest.mark.parametrize(
    ("variable", "numbers"),
    [
        (None, ["0", "1"]),
        ("", []),
        ("-1", []),
        ("1", ["1"]),
        ("1,0", ["1", "0"]),
        ("GPU-bb", ["1"]),
        ("0,7,1", ["0"]),
        ("MIG-123", ["MIG-123"]),
    ],
)
def test_cuda_visible_devices_is_respected(variable: str | None, numbers: list[str]) -> None:
    environment = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    assert [gpu.number for gpu in visible_gpus(environment, TWO)] == numbers


def test_no_gpus_at_all() -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "0"}, ()) == ()


def test_gpus_are_chosen_among_the_visible_ones() -> None:
    assert chosen_gpus([1], TWO) == chosen_gpus([0], TWO[1:]) == (TWO[1],)
    with pytest.raises(DistilabelUserError, match=r"cuda_devices=\[3\].*sees 2 GPUs"):
        chosen_gpus([3], TWO)


def test_engines_take_free_gpus_one_by_one(ledger: DeviceLedger) -> None:
    first = ledger.claim(TWO, 1, 0.4, "a")
    second = ledger.claim(TWO, 1, 0.4, "b")
    assert {first.gpus[0].number, second.gpus[0].number} == {"0", "1"}
    with pytest.raises(EngineError):
        ledger.claim(TWO, 2, 0.9, "c", timeout=0)
    both = ledger.claim(TWO, 2, 0.6, "c", timeout=0)
    assert set(both.gpus) == set(TWO)
    for claim in (first, second, both, both):
        claim.release()
    assert ledger.holders() == []


def test_what_fits_may_share_a_gpu_and_what_does_not_is_told_who_holds_it(
    ledger: DeviceLedger,
) -> None:
    one = TWO[:1]
    held = ledger.claim(one, 1, 0.5, "vLLM with 'a'")
    ledger.claim(one, 1, 0.3, "vLLM with 'b'")
    with pytest.raises(EngineError) as error:
        ledger.claim(one, 1, 0.92, "vLLM with 'c'", timeout=0)
    for text in (
        "vLLM with 'c' needs 92% of the memory of 1 GPU, which isn't free on GPU 0",
        f"Process {os.getpid()} holds 50% of GPU 0 for vLLM with 'a'",
        "holds 30% of GPU 0 for vLLM with 'b'",
        "engine='server'",
        "cuda_devices",
        "gpu_memory_utilization",
    ):
        assert text in str(error.value)
    held.release()
    assert ledger.claim(one, 1, 0.7, "vLLM with 'c'", timeout=0).gpus == one


def test_chosen_gpus_are_taken_and_no_others(ledger: DeviceLedger) -> None:
    ledger.claim(TWO, 1, 0.92, "a", only=TWO[1:])
    with pytest.raises(EngineError, match="on GPU 1"):
        ledger.claim(TWO, 1, 0.92, "b", only=TWO[1:], timeout=0)
    assert ledger.claim(TWO, 1, 0.92, "b", timeout=0).gpus == TWO[:1]


_HOLD = """
import sys
from beam_distilabel.models.devices import DeviceLedger, Gpu
DeviceLedger(sys.argv[1]).claim([Gpu("0", "GPU-aaaa")], 1, 0.9, "the other one")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_claim_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    path = tmp_path / "gpus.json"
    ledger = DeviceLedger(path)
    command = [sys.executable, "-c", _HOLD, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(EngineError, match=f"Process {other.pid} holds 90% of GPU 0"):
            ledger.claim(TWO[:1], 1, 0.5, "this one", timeout=0)
        other.kill()
        other.wait()
    assert ledger.claim(TWO[:1], 1, 0.5, "this one", timeout=0).gpus == TWO[:1]


def test_who_waits_gets_what_another_gives_back(ledger: DeviceLedger) -> None:
    import threading

    held = ledger.claim(TWO[:1], 1, 0.9, "before")
    got = []
    thread = threading.Thread(target=lambda: got.append(ledger.claim(TWO[:1], 1, 0.9, "after")))
    thread.start()
    held.release()
    thread.join(30)
    assert len(got) == 1


def test_a_process_number_that_is_used_again_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gpus.json"
    entry = {
        "claim": "x",
        "pid": os.getpid(),
        "started": 1.0,
        "what": "long ago",
        "share": 1.0,
        "gpus": ["GPU-aaaa"],
    }
    path.write_text(json.dumps([entry]))
    assert DeviceLedger(path).claim(TWO[:1], 1, 1.0, "now", timeout=0).gpus == TWO[:1]
    assert [holder.what for holder in DeviceLedger(path).holders()] == ["now"]
