"""What a host and its containers have for a process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from beam_distilabel.models import host_memory
from beam_distilabel.models.host_memory import available_memory, memory_text, resident_memory

VERSION_2 = ("memory.max", "memory.current", "inactive_file")
VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the groups; `own` has the paths of this process' own."""
    monkeypatch.setattr(host_memory, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(host_memory, "OWN_CGROUPS", tmp_path / "own")
    return tmp_path / "cgroup"


def limit(group: Path, names: tuple[str, str, str], most: str, used: int, cached: int) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / names[0]).write_text(f"{most}\n")
    (group / names[1]).write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon 300\n{names[2]} {cached}\n")


def test_this_host() -> None:
    available = available_memory()
    assert available is not None and 2**24 < available < 2**50


def test_this_process() -> None:
    before = resident_memory()
    assert before is not None and 2**22 < before < 2**40
    taken = bytearray(b"x" * 2**26)
    after = resident_memory()
    assert after is not None
    assert len(taken) == 2**26
    if sys.platform == "linux":
        assert after - before > 2**25


def test_a_container_of_version_2(cgroup: Path) -> None:
    limit(cgroup, VERSION_2, "1000", 400, 50)
    assert available_memory() == 650
    limit(cgroup, VERSION_2, "max", 400, 50)
    without = available_memory()
    assert without is not None and without > 2**24


def test_a_container_of_version_1(cgroup: Path) -> None:
    limit(cgroup / "memory", VERSION_1, "1000", 900, 20)
    assert available_memory() == 120
    limit(cgroup / "memory", VERSION_1, str(2**63 - 4096), 900, 20)  # no limit
    without = available_memory()
    assert without is not None and 2**24 < without < 2**50


@pytest.mark.parametrize(
    ("line", "folder", "names"),
    [("0::/a/b\n", "", VERSION_2), ("4:memory:/a/b\n1:cpu:/c\n", "memory", VERSION_1)],
)
def test_the_smallest_limit_of_the_groups_holds(
    cgroup: Path, line: str, folder: str, names: tuple[str, str, str]
) -> None:
    (cgroup.parent / "own").write_text(line)
    limit(cgroup / folder / "a" / "b", names, "10000", 0, 0)
    limit(cgroup / folder / "a", names, "3000", 500, 0)
    limit(cgroup / folder / "c", names, "10", 10, 0)  # another's
    assert available_memory() == 2500


def test_a_path_of_the_host_in_a_container(cgroup: Path) -> None:
    (cgroup.parent / "own").write_text("0::/docker/abc\n")
    limit(cgroup, VERSION_2, "1000", 100, 0)
    assert available_memory() == 900


@pytest.mark.parametrize("used", ["", "none", "-"])
def test_files_that_cannot_be_read_limit_nothing(cgroup: Path, used: str) -> None:
    limit(cgroup, VERSION_2, "1000", 0, 0)
    (cgroup / "memory.current").write_text(used)
    found = available_memory()
    assert found is not None and found > 2**24


def test_sizes_are_for_people() -> None:
    assert [memory_text(n) for n in (5, 2048, 5 * 2**20, 3 * 2**29)] == [
        "5 bytes",
        "2.00 KiB",
        "5.00 MiB",
        "1.50 GiB",
    ]
