"""`beam-distilabel doctor`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from beam_distilabel import doctor
from beam_distilabel.cli import app, main
from beam_distilabel.doctor import Check, Examination, Finding, all_checks
from beam_distilabel.models.vllm import vLLM
from tests.doctor.programs import only_path

NAMES = [
    *("runner", "Python", "packages", "memory", "shared memory", "run directory"),
    *("temporary folder", "ports", "GPUs", "visible GPUs", "GPU memory", "CUDA", "vLLM", "Java"),
    *("Flink's jars", "Prism", "clock", "Hub", "Hub rights", "a job of 3 rows"),
]


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[Examination]:
    """What the command examined; two checks are made in place of all, or three."""
    given: list[Examination] = []

    def checks(examination: Examination) -> Iterator[Check]:
        given.append(examination)
        yield Check("one", lambda: Finding("ok", "it is [there]"))
        yield Check("two", lambda: Finding("warning", "slow", "use a faster one"))
        if examination.runner == "prism":
            yield Check("three", lambda: Finding("failed", "broken", "mend it"))

    monkeypatch.setattr(doctor, "all_checks", checks)
    return given


def test_the_table_and_the_exit_code(examined: list[Examination]) -> None:
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0
    assert "it is [there]" in done.stdout and "use a faster one" in done.stdout
    done = CliRunner().invoke(app, ["doctor", "--runner", "prism", "--no-job"])
    assert done.exit_code == 1
    assert "mend it" in done.stdout
    assert [examination.job for examination in examined] == [True, False]


def test_json(examined: list[Examination]) -> None:
    options = ["--runner", "direct", "--runner-option", "parallelism=2", "--model", "m"]
    done = CliRunner().invoke(app, ["doctor", *options, "--json", "--", "--job_name=j"])
    results = json.loads(done.stdout)
    assert [(result["name"], result["status"]) for result in results] == [
        ("one", "ok"),
        ("two", "warning"),
    ]
    [examination] = examined
    assert examination.options == {"parallelism": 2, "flags": ["--job_name=j"]}
    assert isinstance(examination.llm, vLLM) and examination.llm.model == "m"


def test_an_llm_of_a_file(examined: list[Examination], tmp_path: Path) -> None:
    file = tmp_path / "llm.json"
    file.write_text(json.dumps(vLLM(model="m", extra_kwargs={"max_num_seqs": 8}).dump()))
    assert CliRunner().invoke(app, ["doctor", "--llm", str(file)]).exit_code == 0
    [examination] = examined
    assert isinstance(examination.llm, vLLM)
    assert examination.llm.extra_kwargs == {"max_num_seqs": 8}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", "describes no model"),
        ('{"type_info": {"module": "m", "name": "NoLLM"}}', "no class 'NoLLM'"),
        (
            '{"type_info": {"module": "distilabel.embeddings", "name": "vLLMEmbeddings"}, '
            '"model": "m"}',
            "is no LLM",
        ),
    ],
)
def test_files_without_an_llm(
    content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "llm.json"
    file.write_text(content)
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--llm", str(file)])
    assert ended.value.code == 1
    assert said in " ".join(capsys.readouterr().err.split())
    with pytest.raises(SystemExit):
        main(["doctor", "--llm", str(file), "--model", "m"])
    assert "not both" in capsys.readouterr().err


def statuses(tmp_path: Path, names: list[str], **given: Any) -> dict[str, str]:
    checks = [
        c for c in all_checks(Examination(output_dir=str(tmp_path), **given)) if c.name in names
    ]
    return {result.name: result.status for result in doctor.run_checks(checks)}


def test_what_is_looked_at(tmp_path: Path) -> None:
    assert [check.name for check in all_checks(Examination())] == NAMES
    assert statuses(tmp_path, ["runner", "Python", "a job of 3 rows"]) == {
        "runner": "ok",
        "Python": "ok",
        "a job of 3 rows": "ok",
    }


def test_a_runner_without_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_path(tmp_path / "bin", monkeypatch)
    monkeypatch.delenv("BEAM_DISTILABEL_PRISM", raising=False)
    looked = ["runner", "Java", "Prism", "a job of 3 rows"]
    assert statuses(tmp_path, looked, runner="flink") == {
        "runner": "failed",
        "Java": "failed",
        "Prism": "skipped",
        "a job of 3 rows": "failed",
    }
    assert statuses(tmp_path, looked[:3], runner="prism") == {
        "runner": "failed",
        "Java": "skipped",
        "Prism": "failed",
    }


def test_a_runner_that_is_unknown(tmp_path: Path) -> None:
    found = statuses(tmp_path, NAMES[:2] + NAMES[-1:], runner="flnk")
    assert found["runner"] == "failed"
    assert "a job of 3 rows" not in found
