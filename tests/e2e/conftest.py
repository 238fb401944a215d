"""The demonstration judge, started once for all end-to-end tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from beam_distilabel.models.engine import engines

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "demo"


@pytest.fixture(scope="session")
def script() -> ModuleType:
    """`examples/prometheus.py` as a module."""
    path = ROOT / "examples" / "prometheus.py"
    spec = importlib.util.spec_from_file_location("prometheus_example", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def judge(script: ModuleType) -> Iterator[Any]:
    """The example's LLM with the demonstration judge; its engine stays open for the session."""
    pytest.importorskip("vllm")
    pipeline = script.build(script.parse(["--demo"]))
    llm = pipeline.graph.get("task").llm
    llm.load_model()
    yield llm
    # Stock RunInference never gives a model back, so counting down isn't enough.
    engines.close_all()
