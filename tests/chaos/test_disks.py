"""Disks that are full, filesystems that fail now and then, files that are damaged."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_distilabel.row import Row
from tests.chaos.counting_server import JUDGE, WRITER, CountingServer, asked_again
from tests.chaos.runs import IN_FLIGHT, UNFLUSHED, Run, asked_rows, result_of

FEW = 300


def test_a_filesystem_that_fails_every_tenth_write(
    server: CountingServer, undisturbed: list[Row], tmp_path: Path
) -> None:
    server.forget()
    run = Run(server.url, f"flaky://{tmp_path}/run", FEW, tmp_path / "outcome.json")
    assert "report" in run.wait()
    assert "Input/output error" in (tmp_path / "run" / "pipeline.log").read_text()
    assert result_of(tmp_path / "run") == undisturbed[:FEW]
    assert asked_rows(server) == {WRITER: FEW, JUDGE: FEW}
    assert not any(asked_again(server.asked()).values())


def damage(folder: Path, chance: random.Random) -> tuple[int, int]:
    """Damage three segments: change a byte of one, cut another, empty the third.

    Returns:
        How many rows these have, and how many of them can't be read any more for certain.
    """
    files = chance.sample(sorted(folder.glob("*.parquet")), 3)
    rows = [pq.read_metadata(file).num_rows for file in files]
    for file, kind in zip(files, ("changed", "cut", "empty"), strict=True):
        content = bytearray(file.read_bytes())
        if kind == "changed":
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        file.write_bytes({"changed": content, "cut": content[: len(content) // 2]}.get(kind, b""))
    return sum(rows), rows[1] + rows[2]


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.chaos) for n in (2, 3))])
def test_damaged_segments(
    server: CountingServer, undisturbed: list[Row], tmp_path: Path, seed: int
) -> None:
    """What they held is asked again, and nothing else."""
    chance = random.Random(seed)
    server.forget()
    run = Run(server.url, tmp_path / "run", FEW, tmp_path / "outcome.json")
    server.call_after(chance.randrange(FEW, 2 * FEW), run.kill)
    assert run.wait() == {}
    most: Counter[str] = Counter()
    least: Counter[str] = Counter()
    for task, model in (("write", WRITER), ("judge", JUDGE)):
        damaged, lost = damage(tmp_path / "run" / "checkpoint" / task, chance)
        most[model], least[model] = damaged + IN_FLIGHT + UNFLUSHED, lost
    assert "report" in Run(server.url, tmp_path / "run", FEW, tmp_path / "outcome.json").wait()
    assert result_of(tmp_path / "run") == undisturbed[:FEW]
    assert asked_rows(server) == {WRITER: FEW, JUDGE: FEW}
    again = asked_again(server.asked())
    print(f"asked again: {dict(again)}, damaged: {dict(least)} to {dict(most)}")
    assert all(least[model] <= again[model] <= most[model] for model in most)


@pytest.mark.chaos
def test_a_full_disk(server: CountingServer, undisturbed: list[Row], tmp_path: Path) -> None:
    """The run ends and says why; when there is room, it goes on."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], check=False).returncode:
        pytest.skip("a small disk can't be mounted here")
    server.forget()
    script = [sys.executable, "-m", "tests.chaos.full_disk", server.url, str(FEW), str(tmp_path)]
    subprocess.run([unshare, "-rm", *script], check=True, timeout=300)
    error = (tmp_path / "error.txt").read_text()
    print(error)
    assert "No space left on device" in error and "make room" in error
    assert json.loads((tmp_path / "rows.json").read_text()) == undisturbed[:FEW]
    assert asked_rows(server) == {WRITER: FEW, JUDGE: FEW}
    again = asked_again(server.asked())
    print(f"asked again: {dict(again)}")
    assert all(times <= IN_FLIGHT + UNFLUSHED for times in again.values())
