"""What Steps and pipelines require, and what of it isn't there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts, Step, StepInput, step
from beam_distilabel.utils.requirements import requirements
from tests.pipeline.fakes import Add


@requirements(["numpy>=1", "no-such-package"])
class Needs(Add):
    """Needs something that isn't there."""


@requirements("no-such-package==2")
class NeedsMore(Needs):
    """Needs more."""


@requirements(["other-package"])
@step(inputs=["x"])
def Same(inputs: StepInput) -> Any:
    yield inputs


def test_what_steps_need(tmp_path: Path) -> None:
    with Pipeline(name="needs", requirements=["pyarrow"]) as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": 1}])
        _ = load >> NeedsMore(name="more") >> Same(name="same")  # type: ignore[operator]
    needed = ["no-such-package", "no-such-package==2", "numpy>=1", "other-package", "pyarrow"]
    assert pipeline.requirements == needed
    assert pipeline.dump()["requirements"] == needed
    absent = ["no-such-package", "no-such-package==2", "other-package"]
    assert pipeline.requirements_to_install() == absent
    with pytest.raises(ModuleNotFoundError, match="'no-such-package==2' 'other-package'"):
        pipeline.run(output_dir=tmp_path, logging_handlers=[])
    assert not list(tmp_path.iterdir())
    # Neither the class above nor all Steps have got them.
    assert Needs(name="needs").requirements == ["no-such-package", "numpy>=1"]
    assert Add(name="add").requirements == Step(name="step").requirements == []


@pytest.mark.parametrize(
    ("wanted", "is_met"),
    [
        ("distilabel", True),
        ("distilabel>=1.5.0", True),
        ("distilabel[vllm]>=1.4; python_version >= '3.8'", True),
        ("Distilabel>=1.6", False),
    ],
)
def test_distilabel_itself_is_stood_for(wanted: str, is_met: bool) -> None:
    absent = Pipeline(name="p", requirements=[wanted]).requirements_to_install()
    assert absent == ([] if is_met else [wanted])


def test_what_is_no_requirement() -> None:
    with pytest.raises(DistilabelUserError, match="Broken: 'what is this' is no requirement"):

        @requirements(["what is this"])
        class Broken(Add):
            pass

    pipeline = Pipeline(name="p")
    with pytest.raises(DistilabelUserError, match="Pipeline 'p': 3 is no requirement"):
        pipeline.requirements = [3]  # type: ignore[list-item]
    pipeline.requirements = ["numpy"]
    assert pipeline.requirements == ["numpy"]
