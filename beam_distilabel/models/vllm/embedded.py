"""The vLLM engine inside this process: `AsyncLLM` on the engine's own event loop."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import logging
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from beam_distilabel.errors import (
    DistilabelError,
    EngineError,
    GenerationError,
)
from beam_distilabel.models.canary import Canary
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.models.statistics import EngineStatistics
from beam_distilabel.models.vllm.adapters import Adapters, Turns
from beam_distilabel.models.vllm.answers import read_answers
from beam_distilabel.models.vllm.arguments import check_model_path, engine_arguments, samples_seeded
from beam_distilabel.models.vllm.liveness import unless_dead
from beam_distilabel.models.vllm.placement import Placement, place_engine
from beam_distilabel.models.vllm.process import (
    ProcessOutput,
    end,
    engine_start,
    family,
    host_log,
)
from beam_distilabel.models.vllm.prompts import PromptRenderer, read_chat_template
from beam_distilabel.models.vllm.reasoning import ReasoningSplitter
from beam_distilabel.models.vllm.sampling import SamplingParamsMaker
from beam_distilabel.models.vllm.settings import READY_VARIABLE, ready_seconds
from beam_distilabel.models.vllm.statistics import of_scheduler_only, statistics_logger
from beam_distilabel.typing import GenerateOutput

if TYPE_CHECKING:
    from beam_distilabel.models.vllm import vLLM
    from beam_distilabel.models.vllm.embeddings import vLLMEmbeddings

logger = logging.getLogger(__name__)

_SHUTDOWN_SECONDS = 20.0

MAX_RESTARTS = 3
"""How often a dead engine is started anew before the error is raised; counted from anew where it
has answered as many requests as it takes at once."""

_MAX_DEATHS = 2
"""How many engines may die under a request before it is given up."""

_GRACE_SECONDS = 30.0
"""How much longer than the deadline a start may take to notice it, and to say why it was late."""


class EmbeddedEngine(Engine):
    """vLLM's engine in this process; a dead one is started anew in place.

    Subclasses say what a request is: `_answer`, and `_check` and `_prepare` before the first one.

    Args:
        spec: the model whose fields say which engine.
    """

    def __init__(self, spec: vLLM | vLLMEmbeddings) -> None:
        super().__init__()
        self._spec: Any = spec.copied()
        self.description = "vllm"
        self._llm: Any = None
        self._output: ProcessOutput | None = None
        self._processes: list[Any] = []
        self._max_model_len = 0
        self._incarnation = 0
        self._restarts = 0
        self._answered = 0  # since the latest start
        self._suspects = asyncio.Lock()
        self._restarting = asyncio.Lock()
        self._fatal: EngineError | None = None
        self._stopped = False
        self._requests = 0
        self._logging = False
        self._placement: Placement | None = None

    # -- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        check_model_path(self._spec.model)
        host_log.acquire()
        self._logging = True
        # Registered last, run first: before multiprocessing waits for processes that don't end.
        atexit.register(self.close)
        logger.info("Starting vLLM with %s", self._spec.model)
        began = time.monotonic()
        self._start_llm()
        await self._introduce()
        logger.info("%s is ready after %.0f s", self.description, time.monotonic() - began)

    async def stop(self) -> None:
        self._stopped = True
        atexit.unregister(self.close)
        try:
            self._stop_llm()
        finally:
            if self._placement is not None:
                self._placement.release()
        if self._logging:
            self._logging = False
            host_log.release()
        # What still waits would otherwise be destroyed unfinished with the loop.
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def process_ids(self) -> list[int]:
        """The processes that the engine consists of, besides this one."""
        return [process.pid for process in family(self._output.pids)] if self._output else []

    @property
    def start_seconds(self) -> float | None:
        return ready_seconds() + _GRACE_SECONDS

    @property
    def dead(self) -> bool:
        """Whether it died and can't be started anew."""
        return self._fatal is not None

    def _start_llm(self) -> None:
        if self._placement is None:  # a restart keeps the GPUs
            self._placement = place_engine(self._spec, ready_seconds())
        settings = self._placement.environment
        output = self._output = ProcessOutput()
        defaults = {
            # A fork would inherit the locks of this process' other threads, Beam's among them.
            "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
            "VLLM_ENGINE_READY_TIMEOUT_S": str(int(ready_seconds())),
        }
        try:
            with engine_start(output, defaults, settings), _deadline(output) as expired:
                self._make_llm()
        except DistilabelError:
            self._stop_llm()
            raise
        except Exception as error:
            self._stop_llm()
            late = (
                f"it was not ready after {ready_seconds():g} s ({READY_VARIABLE})\n"
                if expired.is_set()
                else ""
            )
            raise EngineError(
                f"vLLM can't start the model {self._spec.model!r}: {late}"
                f"{type(error).__name__}: {error}\n{output.error()}".rstrip()
            ) from error
        # Those of a dead one can't be found any more: nobody is their parent.
        self._processes = family(output.pids)
        self._incarnation += 1

    def _make_llm(self) -> None:
        try:
            from vllm import __version__
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.logger import configure_logging
            from vllm.platforms import current_platform
            from vllm.usage.usage_lib import UsageContext
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise EngineError(
                f"vLLM can't be imported ({error}). Install it with "
                "`pip install 'beam-distilabel[vllm]'` (GPU) or `'beam-distilabel[cpu]'`."
            ) from error
        arguments = engine_arguments(self._spec, AsyncEngineArgs, current_platform.is_cpu())
        self._check(arguments)
        # The context that vLLM's defaults (slots, tokens per step) are made for throughput in.
        context = UsageContext.LLM_CLASS
        engine_args = AsyncEngineArgs(**arguments)
        host_log.configure(lambda: configure_logging(engine_args.create_logging_config()))
        config = engine_args.create_engine_config(context)
        statistics = self.statistics = self.statistics or EngineStatistics()
        # Never in a local variable: frames that vLLM keeps would keep it alive.
        self._llm = AsyncLLM.from_vllm_config(
            config,
            usage_context=context,
            stat_loggers=[statistics_logger(statistics)],
            disable_log_stats=True,
        )
        if engine_args.disable_log_stats:
            of_scheduler_only(self._llm)
        model_config = self._llm.model_config
        self._max_model_len = model_config.max_model_len
        self._prepare(config)
        # Twice the slots: what waits is tokenized already and takes a free slot at once.
        self.max_in_flight = self._spec.max_in_flight or 2 * config.scheduler_config.max_num_seqs
        self.description = f"vllm {__version__} ({current_platform.get_device_name()})"

    async def _introduce(self) -> None:
        """Ask what vLLM asks before an engine's first request, and remembers.

        It waits for the answer for ever where the engine dies meanwhile, unlike requests.
        """
        from vllm.v1.engine.exceptions import EngineDeadError

        with contextlib.suppress(EngineDeadError):  # the first request finds out, too
            await unless_dead(self._llm, self._llm.get_supported_tasks())

    def _stop_llm(self) -> None:
        llm, self._llm = self._llm, None
        output = self._output
        processes = {*self._processes, *family(output.pids)} if output else set()
        self._processes = []
        try:
            if llm is not None:
                llm.shutdown(timeout=_SHUTDOWN_SECONDS)
        finally:
            if processes:
                end(list(processes))
            if output is not None:
                output.close()

    async def _restart(self, incarnation: int) -> None:
        async with self._restarting:
            if self._fatal is not None:
                raise self._fatal
            if self._stopped or incarnation != self._incarnation:
                return  # somebody else has done it
            cause = self._output.error() if self._output else ""
            if self._answered >= self.max_in_flight:
                self._restarts = 0
            if self._restarts >= MAX_RESTARTS:
                self._fatal = EngineError(
                    f"vLLM's engine for {self._spec.model!r} died {self._restarts + 1} times. "
                    f"{cause}"
                )
                self._stop_llm()
                raise self._fatal
            logger.warning(
                "%s with %s died; it is started anew", self.description, self._spec.model
            )
            self._restarts += 1
            self._answered = 0
            if self.statistics is not None:
                self.statistics.restarts += 1
            self._stop_llm()
            try:
                self._start_llm()
                await self._introduce()
            except DistilabelError as error:
                self._fatal = EngineError(f"vLLM's engine died and can't be started anew: {error}")
                raise self._fatal from error

    # -- requests --------------------------------------------------------------------------------

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        from vllm.v1.engine.exceptions import EngineDeadError

        deaths = 0
        while True:
            # What two engines died under may be why: such requests are sent one at a time.
            async with self._suspects if deaths > 1 else contextlib.nullcontext():
                if self._stopped:
                    raise EngineError("The vLLM engine is closed.")
                llm, incarnation = self._llm, self._incarnation
                try:
                    if llm is not None:
                        return await self._attempt(llm, request)
                except EngineDeadError:
                    deaths += 1
            # The processes have to be seen to be gone before new ones take their memory.
            await self._restart(incarnation)
            if deaths > _MAX_DEATHS:
                raise GenerationError(
                    f"vLLM's engine died {deaths} times while it answered this; its log has the "
                    "reason."
                )

    async def _attempt(self, llm: Any, request: GenerateRequest) -> GenerateOutput:
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            output = await self._answer(llm, request)
        except (DistilabelError, EngineDeadError):
            raise
        except Exception as error:
            if llm.errored:
                raise EngineDeadError() from error
            cause = error.__cause__ or error
            refused = isinstance(cause, (VLLMClientError, ValueError, TypeError))
            raise GenerationError(
                f"vLLM refused the request: {cause}"
                if refused
                else f"{type(cause).__name__}: {cause}",
                "refused" if refused else "engine",
            ) from error
        self._answered += 1
        return output

    async def _answer(self, llm: Any, request: GenerateRequest) -> GenerateOutput:
        """Answer with `llm`, vLLM's `AsyncLLM`; what it raises is told apart by the caller."""
        raise NotImplementedError

    def _check(self, arguments: dict[str, Any]) -> None:
        """Raise `DistilabelUserError` where no request could succeed; vLLM can be imported.

        Args:
            arguments: of the engine that is about to start.
        """

    def _prepare(self, config: Any) -> None:
        """Make what requests need of the engine in `self._llm`, which has just started.

        Args:
            config: vLLM's `VllmConfig`.
        """


class VLLMEngine(EmbeddedEngine):
    """Answers prompts with texts, batched continuously.

    Args:
        llm: the `vLLM` whose fields say which engine.
    """

    def __init__(self, llm: vLLM) -> None:
        super().__init__(llm)
        self._prompts: PromptRenderer | None = None
        self._sampling = SamplingParamsMaker()
        self._canary = Canary()
        self._adapters = Adapters()
        self._turns: Turns | None = None
        self._reasoning: ReasoningSplitter | None = None
        self._chat_template: str | None = None

    async def start(self) -> None:
        self._chat_template = read_chat_template(self._spec.chat_template)
        await super().start()

    def _check(self, arguments: dict[str, Any]) -> None:
        if samples_seeded(arguments):
            from beam_distilabel.models.vllm.seeded_sampling import SEED_ARGUMENT

            self._sampling.seed_argument = SEED_ARGUMENT
        self._sampling.parse(self._spec.get_generation_kwargs())
        structured = arguments["structured_outputs_config"]
        if isinstance(structured, dict):  # vLLM takes no dict together with a reasoning parser
            from vllm.config import StructuredOutputsConfig

            arguments["structured_outputs_config"] = StructuredOutputsConfig(**structured)

    def _prepare(self, config: Any) -> None:
        self._prompts = PromptRenderer(
            self._llm.renderer,
            config.model_config,
            self._chat_template,
            self._spec.magpie_pre_query_template if self._spec.use_magpie_template else None,
        )
        if config.lora_config is not None and config.device_config.device_type == "cpu":
            self._turns = self._turns or Turns()
        parser = config.structured_outputs_config.reasoning_parser
        if parser:
            tokenizer = self._llm.renderer.get_tokenizer()
            self._reasoning = ReasoningSplitter(parser, tokenizer, config.model_config)

    async def _answer(
        self, llm: Any, request: GenerateRequest, canary: bool = False
    ) -> GenerateOutput:
        assert self._prompts is not None
        prompt, structure = request.input, None
        if isinstance(prompt, tuple):
            prompt, structure = prompt
        arguments = self._sampling.parse(request.generation_kwargs)
        schema = self._sampling.schema(structure)
        options: dict[str, Any] = {}
        if schema is not None:
            if canary:
                options["reasoning_ended"] = True
            elif not self._canary.proven(self._incarnation):
                await self._canary.prove(
                    functools.partial(self._answer, llm, canary=True),
                    f"{self.description} with {self._spec.model}",
                    self._incarnation,
                )
        if arguments.lora is not None:
            options["lora_request"] = await self._adapters.request(
                llm, arguments.lora, self._incarnation
            )
        engine_input, length = await self._prompts.render(prompt)
        # Greedy answers are all alike; vLLM refuses to make several.
        count = 1 if arguments.temperature == 0 else request.num_generations
        params = self._sampling.make(
            request.generation_kwargs, count, request.seed, self._max_model_len - length, schema
        )
        if self._reasoning is not None and self._reasoning.keeps_special_tokens:
            params.skip_special_tokens = False
        self._requests += 1
        name = f"{self._incarnation}-{self._requests}"
        answer = llm.generate(engine_input, params, name, **options)
        turn = self._turns.turn(arguments.lora is None) if self._turns else contextlib.nullcontext()
        async with turn:
            (result,) = [output async for output in answer]
        completions = sorted(result.outputs, key=lambda completion: completion.index)
        for completion in completions:
            if completion.finish_reason in ("abort", "error"):
                # What vLLM can't make a grammar of is found in its own process.
                structured = schema is not None and completion.finish_reason == "error"
                raise GenerationError(
                    f"vLLM can't follow the structured output {str(schema.schema)[:300]!r}; its "
                    "log has the reason."
                    if schema is not None and structured
                    else f"vLLM ended the request early ({completion.finish_reason}).",
                    "refused" if structured else None,
                )
        repeated = request.num_generations // count
        completions *= repeated
        output: GenerateOutput
        if schema is None and self._reasoning is None:
            output = {"generations": [completion.text for completion in completions]}
        else:
            output = read_answers(completions, schema, self._reasoning, params.structured_outputs)
        if arguments.echo:
            before = self._prompts.text(engine_input)
            output["generations"] = [
                None if text is None else before + text for text in output["generations"]
            ]
        output["statistics"] = {
            "input_tokens": [length],
            "output_tokens": [len(c.token_ids) for c in completions],
        }
        output["finish_reasons"] = [c.finish_reason for c in completions]
        if arguments.logprobs is not None:
            output["logprobs"] = [_candidates(c.logprobs) for c in completions]
        return output


def _candidates(logprobs: Any) -> list[list[dict[str, Any]]]:
    return [
        [
            {"token": candidate.decoded_token, "logprob": candidate.logprob}
            for candidate in position.values()
        ]
        for position in logprobs or []
    ]


@contextlib.contextmanager
def _deadline(output: ProcessOutput) -> Iterator[threading.Event]:
    """End the engine's processes when it takes too long: its start, which waits for them, fails."""
    expired, over = threading.Event(), threading.Event()

    def watch() -> None:
        if over.wait(ready_seconds()):
            return
        expired.set()
        # Again and again: the start may not have come to its processes yet.
        while not over.wait(0.1):
            for process in family(output.pids):
                with contextlib.suppress(Exception):
                    process.kill()

    thread = threading.Thread(target=watch, name="vllm-deadline", daemon=True)
    thread.start()
    try:
        yield expired
    finally:
        over.set()
        thread.join()
