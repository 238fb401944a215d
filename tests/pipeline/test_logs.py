"""What a run says, and where: the console, handlers, `pipeline.log`."""

from __future__ import annotations

import io
import logging
import os
import threading
from pathlib import Path

import pytest

from beam_distilabel.errors import DistilabelUserError, RunFailedError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.logs import ENGINE_LOG, log_level, logging_to
from beam_distilabel.step import Step
from beam_distilabel.typing import StepInput, StepOutput
from tests.pipeline.fakes import Numbers


class Chatters(Step):
    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        logging.getLogger("apache_beam.runners").warning("beam noise")
        logging.getLogger("httpx").warning("http noise")
        logging.getLogger("beam_distilabel.steps").info("our message")
        logging.getLogger("beam_distilabel.steps").debug("our detail")
        yield inputs


def chatty() -> Pipeline:
    with Pipeline(name="chatty") as pipeline:
        Numbers(name="numbers", count=1) >> Chatters(name="chatters")
    return pipeline


def test_chatter_goes_to_the_log_only(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    chatty().run(output_dir=tmp_path / "run")
    console = "".join(capfd.readouterr())
    log = (tmp_path / "run" / "pipeline.log").read_text()
    assert "our message" in console and "noise" not in console
    assert str(tmp_path / "run") in console
    for text in ("our message", "beam noise", "http noise"):
        assert text in log
    assert "our detail" not in log


def test_the_users_handlers_take_the_place_of_the_console(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    chatty().run(output_dir=tmp_path / "run", logging_handlers=[handler])
    assert "our message" in stream.getvalue() and "noise" not in stream.getvalue()
    assert "our message" not in "".join(capfd.readouterr())
    assert handler not in logging.getLogger("beam_distilabel").handlers


def test_the_level(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILABEL_LOG_LEVEL", "error")
    chatty().run(output_dir=tmp_path / "quiet")
    assert "".join(capfd.readouterr()) == ""
    monkeypatch.setenv("DISTILABEL_LOG_LEVEL", "DEBUG")
    chatty().run(output_dir=tmp_path / "loud")
    assert "our detail" in "".join(capfd.readouterr())
    monkeypatch.setenv("DISTILABEL_LOG_LEVEL", "loudly")
    with pytest.raises(DistilabelUserError, match="'LOUDLY' is no log level; use DEBUG"):
        log_level()
    with pytest.raises((DistilabelUserError, RunFailedError), match="is no log level"):
        chatty().run(output_dir=tmp_path / "wrong")


def test_loggers_and_environment_are_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, beam = logging.getLogger("beam_distilabel"), logging.getLogger("apache_beam")
    monkeypatch.setattr(beam, "propagate", False)
    monkeypatch.setattr(beam, "level", logging.ERROR)
    monkeypatch.setenv(ENGINE_LOG, "mine")
    before = [(log.propagate, log.level, list(log.handlers)) for log in (ours, beam)]
    with pytest.raises(KeyError), logging_to(str(tmp_path / "log"), None):
        assert os.environ[ENGINE_LOG] == str(tmp_path / "log")
        raise KeyError
    assert [(log.propagate, log.level, list(log.handlers)) for log in (ours, beam)] == before
    assert os.environ[ENGINE_LOG] == "mine"


def test_runs_that_overlap_leave_what_the_first_one_found(tmp_path: Path) -> None:
    ours = logging.getLogger("beam_distilabel")
    before = ours.propagate, ours.level, list(ours.handlers), os.environ.get(ENGINE_LOG)
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with logging_to(str(tmp_path / "first"), []):
            inside.set()
            assert leave.wait(30)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(30)
    with logging_to(str(tmp_path / "second"), []):
        leave.set()
        thread.join()  # the first run ends before the second
        assert os.environ[ENGINE_LOG] == str(tmp_path / "second")
        assert not ours.propagate
        ours.info("still here")
    assert (ours.propagate, ours.level, list(ours.handlers), os.environ.get(ENGINE_LOG)) == before
    assert "still here" in (tmp_path / "second").read_text()
