"""`LocalLLM`: what LLM classes whose model is in the worker's process share."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from beam_distilabel.errors import GenerationError
from beam_distilabel.models.base import LLM
from beam_distilabel.models.engine import GenerateRequest, gather_or_cancel
from beam_distilabel.models.held_engine import HoldsEngine
from beam_distilabel.models.local.constraint import FORMATS
from beam_distilabel.models.structured_output import checked_structure, plain_structure
from beam_distilabel.models.user_engine import failed_output
from beam_distilabel.row import fingerprint
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.typing import FormattedInput, GenerateOutput

_PER_REQUEST = (
    "structured_output",
    "use_offline_batch_generation",
    "offline_batch_generation_block_until_done",
)


class LocalLLM(HoldsEngine, LLM):
    """An LLM that asks the engine which equal LLMs of its process share; subclasses define
    `make_engine`, `generate` and `parse_arguments`.

    Attributes:
        structured_output: the structure of all answers: `{"format": "json", "schema": a pydantic
            class or JSON schema}` or `{"format": "regex", "schema": a regular expression}`. An
            input that brings its own takes precedence.
    """

    structured_output: RuntimeParameter[dict[str, Any]] | None = Field(
        default=None, description="The structure of all answers: a JSON schema or a regex."
    )

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        checked_structure(self.structured_output, FORMATS, type(self).__name__)

    @classmethod
    def parse_arguments(cls, arguments: dict[str, Any]) -> Any:
        """The generation arguments, checked.

        Raises:
            DistilabelUserError: names the argument, its value and what is expected.
        """
        raise NotImplementedError

    def _answer_all(
        self, inputs: list[FormattedInput], num_generations: int, arguments: dict[str, Any]
    ) -> list[GenerateOutput]:
        arguments["structured_output"] = plain_structure(
            arguments.get("structured_output") or self.structured_output
        )
        self.parse_arguments(arguments)
        engine = self.loaded_engine()

        async def answer_one(one: FormattedInput) -> GenerateOutput:
            try:
                return await engine.generate(GenerateRequest(one, num_generations, arguments))
            except GenerationError as error:
                return failed_output(error, num_generations)

        return engine.call(gather_or_cancel(map(answer_one, inputs)))

    def get_generation_kwargs(self) -> dict[str, Any]:
        """The keyword arguments that were set for `generate`, with the structured output."""
        kwargs = super().get_generation_kwargs()
        structure = plain_structure(self.structured_output)
        if structure and not kwargs.get("structured_output"):
            kwargs["structured_output"] = structure
        return kwargs

    def check_generation_kwargs(self) -> None:
        super().check_generation_kwargs()
        self.parse_arguments(self.get_generation_kwargs())

    def fingerprint(self) -> str:
        # What goes with each request doesn't need another engine.
        fields = {k: v for k, v in self.identity().items() if k not in _PER_REQUEST}
        return fingerprint(fields, {name: getattr(self, name) for name in self._how_it_is_run()})

    @classmethod
    def _how_it_is_run(cls) -> tuple[str, ...]:
        """Fields that change what the engine needs, and not what it answers."""
        return ()

    @classmethod
    def not_identity(cls) -> frozenset[str]:
        return super().not_identity() | frozenset(cls._how_it_is_run())
