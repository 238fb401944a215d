"""What is said of settings: on the command line, in errors, in the docs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from pydantic import Field, PositiveInt, SecretStr, ValidationError, model_validator
from typing_extensions import Self

from beam_distilabel.runners import RUNNERS, RunnerSettings
from beam_distilabel.runners.describe import explained, markdown_table, settings_of, summary
from tools.runner_tables import PAGE, with_tables


class Sample(RunnerSettings):
    """A runner for this test.

    Attributes:
        workers: how many there are, which is said
            in two lines.
        mode: how.
        key: a secret.
    """

    workers: PositiveInt
    mode: Literal["fast", "slow"] | None = None
    key: SecretStr | None = None
    share: Annotated[float, Field(gt=0, le=1, description="of each: 0 | 1")] = 0.5
    names: dict[str, tuple[str, ...]] = {}

    def runner(self) -> FnApiRunner:
        return FnApiRunner()

    def preset(self) -> dict[str, Any]:
        return {}

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.mode == "slow" and self.workers > 1:
            raise ValueError("mode='slow' has one worker")
        return self


def test_fields_in_words() -> None:
    assert [tuple(setting) for setting in settings_of(Sample)] == [
        ("workers", "int above 0", "required", "how many there are, which is said in two lines."),
        ("mode", "'fast' or 'slow' or None", "None", "how."),
        ("key", "SecretStr or None", "None", "a secret."),
        ("share", "float above 0 at most 1", "0.5", "of each: 0 | 1"),
        ("names", "dict[str, tuple[str, ...]]", "{}", ""),
        ("flags", "tuple[str, ...]", "()", settings_of(Sample)[-1].description),
    ]
    assert settings_of(Sample)[-1].description.startswith("Beam's own options")
    assert summary(Sample) == "A runner for this test."
    assert r"| of each: 0 \| 1 |" in markdown_table(Sample)


@pytest.mark.parametrize("name", list(RUNNERS))
def test_every_setting_is_described(name: str) -> None:
    assert summary(RUNNERS[name])
    for setting in settings_of(RUNNERS[name]):
        assert setting.description, f"{name}: {setting.name}"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "the runner 'sample' needs its setting 'workers': int above 0"),
        ({"workers": 2, "mode": "slow"}, r"the runner 'sample': mode='slow' has one worker\.$"),
        ({"workers": 1, "mode": "quick"}, "'mode' .* is 'quick': .*'fast' or 'slow' or None"),
        ({"workers": 1, "worker": 2}, "no setting 'worker'. Did you mean 'workers'"),
        ({"workers": 1, "names": {"a": 3}}, "'names' .* is 3: "),
    ],
)
def test_why_settings_cannot_be(fields: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Sample(**fields)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=text):
        raise ValueError(explained("sample", Sample, raised.value))


def test_a_secret_is_not_told() -> None:
    with pytest.raises(ValidationError) as raised:
        Sample(workers=1, key=["hunter22"])  # type: ignore[arg-type]
    told = explained("sample", Sample, raised.value)
    assert "'key'" in told and "hunter22" not in told


def test_the_page_has_all_settings() -> None:
    """`python -m tools.runner_tables` writes them."""
    page = Path(PAGE).read_text(encoding="utf-8")
    assert page == with_tables(page)
    for name in RUNNERS:
        assert f"### {name}\n" in page
