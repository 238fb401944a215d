"""The command line, on pipelines with an LLM that answers at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from beam_distilabel.cli import app, main, parse_parameters, runner_options
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.interrupt import resume_command
from beam_distilabel.runners import RUNNERS
from beam_distilabel.runners.describe import summary
from beam_distilabel.steps import KeepColumns, LoadDataFromFileSystem

SCRIPT = """
from beam_distilabel.llms import AsyncLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration


class Shout(AsyncLLM):
    @property
    def model_name(self):
        return "shout"

    async def agenerate(self, input, num_generations=1, suffix="!"):
        return {"generations": [input[-1]["content"].upper() + suffix] * num_generations}


with Pipeline(name="script") as pipeline:
    load = LoadDataFromDicts(data=[{"instruction": "hi"}, {"instruction": "ho"}])
    task = TextGeneration(name="task", llm=Shout())
    load >> task

if __name__ == "__main__":
    raise SystemExit("the command line must not run this")
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A pipeline file that reads a JSON-lines file."""
    data = tmp_path / "rows.jsonl"
    data.write_text('{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n')
    with Pipeline(name="from-file") as pipeline:
        load = LoadDataFromFileSystem(name="load", data_files=str(data))
        keep = KeepColumns(name="keep", columns=["a"])
        _ = load >> keep
    pipeline.save(tmp_path / "pipeline.yaml", "yaml")
    return tmp_path / "pipeline.yaml"


def test_run_of_a_config(config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ["pipeline", "run", "--config", str(config), "--output-dir", str(run)]
    done = subprocess.run(
        [sys.executable, "-m", "beam_distilabel", *command, "--param", "load.num_examples=1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "num_rows: 1" in done.stdout
    assert json.loads((run / "report.json").read_text())["subsets"] == {"default": {"rows": 1}}


def test_run_of_a_script(tmp_path: Path) -> None:
    script = tmp_path / "my_script.py"
    script.write_text(SCRIPT)
    run = tmp_path / "run"
    result = CliRunner().invoke(
        app,
        [
            *("pipeline", "run", "--script", str(script), "--output-dir", str(run)),
            *("--param", "task.llm.generation_kwargs.suffix='?'"),
        ],
        catch_exceptions=False,
    )
    assert result.exit_code == 0
    from beam_distilabel.distiset import create_distiset

    rows = create_distiset(run)["default"]["train"]
    assert rows["generation"] == ["HI?", "HO?"]


def test_finalize_and_retry_by_the_runs_own_file(config: Path, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    begin = ["pipeline", "run", "--config", str(config), "--output-dir", run, "--no-resume"]
    for command in (begin, ["finalize", run], ["retry", run]):
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        assert result.exit_code == 0
        assert "num_rows: 2" in result.stdout
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "done"


def test_info(config: Path) -> None:
    result = CliRunner().invoke(app, ["pipeline", "info", "--config", str(config)])
    assert result.exit_code == 0
    assert "load (LoadDataFromFileSystem) >> keep" in result.stdout
    assert "num_examples" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pipeline", "run"], "exactly one of --config FILE and --script FILE"),
        (["pipeline", "run", "--config", "nowhere.yaml"], "no file 'nowhere.yaml'"),
        (["pipeline", "run", "--config", "pipeline.txt"], "no .yaml, .yml or .json"),
        (["pipeline", "run", "--script", "nowhere.py"], "no script 'nowhere.py'"),
        (["finalize", "nowhere"], "no file 'nowhere/pipeline.yaml'"),
        (["retry", "nowhere", "--config", "a.yaml", "--script", "b.py"], "exactly one of"),
    ],
)
def test_mistakes_exit_with_their_reason(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    assert said in " ".join(capsys.readouterr().err.split())


def test_unknown_parameters_are_errors(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["pipeline", "run", "--config", str(config), "--param", "load.num_exampels=1"])
    assert ended.value.code == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "load" in said
    assert "Did you mean 'num_examples'?" in said


def test_a_script_without_a_pipeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "empty.py"
    script.write_text("pipeline = 3\n")
    with pytest.raises(SystemExit):
        main(["pipeline", "info", "--script", str(script)])
    assert "a int in its variable 'pipeline'" in " ".join(capsys.readouterr().err.split())


def test_parameters_are_read_as_yaml() -> None:
    assert parse_parameters(["a.x=1", "a.y.z=[1, b]", "b.t=true"]) == {
        "a": {"x": 1, "y": {"z": [1, "b"]}},
        "b": {"t": True},
    }
    for wrong in ("a=1", "a.x", ".x=1", "a..x=1", "a.x=[1"):
        with pytest.raises(DistilabelUserError, match="--param"):
            parse_parameters([wrong])
    with pytest.raises(DistilabelUserError, match="already has a value"):
        parse_parameters(["a.x=1", "a.x.y=2"])


def test_the_saved_file_is_plain_yaml(config: Path) -> None:
    data = yaml.safe_load(config.read_text())
    assert [entry["name"] for entry in data["pipeline"]["steps"]] == ["load", "keep"]
    assert data["pipeline"]["connections"][0] == {"from": "load", "to": ["keep"]}


def test_runner_options_and_flags(config: Path, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    options = ["--runner", "direct", "--runner-option", "parallelism=2"]
    begin = ["pipeline", "run", "--config", str(config), "--output-dir", run, *options]
    for command in (begin, ["finalize", run, *options], ["retry", run, *options]):
        result = CliRunner().invoke(
            app, [*command, "--", "--job_name=mine"], catch_exceptions=False
        )
        assert result.exit_code == 0
        assert "num_rows: 2" in result.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--runner-option", "paralelism=2"], "Did you mean 'parallelism'?"),
        (["--runner-option", "parallelism=many"], "'parallelism' of the runner 'direct' is 'many'"),
        (["--runner-option", "parallelism"], "expected <setting>=<value>"),
        (["--runner-option", "a.=1"], "expected <setting>=<value>"),
        (["--runner-option", "parallelism=["], "the value is no YAML"),
        (["--runner-option", "a=1", "--runner-option", "a=2"], "'a' already has a value"),
        (["--runner-option", "a=1", "--runner-option", "a.b=2"], "'a' already has a value"),
        (["--", "--job_nam=x"], "Did you mean 'job_name'?"),
        (["--", "mine"], "the first is no flag of Beam's"),
        (["--runner", "dirct"], "Did you mean 'direct'?"),
    ],
)
def test_runner_options_that_cannot_be(
    options: list[str], said: str, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["pipeline", "run", "--config", str(config), *options])
    assert ended.value.code == 1
    assert said in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("cache/*"))  # before anything ran


def test_entries_of_a_setting() -> None:
    assert runner_options([]) is None
    assert runner_options(["a.b.c=1", "a.d=[x]"], ["--x"]) == {
        "a": {"b.c": 1, "d": ["x"]},
        "flags": ["--x"],
    }


def test_the_runners_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    result = CliRunner().invoke(app, ["runners"], catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for name, kind in RUNNERS.items():
        assert f"{name}: {summary(kind)}" in result.stdout
        assert all(setting in result.stdout for setting in kind.model_fields)
    assert "tuple[str, ...]" in result.stdout
    one = CliRunner().invoke(app, ["runners", "direct"], catch_exceptions=False)
    assert "parallelism" in one.stdout
    with pytest.raises(SystemExit):
        main(["runners", "dirct"])
    assert "Did you mean 'direct'?" in " ".join(capsys.readouterr().err.split())


def test_the_command_that_goes_on_names_the_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = ["pipeline", "run", "--script", "s.py", "--runner", "flink"]
    options = ["--runner-option", "parallelism=4", "--", "--runner=Other", "--job_name=mine"]
    monkeypatch.setattr(sys, "argv", ["beam-distilabel", *begun, *options])
    assert resume_command("runs/a") == (
        "beam-distilabel pipeline run --script s.py --runner flink --output-dir runs/a "
        "--runner-option ... -- ..."
    )
