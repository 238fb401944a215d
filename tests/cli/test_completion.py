"""What the shell is told when Tab is pressed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from beam_distilabel.cli import app
from beam_distilabel.cli.completion import config_files
from beam_distilabel.runners import RUNNERS

HEAVY = ("datasets", "torch", "transformers", "vllm", "beam_distilabel.models.base")


def offered(words: str) -> list[str]:
    """What is offered in place of the last of `words`."""
    env = {
        "_BEAM_DISTILABEL_COMPLETE": "complete_bash",
        "COMP_WORDS": f"beam-distilabel {words}",
        "COMP_CWORD": str(len(words.split(" "))),
    }
    done = CliRunner().invoke(app, [], prog_name="beam-distilabel", env=env)
    return done.stdout.split()


def test_commands() -> None:
    assert {"pipeline", "steps", "models", "doctor"} <= set(offered(""))
    assert offered("pipeline r") == ["run"]
    assert {"info", "run", "validate"} <= set(offered("pipeline "))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("steps show Prom", ["PrometheusEval"]),
        ("models show vLLM", ["vLLM", "vLLMEmbeddings"]),
        ("runners dir", ["direct"]),
        ("pipeline run --runner f", [name for name in RUNNERS if name.startswith("f")]),
        ("finalize runs/a --runner pri", ["prism"]),
        ("pipeline run --runner-option paralle", ["parallelism="]),
        ("pipeline run --repo", ["--repo-id"]),
    ],
)
def test_names(words: str, expected: list[str]) -> None:
    assert offered(words) == expected


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "a.json", "a.txt", ".hidden.yaml", "b.yml"):
        Path(name).touch()
    Path("apart").mkdir()
    Path("apart/c.yaml").touch()
    assert offered("pipeline run a") == ["a.json", "a.yaml", "apart/"]
    assert offered("pipeline info --config apart/") == ["apart/c.yaml"]
    assert config_files() == ["a.json", "a.yaml", "apart/", "b.yml"]
    assert config_files("none/") == []


def in_bash(script: str, programs: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in bash, which finds what is in the folder `programs`."""
    return subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
    )


def test_bash_takes_the_script_and_asks_it(tmp_path: Path) -> None:
    """`--show-completion` prints what `--install-completion` installs."""
    program = tmp_path / "beam-distilabel"
    code = "from beam_distilabel.cli import main; main()"
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o755)
    asked = """
        COMP_WORDS=(beam-distilabel steps show Keep); COMP_CWORD=3
        $(complete -p beam-distilabel | sed 's/.*-F \\([^ ]*\\).*/\\1/') beam-distilabel Keep show
        echo "${COMPREPLY[@]}"
    """
    # The shell in which it is called is the one that the script is for.
    made = in_bash("beam-distilabel --show-completion; true", tmp_path)
    done = in_bash(f"{made.stdout}\n{asked}", tmp_path)
    assert done.stdout.split() == ["KeepColumns"], done.stderr


def test_help_and_completion_import_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from beam_distilabel.cli import app\n"
        "from beam_distilabel.cli.completion import model_names, runner_settings, step_names\n"
        "step_names(), model_names(), runner_settings()\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.stdout.strip() == "[]", done.stderr
