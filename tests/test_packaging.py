"""The wheel and the sdist: complete, and of use without a checkout and without an engine.

The sdist is built from a copy of this checkout, the wheel from the sdist, and the wheel is
installed with its core dependencies only, in the versions of this environment.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "beam_distilabel": "beam_distilabel",
    "transforms": "beam_distilabel/transforms",
    "runners": "beam_distilabel/runners",
}
"""Folder of the checkout to its place in the wheel."""
PROJECT_FILES = ["CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "README.md"]
PROJECT_FILES += ["pyproject.toml", "setup.py"]
ENGINES = ["openai", "torch", "transformers", "vllm"]

IN_THE_CLEAN_ENVIRONMENT = """
import importlib, importlib.util, json, pkgutil
import beam_distilabel
import apache_beam as beam
from beam_distilabel.steps import KeepColumns

modules = [
    module.name
    for module in pkgutil.walk_packages(beam_distilabel.__path__, "beam_distilabel.")
    # vLLM imports the latter in its own process; nothing here does without it.
    if not module.name.endswith(("__main__", ".seeded_sampling"))
]
for module in modules:
    importlib.import_module(module)
rows = [{"a": 1, "b": 2}, {"a": 3, "b": 4}] | KeepColumns(columns=["a"])
print(json.dumps({
    "file": beam_distilabel.__file__,
    "modules": modules,
    "rows": sorted(row["a"] for row in rows),
    "columns": sorted({name for row in rows for name in row if not name.startswith("_")}),
    "found": [name for name in %r if importlib.util.find_spec(name)],
}))
""" % [*ENGINES, "transforms", "runners"]


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that has to succeed, away from this checkout's import path."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def files_of(folder: str) -> list[str]:
    """What `folder` of the checkout holds, links and caches left out."""
    found = []
    for path, folders, names in os.walk(ROOT / folder):  # doesn't follow the symlinks
        folders[:] = [name for name in folders if not name.startswith((".", "__pycache__"))]
        found += [
            (Path(path) / name).relative_to(ROOT / folder).as_posix()
            for name in names
            if not name.endswith(".pyc")
        ]
    return sorted(found)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist and the wheel."""
    source = tmp_path_factory.mktemp("source")
    for folder in FOLDERS:
        shutil.copytree(
            ROOT / folder, source / folder, symlinks=True, ignore=shutil.ignore_patterns("*.pyc")
        )
    for name in PROJECT_FILES:
        shutil.copy(ROOT / name, source)
    output = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", output, source, cwd=output)
    (sdist,), (wheel,) = output.glob("*.tar.gz"), output.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def clean_python(
    built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The interpreter of an environment with the wheel alone, and a folder to use it in."""
    folder = tmp_path_factory.mktemp("clean")
    uv = Path(sys.executable).with_name("uv")
    python = folder / "venv" / "bin" / "python"
    frozen = run(uv, "pip", "freeze", "--exclude-editable", "--python", sys.executable, cwd=folder)
    (folder / "same-versions.txt").write_text(frozen)
    run(uv, "venv", "--python", sys.executable, folder / "venv", cwd=folder)
    install: list[str | Path] = [uv, "pip", "install", "-c", folder / "same-versions.txt"]
    run(*install, "--python", python, built[1], cwd=folder)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    return python, elsewhere


def test_wheel_holds_every_file_of_the_three_folders_in_one_package(
    built: tuple[Path, Path],
) -> None:
    expected = [f"{place}/{name}" for folder, place in FOLDERS.items() for name in files_of(folder)]
    with zipfile.ZipFile(built[1]) as wheel:
        names = [name for name in wheel.namelist() if ".dist-info/" not in name]
        assert {*names} == {*expected}
        for folder, place in FOLDERS.items():
            for name in files_of(folder):
                assert wheel.read(f"{place}/{name}") == (ROOT / folder / name).read_bytes(), name


def test_sdist_holds_what_the_wheel_is_built_of(built: tuple[Path, Path]) -> None:
    expected = [f"{folder}/{name}" for folder in FOLDERS for name in files_of(folder)]
    with tarfile.open(built[0]) as sdist:
        links = [member.name for member in sdist if not member.isfile() and not member.isdir()]
        names = {member.name.partition("/")[2] for member in sdist.getmembers()}
    assert links == []
    assert {*expected, *PROJECT_FILES} <= names
    folders = {name.split("/")[0] for name in names if "/" in name}
    assert folders == {*FOLDERS, "beam_distilabel.egg-info"}


def test_wheel_works_in_a_clean_environment(clean_python: tuple[Path, Path]) -> None:
    python, elsewhere = clean_python
    (elsewhere / "use_it.py").write_text(IN_THE_CLEAN_ENVIRONMENT)
    seen = json.loads(run(python, "use_it.py", cwd=elsewhere).splitlines()[-1])
    assert Path(seen["file"]).is_relative_to(python.parents[1])
    assert "beam_distilabel.transforms.columns.keep_columns" in seen["modules"]
    assert "beam_distilabel.runners" in seen["modules"]
    assert (seen["rows"], seen["columns"]) == ([1, 3], ["a"])
    assert seen["found"] == [], "not a core dependency, or not inside of beam_distilabel"


def test_command_of_the_wheel_runs(clean_python: tuple[Path, Path]) -> None:
    python, elsewhere = clean_python
    command = python.with_name("beam-distilabel")
    assert "pipeline" in run(command, "--help", cwd=elsewhere)
    assert "pipeline" in run(python, "-m", "beam_distilabel", "--help", cwd=elsewhere)
