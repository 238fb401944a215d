"""Several processes at one folder, and processes that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.checkpoint import MISSING, CheckpointSettings, checkpoint
from beam_distilabel.checkpoint.segments import is_part, list_segments, read_segment

PUT_MANY = """
import sys
from beam_distilabel.checkpoint import CheckpointSettings, open_checkpoint, close_checkpoint
folder, first, count, rows = sys.argv[1], *map(int, sys.argv[2:])
finished = open_checkpoint(folder, CheckpointSettings(rows=rows, seconds=0.01))
finished.refresh(force=True)
for number in range(first, first + count):
    written = finished.put(number.to_bytes(16, "big"), [number, "x" * 500])
    if written is not None:
        written.result()
        print(number, flush=True)
if count < 10_000:
    close_checkpoint(finished)
"""

LEAVE = """
import sys
from beam_distilabel.checkpoint import CheckpointSettings, open_checkpoint
finished = open_checkpoint(sys.argv[1], CheckpointSettings(seconds=1e6))
for number in range(10):
    finished.put(number.to_bytes(16, "big"), number)
sys.exit(3)
"""


def start(script: str, *arguments: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def numbers(folder: Path, count: int) -> list[int]:
    """Which of the first `count` answers are there."""
    with checkpoint(str(folder), CheckpointSettings()) as finished:
        finished.refresh(force=True)
        there = []
        for number in range(count):
            found = finished.find(number.to_bytes(16, "big"))
            value = MISSING if found is None else found.read()
            if value is not MISSING:
                assert value == number or value == [number, "x" * 500]
                there.append(number)
    return there


def test_two_processes_write_and_read_one_folder(tmp_path: Path) -> None:
    processes = [start(PUT_MANY, tmp_path, first, 300, 20) for first in (0, 200)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert numbers(tmp_path, 600) == list(range(500))


@pytest.mark.parametrize("after", [1, 40])
def test_a_kill_leaves_whole_segments_and_loses_little(tmp_path: Path, after: int) -> None:
    rows = 10
    process = start(PUT_MANY, tmp_path, 0, 10**9, rows)
    assert process.stdout is not None
    for _ in range(after):
        waited = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    waited = int(([waited, *process.stdout.read().split()])[-1])
    process.stdout.close()
    for name in list_segments(str(tmp_path)):
        read_segment(str(tmp_path), name)
    there = numbers(tmp_path, waited + 2 * rows)
    # It waited for that one; what it put after it may be lost, `rows` at most.
    assert there[: waited + 1] == list(range(waited + 1))
    others = [path.name for path in tmp_path.iterdir() if path.name != "host"]
    assert all(name in list_segments(str(tmp_path)) or is_part(name) for name in others)


def test_a_process_that_ends_writes_what_it_has(tmp_path: Path) -> None:
    process = start(LEAVE, tmp_path)
    process.communicate(timeout=60)
    assert process.returncode == 3
    assert numbers(tmp_path, 12) == list(range(10))


def test_a_host_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    read_only = tmp_path / "file"
    read_only.touch()
    environment = {**os.environ, "TMPDIR": str(read_only)}
    command = [sys.executable, "-c", PUT_MANY, str(tmp_path / "run"), "0", "50", "10"]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    assert numbers(tmp_path / "run", 60) == list(range(50))
