"""Artifacts of Steps: whole, replaced as a whole, on any filesystem."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, strategies as st
from pydantic import SecretStr

import beam_distilabel.artifacts
from beam_distilabel.artifacts import STAGING_FOLDER, check_artifact
from beam_distilabel.context import RunContext
from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.step import GlobalStep, Step
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.typing import StepInput, StepOutput
from tests.beam_filesystems import ROOT


class Quiet(Step):
    """Does nothing by itself."""

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield inputs


@pytest.fixture(params=["", "memory://", "flat://", "tree://"])
def run_dir(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: Any) -> Iterator[str]:
    """A run directory: on this machine, on stores without folders, on one with folders."""
    monkeypatch.setenv(ROOT, str(tmp_path))
    yield f"{request.param}run" if request.param else str(tmp_path / "run")
    if request.param == "memory://":
        MemoryFileSystem.store.clear()
        MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def local(tmp_path: Path) -> str:
    return str(tmp_path / "run")


def step_of(run_dir: str | None, name: str = "judge") -> Quiet:
    step = Quiet(name=name)
    step._context = RunContext(run_dir=run_dir)
    return step


def writes(**files: str) -> Callable[[Path], object]:
    """A function that writes files; `a__b` is `a/b`."""

    def write(folder: Path) -> object:
        assert list(folder.iterdir()) == []
        for name, text in files.items():
            path = folder / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return {"ignored": True}

    return write


def saved(run_dir: str) -> dict[str, str]:
    """All files below the artifacts' folder."""
    filesystem, root = url_to_fs(f"{run_dir}/artifacts")
    return {
        path.removeprefix(f"{root}/"): filesystem.cat_file(path).decode()
        for path in filesystem.find(root)
    }


def staged(run_dir: str) -> list[str]:
    """Names of the files that saves have left beside."""
    filesystem, root = url_to_fs(f"{run_dir}/{STAGING_FOLDER}")
    return [path.rpartition("/")[2] for path in filesystem.find(root)]


def test_files_and_metadata_land_below_the_step(run_dir: str) -> None:
    step = step_of(run_dir)
    step.save_artifact("plot of 3", writes(a="1", sub__b="2"), {"unit": "é", "sizes": [1, 2.5]})
    step.save_artifact("empty", writes())
    step_of(run_dir, "other").save_artifact("plot of 3", writes(a="3"))
    assert saved(run_dir) == {
        "judge/empty/metadata.json": "{}",
        "judge/plot of 3/a": "1",
        "judge/plot of 3/metadata.json": json.dumps({"unit": "é", "sizes": [1, 2.5]}),
        "judge/plot of 3/sub/b": "2",
        "other/plot of 3/a": "3",
        "other/plot of 3/metadata.json": "{}",
    }


def test_a_second_save_replaces_the_first_whole(run_dir: str) -> None:
    step = step_of(run_dir)
    for index in range(3):
        step.save_artifact("model", writes(**{f"only_{index}": "x", "same": f"{index}"}))
    assert saved(run_dir) == {
        "judge/model/metadata.json": "{}",
        "judge/model/only_2": "x",
        "judge/model/same": "2",
    }
    if isinstance(url_to_fs(run_dir)[0], LocalFileSystem):
        assert os.listdir(run_dir) == ["artifacts"]
    else:  # the last save only
        assert len([name for name in staged(run_dir) if name.startswith("0")]) == 1
        assert len(staged(run_dir)) == 4


def test_a_function_that_fails_changes_nothing(run_dir: str) -> None:
    def fails(folder: Path) -> None:
        (folder / "half").write_text("1")
        raise ConnectionError("gone")

    step = step_of(run_dir)
    with pytest.raises(ConnectionError, match="gone"):
        step.save_artifact("model", fails)
    assert saved(run_dir) == {} and staged(run_dir) == []
    step.save_artifact("model", writes(a="1"))
    before = saved(run_dir), staged(run_dir)
    with pytest.raises(ConnectionError, match="gone"):
        step.save_artifact("model", fails)
    assert (saved(run_dir), staged(run_dir)) == before


@pytest.mark.parametrize("rounds", [1, 3])
def test_saves_at_once_leave_one_of_them(run_dir: str, rounds: int) -> None:
    together = threading.Barrier(6)

    def work(worker: int) -> None:
        for index in range(rounds):
            mark = f"{worker}.{index}"

            def write(folder: Path, mark: str = mark) -> None:
                (folder / "mark").write_text(mark)
                (folder / f"of-{mark}").write_text(mark)
                together.wait(30)  # all are written before any is published

            step_of(run_dir).save_artifact("model", write, {"mark": mark})

    def watched(worker: int) -> None:
        try:
            work(worker)
        except BaseException:
            together.abort()  # the others wait for this one
            raise

    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(watched, worker) for worker in range(6)]
    errors = [error for error in (one.exception() for one in done) if error is not None]
    assert [error for error in errors if not isinstance(error, threading.BrokenBarrierError)] == []
    found = saved(run_dir)
    mark = found["judge/model/mark"]
    assert found == {
        "judge/model/mark": mark,
        f"judge/model/of-{mark}": mark,
        "judge/model/metadata.json": json.dumps({"mark": mark}),
    }
    assert mark.endswith(f".{rounds - 1}")
    if isinstance(url_to_fs(run_dir)[0], LocalFileSystem):
        assert os.listdir(run_dir) == ["artifacts"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("run_dir", ["memory://", "flat://"], indirect=True)
def test_a_save_that_is_overtaken_publishes_the_later_one(
    run_dir: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    copy = beam_distilabel.artifacts._copy_staged
    overtaken: list[bool] = []

    def overtake() -> None:
        if not overtaken:
            overtaken.append(True)
            step_of(run_dir).save_artifact("model", writes(later="2", same="2"))

    def copying(*args: Any) -> None:
        if not overtaken and moment == "before":
            overtake()  # its staged files are gone then
        copy(*args)
        if not overtaken:
            overtake()

    monkeypatch.setattr(beam_distilabel.artifacts, "_copy_staged", copying)
    step_of(run_dir).save_artifact("model", writes(earlier="1", same="1"))
    assert overtaken and saved(run_dir) == {
        "judge/model/later": "2",
        "judge/model/metadata.json": "{}",
        "judge/model/same": "2",
    }


def test_a_worker_killed_while_it_saves_leaves_the_artifact_as_it_was(local: str) -> None:
    step_of(local).save_artifact("model", writes(a="1"))
    code = (
        "import os, signal, sys\n"
        "from tests.test_artifacts import step_of\n"
        "def write(folder):\n"
        "    (folder / 'half').write_text('2')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "step_of(sys.argv[1]).save_artifact('model', write)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, local], cwd=os.getcwd(), timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert saved(local) == {"judge/model/a": "1", "judge/model/metadata.json": "{}"}
    step_of(local).save_artifact("model", writes(b="3"))
    assert saved(local) == {"judge/model/b": "3", "judge/model/metadata.json": "{}"}


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/a", "a\\b", ".hidden", "a ", "a.", "a\n", "x" * 300, 3]
)
def test_a_name_that_is_no_folder_name_is_refused(local: str, name: Any) -> None:
    for run in (local, None):
        with pytest.raises(DistilabelUserError) as raised:
            step_of(run).save_artifact(name, writes(a="1"))
        assert repr(name) in str(raised.value) and "Step 'judge' (Quiet)" in str(raised.value)
    assert not Path(local).exists()


@given(st.text(max_size=12))
def test_accepted_names_are_one_plain_folder(name: str) -> None:
    try:
        check_artifact(name, None, "a Step")
    except DistilabelUserError:
        return
    assert Path("/run") / name == Path(f"/run/{name}") and Path(f"/run/{name}").parent.name == "run"
    assert name == os.path.basename(name) == name.strip() and name[0] != "." and name.isprintable()


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        (
            {"a": {"b": [1, SecretStr("very-secret")]}},
            r"metadata\['a'\]\['b'\]\[1\] is a SecretStr",
        ),
        ({"a": math.nan}, r"metadata\['a'\] is nan"),
        ({1: 2}, "a key of metadata is a int"),
        ({"a": {1, 2}}, r"metadata\['a'\] is a set"),
        (["a"], "has to be a dict, got list"),
    ],
)
def test_metadata_that_is_not_json_is_refused_before_anything_is_written(
    local: str, metadata: Any, told: str
) -> None:
    with pytest.raises(DistilabelUserError, match=told) as raised:
        step_of(local).save_artifact("model", lambda folder: pytest.fail("called"), metadata)
    assert "'model'" in str(raised.value) and "very-secret" not in str(raised.value)


_PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
_JSON = st.recursive(
    _PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)


@given(st.dictionaries(st.text(), _JSON))
def test_any_json_is_metadata(metadata: dict[str, Any]) -> None:
    assert json.loads(check_artifact("a", metadata, "a Step")) == metadata


def test_links_that_lead_out_are_refused(run_dir: str, tmp_path: Path) -> None:
    secret = tmp_path / "outside" / "secret.txt"
    secret.parent.mkdir()
    secret.write_text("very secret")
    targets = {"file": secret, "folder": secret.parent, "nothing": tmp_path / "none"}
    for kind, target in targets.items():

        def write(folder: Path, kind: str = kind, target: Path = target) -> None:
            (folder / "sub").mkdir()
            (folder / "sub" / kind).symlink_to(target)

        with pytest.raises(DistilabelUserError, match=f"'model': 'sub/{kind}' is a link"):
            step_of(run_dir).save_artifact("model", write)
    assert saved(run_dir) == {} and secret.read_text() == "very secret"


def test_a_link_within_is_a_copy(run_dir: str) -> None:
    def write(folder: Path) -> None:
        (folder / "a").write_text("1")
        (folder / "relative").symlink_to("a")
        (folder / "absolute").symlink_to(folder / "a")

    step_of(run_dir).save_artifact("model", write)
    found = saved(run_dir)
    assert found["judge/model/relative"] == found["judge/model/absolute"] == "1"
    if isinstance(url_to_fs(run_dir)[0], LocalFileSystem):
        assert not Path(run_dir, "artifacts/judge/model/absolute").is_symlink()


def test_what_is_no_file_is_refused(local: str) -> None:
    with pytest.raises(DistilabelUserError, match="'pipe' is neither file nor folder"):
        step_of(local).save_artifact("model", lambda folder: os.mkfifo(folder / "pipe"))


def test_metadata_of_the_functions_own(local: str) -> None:
    step = step_of(local)
    own = writes(**{"metadata.json": "mine"})
    step.save_artifact("model", own)
    assert saved(local) == {"judge/model/metadata.json": "mine"}
    with pytest.raises(DistilabelUserError, match=r"wrote metadata\.json"):
        step.save_artifact("model", own, {"a": 1})


def test_without_a_run_directory_nothing_is_saved(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "distilabel"):
        step_of(None).save_artifact("model", lambda folder: pytest.fail("called"))
    assert "the artifact 'model' was not saved" in caplog.text


# -- in a run --------------------------------------------------------------------------------------


class SavesAlways(Step):
    """Saves while it is loaded, at every batch, and when it is unloaded."""

    def load(self) -> None:
        super().load()
        self.save_artifact("loaded", writes(when="load"))

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        texts = {f"row_{row['n']}": str(row["n"]) for row in inputs}
        self.save_artifact("batch", writes(**texts), {"rows": len(inputs)})
        yield inputs

    def unload(self) -> None:
        self.save_artifact("unloaded", writes(when="unload"))
        super().unload()


class SavesOnce(GlobalStep):
    """Saves what it made of all rows."""

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        self.save_artifact("total", writes(sum=str(sum(row["n"] for row in inputs))))
        yield inputs


class SavesBadly(Step):
    """Chose a bad name."""

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        self.save_artifact("../escaped", writes(a="1"))
        yield inputs


def test_a_run_keeps_the_artifacts_of_its_steps(tmp_path: Path) -> None:
    with Pipeline(name="saving") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"n": index} for index in range(10)])
        load >> SavesAlways(name="always", input_batch_size=3) >> SavesOnce(name="once")
    distiset = pipeline.run(output_dir=tmp_path / "run")
    assert distiset.artifacts_path == tmp_path / "run" / "artifacts"
    found = {name: path.read_text() for name, path in distiset._artifacts().items()}
    batch = {name: text for name, text in found.items() if "/batch/row_" in name}
    metadata = found["artifacts/always/batch/metadata.json"]
    assert json.loads(metadata) == {"rows": len(batch)} and 1 <= len(batch) <= 3
    assert {name: text for name, text in found.items() if name not in batch} == {
        "artifacts/always/batch/metadata.json": metadata,
        "artifacts/always/loaded/metadata.json": "{}",
        "artifacts/always/loaded/when": "load",
        "artifacts/always/unloaded/metadata.json": "{}",
        "artifacts/always/unloaded/when": "unload",
        "artifacts/once/total/metadata.json": "{}",
        "artifacts/once/total/sum": "45",
    }
    assert not (tmp_path / "run" / STAGING_FOLDER).exists()


def test_a_bad_name_in_a_run_reaches_the_user(tmp_path: Path) -> None:
    with Pipeline(name="saving") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"n": 1}])
        load >> SavesBadly(name="bad", on_failure="raise")
    with pytest.raises(DistilabelError, match=r"'\.\./escaped' can't be an artifact's name"):
        pipeline.run(output_dir=tmp_path / "run")
    assert not (tmp_path / "run" / "artifacts").exists()
