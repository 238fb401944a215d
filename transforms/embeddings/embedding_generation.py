"""EmbeddingGeneration: the vector of a text as a column."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from beam_distilabel.asking import Asker, Unfinished, load_engine
from beam_distilabel.errors import CheckpointError, EngineError, GenerationError
from beam_distilabel.failures import Failure, attempts_of, kind_of, message_of
from beam_distilabel.inference import ContinuousRunInference
from beam_distilabel.models.embeddings.base import Embeddings
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.processing import FAILURES, ROWS, failed_row, sendable
from beam_distilabel.row import Row, Unnamed, fingerprint
from beam_distilabel.step import Step, StepResult
from beam_distilabel.typing import StepColumns, StepInput, StepOutput


class EmbeddingGeneration(Step):
    """Makes the vector of each row's text with an embedding model.

    Texts go to the model's engine one by one, as many at once as it takes; a text that can't be
    encoded costs its row.

    Attributes:
        embeddings: the model.

    Input columns: `text`.
    Output columns: `embedding` (a list of numbers), `model_name`.

    Example:
        >>> class Lengths(Embeddings):
        ...     @property
        ...     def model_name(self): return "lengths"
        ...     def encode(self, inputs): return [[float(len(text))] for text in inputs]
        >>> step = EmbeddingGeneration(embeddings=Lengths())
        >>> step.load()
        >>> next(step.process([{"text": "four"}]))
        [{'text': 'four', 'embedding': [4.0], 'model_name': 'lengths'}]
    """

    embeddings: Embeddings

    @property
    def model(self) -> Embeddings:
        """The model that the Step asks."""
        return self.embeddings

    @property
    def inputs(self) -> StepColumns:
        return ["text"]

    @property
    def outputs(self) -> StepColumns:
        return ["embedding", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return pa.schema([("embedding", pa.list_(pa.float64())), ("model_name", pa.string())])

    def load(self) -> None:
        """Load the model; in a pipeline the worker's engine stands for it."""
        super().load()
        self.embeddings.load()

    def unload(self) -> None:
        super().unload()
        self.embeddings.unload()

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        """Encode a batch of rows, outside of a pipeline; call `load()` first."""
        vectors = self.embeddings.encode(inputs=[row["text"] for row in inputs])
        name = self.embeddings.model_name
        yield [
            {**row, "embedding": vector, "model_name": name}
            for row, vector in zip(inputs, vectors, strict=True)
        ]

    def apply_to(self, rows: Any) -> StepResult:
        if type(self).process is not EmbeddingGeneration.process or isinstance(rows, (tuple, list)):
            return super().apply_to(rows)
        outputs = rows | "Encode" >> ContinuousRunInference(
            self.embeddings, rollout=_Encode(self), tags=(FAILURES,)
        )
        return StepResult(outputs[ROWS], outputs[FAILURES])


class _Encode:
    """Asks the engine for the vector of each row's text."""

    def __init__(self, step: EmbeddingGeneration) -> None:
        self._step: Any = step

    @property
    def owner(self) -> str | None:
        run_dir: str | None = self._step._context.run_dir
        return run_dir

    def load(self, handler: Any) -> Engine:
        return load_engine(self._step._context, handler)

    @property
    def begins_apart(self) -> bool:
        return True

    @property
    def has_answers(self) -> bool:
        return self._asker.has_answers

    def setup(self) -> None:
        model = self._step.embeddings
        self._name = model.model_name
        self._key = fingerprint(self._step.name, model.answer_identity())
        self._asker = Asker(self._step.name, self._step._context, self._key)
        self.progress = self._asker.progress
        self._unnamed = Unnamed()

    def use(self, engine: Engine) -> None:
        self._asker.use(engine)

    def teardown(self) -> None:
        self._asker.close()

    def settle(self) -> None:
        self._asker.settle()

    def flush(self, end: bool = False) -> None:
        self._asker.flush(end)

    def prefix(self, element: Row) -> str:
        text = self._step._map_inputs(dict(element)).get("text")
        return text if isinstance(text, str) else ""

    async def run(self, element: Row) -> list[Any]:
        step, progress = self._step, self.progress
        element = self._unnamed.named(element)
        progress.add("rows_in")
        row = step._map_inputs(dict(element))
        try:
            vector = await self._vector(row.get("text"))
        except Unfinished:
            progress.add("unfinished")
            return []
        except (EngineError, CheckpointError):
            raise
        except Exception as error:
            failure = Failure(
                step.name, kind_of(error), message_of(error), element, attempts_of(error)
            )
            progress.failed(failure.kind, failure.message)
            progress.add("rows_failed")
            rows = failed_row(step, element, failure)
            progress.add("rows_out", len(rows))
            return [TaggedOutput(FAILURES, failure), *rows]
        progress.add("rows_out")
        progress.add("rows_passed")
        done = {**row, "embedding": vector, "model_name": self._name}
        return [sendable(step._map_outputs(done, element), element)]

    async def _vector(self, text: Any) -> Any:
        if not isinstance(text, str):
            given = "empty (None)" if text is None else f"{type(text).__name__}, not text"
            raise GenerationError(f"the column 'text' is {given}", "render")
        output: Any = await self._asker.ask(GenerateRequest(text), fingerprint(self._key, text))
        return output["generations"][0]
