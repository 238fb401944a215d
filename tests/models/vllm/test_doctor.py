"""`beam-distilabel doctor` with a real engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from beam_distilabel.cli import app
from beam_distilabel.models.vllm import vLLM


def test_three_rows_of_a_real_engine(
    tiny_llm: vLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # what is asked here is an engine
    file = tmp_path / "llm.json"
    file.write_text(json.dumps(tiny_llm.dump()))  # equal: it joins the session's engine
    options = ["--llm", str(file), "--output-dir", str(tmp_path), "--json"]
    done = CliRunner().invoke(app, ["doctor", *options])
    results = {result["name"]: result for result in json.loads(done.stdout)}
    assert results["vLLM"]["status"] == "ok", results["vLLM"]
    assert results["a job of 3 rows"]["status"] == "ok", results["a job of 3 rows"]
