"""Beam's own YAML runner, started as a user starts it, beside the same pipeline in Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset

from beam_distilabel.beam_yaml import PROVIDERS
from beam_distilabel.models.llms import OpenAILLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from tests.openai_server import OpenAIServer
from tests.openai_server.faults import Fault

pytest_plugins = ["tests.openai_server.fixtures"]

WORDS = ["one", "two", "two", "bad", "three"]

FILE = """
pipeline:
  transforms:
    - type: LoadDataFromDicts
      name: load
      config:
        data:
        {%- for word in words.split(",") %}
          - {instruction: {{ word }}, n: {{ loop.index }}}
        {%- endfor %}
    - type: TextGeneration
      name: ask
      input: load
      config:
        llm: {type: OpenAILLM, model: tiny, base_url: "{{ url }}", api_key: "env:TEST_KEY"}
        output_mappings: {generation: answer}
        error_handling: {output: errors}
    - type: KeepColumns
      name: keep
      input: ask
      config: {columns: [instruction, answer]}
    - type: MapToFields
      name: sizes
      input: ask
      config:
        language: python
        append: true
        fields:
          size: {expression: len(answer), output_type: integer}
    - type: KeepColumns
      name: keep_sizes
      input: sizes
      config: {columns: [n, size]}
    - type: WriteDistiset
      name: write
      input: {answers: keep, sizes: keep_sizes}
      config: {path: "{{ out }}", ordered: true}
    - type: MapToFields
      name: told
      input: ask.errors
      config:
        language: python
        fields: {word: element.instruction, kind: kind, step: step, told: msg}
    - type: WriteDistiset
      name: write_errors
      input: told
      config: {path: "{{ errors }}", subset: failures}
providers:
  - include: "{{ providers }}"
options: {runner: apache_beam.runners.portability.fn_api_runner.FnApiRunner}
"""


def run_main(file: Path, variables: dict[str, str], **environment: str) -> str:
    """Run `python -m apache_beam.yaml.main`; what it said."""
    done = subprocess.run(
        [
            sys.executable,
            *("-m", "apache_beam.yaml.main"),
            f"--yaml_pipeline_file={file}",
            f"--jinja_variables={json.dumps(variables)}",
        ],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


def in_python(url: str, folder: Path) -> Any:
    llm = OpenAILLM(model="tiny", base_url=url, api_key="env:TEST_KEY")
    with Pipeline(name="same") as pipeline:
        data = [{"instruction": word, "n": n} for n, word in enumerate(WORDS, 1)]
        load = LoadDataFromDicts(name="load", data=data)
        ask = TextGeneration(
            name="ask", llm=llm, output_mappings={"generation": "answer"}, on_failure="drop"
        )
        keep = KeepColumns(name="answers", columns=["instruction", "answer"])
        _ = load >> ask >> keep
    return pipeline.run(output_dir=folder, logging_handlers=[])


def test_a_file_makes_the_distiset_that_python_makes(
    tmp_path: Path, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    openai_server.faults.append(Fault("content_filter", prompt="bad", times=None))
    monkeypatch.setenv("TEST_KEY", openai_server.key)
    file = tmp_path / "pipeline.yaml"
    file.write_text(FILE)
    variables = {
        "words": ",".join(WORDS),
        "url": openai_server.url,
        "out": str(tmp_path / "out"),
        "errors": str(tmp_path / "errors"),
        "providers": PROVIDERS,
    }
    said = run_main(file, variables)
    assert openai_server.key not in said
    made = load_dataset(str(tmp_path / "out"), "answers")["train"]
    sizes = load_dataset(str(tmp_path / "out"), "sizes")["train"].to_list()
    failures = load_dataset(str(tmp_path / "errors"), "failures")["train"].to_list()

    expected = in_python(openai_server.url, tmp_path / "run")["default"]["train"]
    assert made.to_list() == expected.to_list()
    assert made.features == expected.features
    assert made["answer"] == [f"answer to {word}" for word in WORDS if word != "bad"]
    assert [(row["n"], row["size"]) for row in sizes] == [
        (n, len(f"answer to {word}")) for n, word in enumerate(WORDS, 1) if word != "bad"
    ]
    assert [(row["word"], row["kind"], row["step"]) for row in failures] == [
        ("bad", "refused", "ask")
    ]
    assert failures[0]["told"]
