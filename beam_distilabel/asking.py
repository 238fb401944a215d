"""Asking a model on behalf of a Step: what is finished already is looked up, what comes is kept."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from beam_distilabel.checkpoint import (
    MISSING,
    Checkpoint,
    CheckpointSettings,
    close_checkpoint,
    flush_checkpoints,
    open_checkpoint,
)
from beam_distilabel.context import RunContext
from beam_distilabel.errors import CheckpointError
from beam_distilabel.failures import TRANSIENT
from beam_distilabel.inference import on_loop, to_engine
from beam_distilabel.layout import CHECKPOINT_FOLDER
from beam_distilabel.metrics import StepMetrics
from beam_distilabel.models.engine import Engine, GenerateRequest, IdleEngine, engines
from beam_distilabel.progress import step_progress
from beam_distilabel.row import fingerprint
from beam_distilabel.typing import GenerateOutput

logger = logging.getLogger(__name__)


class Unfinished(BaseException):
    """A row's answer isn't there, and the run asks nothing (see `RunContext.finished_only`).

    No Exception: a rollout that mends what goes wrong has nothing to mend here.
    """


def load_engine(context: RunContext, model: Any) -> Engine:
    """The engine of a Step's model; one that does nothing where the run asks nothing."""
    if context.finished_only:
        return engines.acquire("idle", IdleEngine)
    return model.load_model()


class Asker:
    """Asks the engine what isn't finished, for one copy of a Step's DoFn.

    Args:
        step: the Step.
        context: its run.
        key: what is the same for all rows and decides their answers.

    Attributes:
        progress: the Step's counts in this copy.
        has_answers: whether the engine may not be needed.
    """

    def __init__(self, step: str, context: RunContext, key: str) -> None:
        self._engine: Engine | None = None
        self._finished_only = context.finished_only
        self._owner = context.run_dir
        self.progress = step_progress(context.run_dir, step)
        self._metrics = StepMetrics(self.progress)
        self._finished: list[Checkpoint] = []
        try:
            for folder in checkpoint_folders(context, step, key):
                settings = context.checkpoint or CheckpointSettings()
                self._finished.append(open_checkpoint(folder, settings, self._owner))
                self._finished[-1].refresh(force=True)
        except BaseException:
            self.close()
            raise
        self.has_answers = any(len(finished) for finished in self._finished)

    def use(self, engine: Engine) -> None:
        """Ask `engine` from now on."""
        self._engine = engine
        self.progress.engine = engine.description
        self.progress.statistics = engine.statistics
        self._metrics.use(engine)

    def close(self) -> None:
        """Write what is unwritten.

        What can't be written is asked again in a resumed run, and the log says so; the run's own
        result, or the error that ended it, is more than that.
        """
        finished, self._finished = self._finished, []
        for one in finished:
            try:
                close_checkpoint(one, self._owner)
            except CheckpointError as error:
                logger.warning("Some answers will be asked again in a resumed run: %s", error)
        # The process may end before the record is due.
        self.progress.write()

    def settle(self) -> None:
        """Write at once what this process has finished and counted; the run is about to end.

        Raises:
            CheckpointError: it can't be written.
        """
        flush_checkpoints()
        self.progress.write()

    def flush(self, end: bool = False) -> None:
        """Called now and then on the runner's thread; `end` of a bundle.

        Raises:
            CheckpointError: what was answered can't be kept.
            RunCancelled: the run was cancelled in this process.
        """
        self._metrics.publish(force=end)
        if end:
            self.progress.end_bundle()
        else:
            self.progress.flush()
        for finished in self._finished:
            finished.refresh()

    async def ask(self, request: GenerateRequest, key: str) -> GenerateOutput:
        """What the engine answers to `request`, now or at any time before.

        Args:
            request: what to ask.
            key: of `fingerprint`; equal only for requests that may have the same answer.

        Raises:
            GenerationError: the request can't be answered.
            EngineError: the engine is dead.
            CheckpointError: the answer can't be kept.
            Unfinished: there is no answer, and the run asks nothing.
        """
        output = await self.find(key)
        return await self.ask_engine(request, key) if output is MISSING else output

    async def find(self, key: str) -> Any:
        """What is finished under `key`, MISSING if nothing is; on any thread.

        Raises:
            CheckpointError: what is finished can't be read.
        """
        binary = bytes.fromhex(key)
        for number, finished in enumerate(self._finished):
            output = await _look_up(finished, binary)
            if output is not MISSING:
                for other in self._finished[:number]:  # a run goes on without the shared folder too
                    await _keep(other, binary, output)
                self.progress.add("reused")
                return output
        return MISSING

    async def ask_engine(self, request: GenerateRequest, key: str) -> GenerateOutput:
        """What the engine answers now; as `ask`, where nothing is finished under `key`.

        May begin on the runner's thread, and goes on on the engine's loop.
        """
        progress = self.progress
        binary = bytes.fromhex(key)
        if self._finished_only:
            raise Unfinished
        await to_engine()
        assert self._engine is not None
        began = time.perf_counter()
        try:
            output = await self._engine.generate(request)
        finally:
            progress.answered(time.perf_counter() - began)
        progress.count_tokens(output.get("statistics"))
        if self._finished and is_final(output):
            for finished in self._finished:
                await _keep(finished, binary, output)
        return output

    @property
    def keeps(self) -> bool:
        """Whether answers are kept anywhere."""
        return bool(self._finished)


async def _look_up(finished: Checkpoint, key: bytes) -> Any:
    found = finished.find(key)
    if found is None:
        return MISSING
    if found.ready or not on_loop():
        return found.read()
    # The segment has to be fetched first; others go on meanwhile.
    return await asyncio.get_running_loop().run_in_executor(None, found.read)


async def _keep(finished: Checkpoint, key: bytes, output: GenerateOutput) -> None:
    written = finished.put(key, output)
    if written is None:
        return
    if on_loop():
        await asyncio.wrap_future(written)
    else:
        written.result()


def is_final(output: GenerateOutput) -> bool:
    """Whether asking the same again would make no sense: every generation has an answer, or a
    reason that lasts."""
    failures = output.get("failures") or ()
    for i, generation in enumerate(output["generations"]):
        known = failures[i] if i < len(failures) else None
        if known["kind"] in TRANSIENT if known else generation is None:
            return False
    return True


def checkpoint_folders(context: RunContext, step: str, key: str) -> list[str]:
    """Where a Step's finished generations are: the run's own folder, then the shared one."""
    folders = []
    if context.run_dir is not None and context.checkpoint is not None:
        folders.append(f"{context.run_dir}/{CHECKPOINT_FOLDER}/{step}")
    if context.response_cache_dir is not None:
        folders.append(f"{context.response_cache_dir}/{fingerprint(key)}")
    return folders
