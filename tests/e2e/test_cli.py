"""The command line, on pipelines with an LLM that answers at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from beam_distilabel.cli import app, main, parse_parameters, runner_options
from beam_distilabel.cli.arguments import all_parameters
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.interrupt import resume_command
from beam_distilabel.runners import RUNNERS
from beam_distilabel.runners.describe import summary
from beam_distilabel.steps import KeepColumns, LoadDataFromFileSystem
from tests.hub import HubServer
from tests.publishing import titles

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
    groups = ["--load-groups", "sequential_step_execution", "--json"]
    result = CliRunner().invoke(app, ["pipeline", "info", str(config), *groups])
    found = json.loads(result.stdout)
    assert [step["to"] for step in found["steps"]] == [["keep"], []]
    assert found["load_stages"] == [["load"], ["keep"]]
    parameters = {one["name"]: one for one in found["steps"][0]["runtime_parameters"]}
    assert parameters["num_examples"]["value"] == "None"
    assert parameters["data_files"]["required"] and parameters["data_files"]["type"]


def test_info_of_a_script_has_the_models_parameters(tmp_path: Path) -> None:
    script = tmp_path / "my_script.py"
    script.write_text(SCRIPT)
    result = CliRunner().invoke(app, ["pipeline", "info", "--script", str(script)])
    assert "llm.generation_kwargs = {}" in result.stdout and "suffix" in result.stdout


def test_draw(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, start in (("a.svg", "<svg"), ("a.mmd", "flowchart TD")):
        picture = tmp_path / name
        command = ["pipeline", "draw", str(config), "-o", str(picture), "--top-to-bottom"]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        assert result.stdout.strip() == str(picture)
        text = picture.read_text()
        assert text.startswith(start) and "load" in text and "keep" in text
    with pytest.raises(SystemExit) as ended:
        main(["pipeline", "draw", str(config), "-o", str(tmp_path / "a.gif")])
    assert ended.value.code == 1
    assert "gif" in capsys.readouterr().err


def test_validate(config: Path, tmp_path: Path) -> None:
    command = ["pipeline", "validate", str(config)]
    result = CliRunner().invoke(app, [*command, "--param", "load.num_examples=1"])
    assert result.exit_code == 0
    assert "'from-file' is valid: 2 Steps" in result.stdout
    assert not list(tmp_path.glob("cache/*"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--param", "load.num_exampels=1"], "Did you mean 'num_examples'?"),
        (["--param", "laod.num_examples=1"], "Did you mean 'load'?"),
        (["--dataset", "rows.jsonl"], "`dataset` can't be given too"),
        (["--load-groups", "[[load, kepe]]"], "kepe"),
    ],
)
def test_what_validate_finds(
    options: list[str], said: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["pipeline", "validate", str(config), *options])
    assert ended.value.code == 1
    assert said in capsys.readouterr().err


def test_a_dry_run_prints_its_rows_and_publishes_nothing(config: Path, tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("load: {num_examples: 1}\n")
    command = ["pipeline", "run", str(config), "--dry-run", "2", "--repo-id", "org/name"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0
    rows = "".join(line for line in result.stdout.splitlines() if not line.startswith("default"))
    assert rows == '{  "a": 1}{  "a": 3}'
    assert "published nowhere: --repo-id not used" in result.stderr
    one = CliRunner().invoke(app, [*command, "--params-file", str(params)], catch_exceptions=False)
    assert "1 rows" in one.stdout


def test_a_dry_run_of_a_dataset(config: Path, tmp_path: Path) -> None:
    with Pipeline(name="no-loader") as pipeline:
        KeepColumns(name="keep", columns=["a"])
    pipeline.save(tmp_path / "bare.json")
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "rows.jsonl").write_text('{"a": "ä", "b": 2}\n')
    command = ["pipeline", "run", str(tmp_path / "bare.json"), "--dry-run", "1"]
    result = CliRunner().invoke(app, [*command, "--dataset", str(rows)], catch_exceptions=False)
    assert '"a": "ä"' in result.stdout


@pytest.mark.usefixtures("hub_client")
def test_a_run_is_published_in_its_own_commit(
    config: Path, hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo_id = f"{hub.namespace}/published"
    options = ["--commit-message", "Judged", "--private", "--token", hub.token]
    run = ["--output-dir", str(tmp_path / "run"), "--repo-id", repo_id]
    result = CliRunner().invoke(
        app, ["pipeline", "run", str(config), *run, *options], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert titles(hub, repo_id) == ["Judged", "initial commit"]
    assert hub.token not in result.output
    everything = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert hub.token.encode() not in everything
    # What it has published can be run, by its name.
    again = ["pipeline", "info", repo_id, "--token", "env:HF_TOKEN"]
    assert "Pipeline from-file" in CliRunner().invoke(app, again, catch_exceptions=False).stdout
    reader = hub.add_user("reader", role="read")
    with pytest.raises(SystemExit) as ended:
        main(["pipeline", "run", str(config), *run, "--token", reader])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert reader not in said
    assert "token" in said and repo_id in said
    assert titles(hub, repo_id) == ["Judged", "initial commit"]


def test_options_of_a_run(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def note(self: Pipeline, **arguments: Any) -> dict[str, Any]:
        given.update(arguments)
        return {}

    monkeypatch.setattr(Pipeline, "run", note)
    options = {
        "--load-groups": "[[load], [keep]]",
        "--memory-budget": "1.5GiB",
        "--max-failure-ratio": "0.25",
        "--dataset": "rows",
    }
    words = [word for pair in options.items() for word in pair]
    command = ["pipeline", "run", str(config), *words, "--ignore-cache"]
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    assert given["load_groups"] == [["load"], ["keep"]]
    assert given["memory_budget"] == 1_610_612_736
    assert given["max_failure_ratio"] == 0.25
    assert given["dataset"] == "rows"
    assert given["use_cache"] is False and given["push_to_hub"] is None


def test_parameters_of_files_and_options(tmp_path: Path) -> None:
    one, two, wrong = tmp_path / "one.yaml", tmp_path / "two.json", tmp_path / "wrong.yaml"
    one.write_text("task: {llm: {generation_kwargs: {temperature: 0.1, top_p: 0.5}}, n: 1}")
    two.write_text('{"task": {"n": 2}, "load": {"x": 1}}')
    wrong.write_text("- 1")
    texts = ["task.llm.generation_kwargs.temperature=0.7"]
    assert all_parameters([str(one), str(two)], texts) == {
        "task": {"llm": {"generation_kwargs": {"temperature": 0.7, "top_p": 0.5}}, "n": 2},
        "load": {"x": 1},
    }
    with pytest.raises(DistilabelUserError, match="has no runtime parameters"):
        all_parameters([str(wrong)], [])
    with pytest.raises(DistilabelUserError, match="no file"):
        all_parameters([str(tmp_path / "none.yaml")], [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pipeline", "run"], "exactly one of --config FILE and --script FILE"),
        (["pipeline", "run", "a.yaml", "--config", "b.yaml"], "the pipeline file is given twice"),
        (["pipeline", "run", "a.yaml", "--script", "b.py"], "exactly one of"),
        (["pipeline", "run", "--script", "https://h.example/s.py"], "add --trust-remote-code"),
        (["pipeline", "info", "https://u:secret-pw@h.example/p.yaml"], "leave it out"),
        (["pipeline", "run", "a.yaml", "--memory-budget", "40 apples"], "such as 40GiB"),
        (["pipeline", "run", "a.yaml", "--load-groups", "{a: 1}"], "expected a list of lists"),
        (["pipeline", "run", "a.yaml", "--params-file", "p.yaml"], "no file 'p.yaml'"),
        (["pipeline", "run", "a.yaml", "--token", "env:NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"),
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


@pytest.mark.parametrize(
    "arguments",
    [
        ["pipeline", "run", "--no-such-option"],
        ["pipeline", "ruin"],
        ["finalize"],
        ["steps", "show"],
        ["pipeline", "run", "a.yaml", "--dry-run", "none"],
        ["pipeline", "run", "a.yaml", "--dry-run", "0"],
    ],
)
def test_commands_that_are_written_wrong_exit_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file", "rows.txt"), OSError("no")])
def test_errors_of_the_system_have_no_traceback(
    error: OSError,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Pipeline, "run", fail)
    command = ["pipeline", "run", str(config)]
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"Error: {error}\n"
    with pytest.raises(OSError):
        main(["--traceback", *command])


def test_requirements_that_are_missing_are_an_error_of_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Pipeline(name="needs", requirements=["no-such-package>=3"]) as pipeline:
        KeepColumns(name="keep", columns=["a"])
    pipeline.save(tmp_path / "pipeline.json")
    with pytest.raises(SystemExit) as ended:
        main(["pipeline", "validate", str(tmp_path / "pipeline.json")])
    assert ended.value.code == 1
    assert "pip install 'no-such-package>=3'" in capsys.readouterr().err


def test_ctrl_c_while_nothing_runs_exits_with_130(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Pipeline, "validate", interrupt)
    with pytest.raises(SystemExit) as ended:
        main(["pipeline", "validate", str(config)])
    assert ended.value.code == 130


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
    secret = "https://h.example/p.yaml?token=abc123def456"
    begun = ["pipeline", "run", "--token", "hf_x", "--private", secret, "--resume", "--repo-id=o/n"]
    more = ["--params-file", "p.yaml", "--param", "a.b=c", "--dry-run", "2"]
    monkeypatch.setattr(sys, "argv", ["beam-distilabel", *begun, *more])
    assert resume_command("runs/a") == (
        "beam-distilabel pipeline run --private 'https://h.example/p.yaml?token=***' --repo-id=o/n "
        "--params-file p.yaml --output-dir runs/a --param ..."
    )
