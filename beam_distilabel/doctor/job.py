"""Three rows through a pipeline, on the runner and with the LLM that are meant."""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

from beam_distilabel.doctor.check import Finding
from beam_distilabel.errors import DistilabelError, RunInterrupted
from beam_distilabel.layout import is_local
from beam_distilabel.models.base import LLM, AsyncLLM
from beam_distilabel.pipeline import Pipeline, RunHandle
from beam_distilabel.reasons import most_frequent
from beam_distilabel.runners import RunnerSettings
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration

ROWS = [{"instruction": text} for text in ("Say one.", "Say two.", "Say three.")]


class EchoLLM(AsyncLLM):
    """Answers at once, with what it was asked: for a job that tries everything but a model.

    Example:
        >>> EchoLLM().generate_outputs([[{"role": "user", "content": "Hi"}]])[0]["generations"]
        ['Hi']
    """

    @property
    def model_name(self) -> str:
        return "echo"

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1
    ) -> Any:
        return {"generations": [input[-1]["content"]] * num_generations}


def look_at_job(
    runner: str | RunnerSettings | None,
    options: Any,
    llm: LLM | None,
    folder: str,
    seconds: float,
) -> Finding:
    """Run three rows.

    Args:
        runner: see `Pipeline.run`.
        options: see `Pipeline.run`.
        llm: the model; None for one that answers at once.
        folder: where the run directory is made, and removed if all went well.
        seconds: in which the run has to end.
    """
    with Pipeline(name="doctor") as pipeline:
        load = LoadDataFromDicts(name="load", data=ROWS)
        _ = load >> TextGeneration(name="answer", llm=llm or EchoLLM())
    run_dir = f"{folder.rstrip('/')}/doctor-{uuid.uuid4().hex[:8]}"
    began = time.monotonic()
    told = logging.root.manager.disable
    logging.disable(logging.INFO)  # the finding says how the run went
    try:
        handle = pipeline.submit(
            runner=runner, options=options, output_dir=run_dir, logging_handlers=[]
        )
        if handle.wait(seconds) == "running":
            return _late(handle, seconds)
        distiset = handle.distiset()
    except (DistilabelError, RunInterrupted) as error:
        return Finding("failed", str(error), "The text says what to do; checks above may say why.")
    finally:
        logging.disable(told)
    took = time.monotonic() - began
    rows = distiset["default"]["train"].to_list()
    lost = [row for row in rows if row["generation"] is None]
    if lost or len(rows) != len(ROWS):
        return Finding(
            "failed",
            f"{len(rows) - len(lost)} of {len(ROWS)} rows came through: "
            f"{_reasons(handle) or 'no reason was kept'}",
            f"The failures are in {run_dir}/failures; the log is {run_dir}/pipeline.log.",
        )
    _remove(run_dir)
    return Finding("ok", f"{len(rows)} rows in {took:.1f} s; first answer: {_short(rows[0])}")


def _late(handle: RunHandle, seconds: float) -> Finding:
    said = "; ".join(handle.progress_lines()) or "no Step has begun"
    state = handle.job_state
    handle.cancel()
    return Finding(
        "failed",
        f"the job didn't end within {seconds:g} s ({said}{f'; it is {state}' if state else ''})",
        f"A model that is downloaded or loaded takes longer: --seconds. A worker that can't start "
        f"says why in its own log. The run's log: {handle.run_dir}/pipeline.log.",
    )


def _reasons(handle: RunHandle) -> str:
    reasons = [most_frequent(counts.get("reasons", {})) for counts in handle.progress().values()]
    return "; ".join(reason for reason in reasons if reason)


def _short(row: dict[str, Any]) -> str:
    text = repr(row["generation"])
    return text if len(text) <= 60 else f"{text[:57]}..."


def _remove(run_dir: str) -> None:
    if is_local(run_dir):
        shutil.rmtree(Path(run_dir), ignore_errors=True)


__all__ = ["EchoLLM", "look_at_job"]
