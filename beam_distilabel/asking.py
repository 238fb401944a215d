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
        self._shared = shared_folder(context, key)
        settings = context.checkpoint or CheckpointSettings()
        since = 0 if context.uses_cache else context.launched
        try:
            for folder in filter(None, (own_folder(context, step), self._shared)):
                finished = open_checkpoint(folder, settings, self._owner, since)
                self._finished.append(finished)
                try:
                    finished.refresh(force=True)
                except CheckpointError as error:
                    self._do_without(finished, error)
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
        for finished in list(self._finished):
            self._close(finished)
        # The process may end before the record is due.
        self.progress.write()

    def _close(self, finished: Checkpoint) -> None:
        self._finished.remove(finished)
        try:
            close_checkpoint(finished, self._owner)
        except CheckpointError as error:
            if finished.folder != self._shared:
                logger.warning("Some answers will be asked again in a resumed run: %s", error)

    def _do_without(self, finished: Checkpoint, error: CheckpointError) -> None:
        """Go on without what is shared with other runs; without its own a run can't.

        Raises:
            CheckpointError: it is the run's own.
        """
        if finished.folder != self._shared:
            raise error
        if finished in self._finished:
            logger.warning("The run goes on without its response_cache_dir: %s", error)
            self._close(finished)

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
        for finished in list(self._finished):
            try:
                finished.refresh()
            except CheckpointError as error:
                self._do_without(finished, error)

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
        for finished in list(self._finished):
            try:
                output = await _look_up(finished, binary)
            except CheckpointError as error:
                self._do_without(finished, error)
                continue
            if output is not MISSING:
                # A run goes on without the shared folder too, and others find what it has.
                await self._keep(binary, output, besides=finished)
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
            await self._keep(binary, output)
        return output

    async def _keep(
        self, key: bytes, output: GenerateOutput, besides: Checkpoint | None = None
    ) -> None:
        """Keep an answer wherever it isn't yet."""
        for finished in list(self._finished):
            if finished is besides or (besides is not None and finished.find(key) is not None):
                continue
            try:
                await _put(finished, key, output)
            except CheckpointError as error:
                self._do_without(finished, error)

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


async def _put(finished: Checkpoint, key: bytes, output: GenerateOutput) -> None:
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


def own_folder(context: RunContext, step: str) -> str | None:
    """Where a run keeps a Step's finished generations."""
    if context.run_dir is None or context.checkpoint is None:
        return None
    return f"{context.run_dir}/{CHECKPOINT_FOLDER}/{step}"


def shared_folder(context: RunContext, key: str) -> str | None:
    """Where a Step's finished generations are shared with other runs."""
    if context.response_cache_dir is None:
        return None
    return f"{context.response_cache_dir}/{fingerprint(key)}"
