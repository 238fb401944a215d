"""The generation arguments of `vLLM`, and the sampling parameters made of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge, Gt
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from beam_distilabel.errors import DistilabelUserError, GenerationError
from beam_distilabel.models.answer_schema import AnswerSchema, answer_schema
from beam_distilabel.models.arguments import checked_arguments
from beam_distilabel.problems import closest

_OURS = ("n", "structured_outputs", "detokenize")
"""Sampling parameters that are set otherwise, besides those that have an argument here."""

_MAX_SEED = 2**62

_REMEMBERED = 1024
"""Different arguments that are known at a time: those of several Tasks, or one per length."""


@dataclass(config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class GenerationArguments:
    """What `vLLM.generate` takes besides the inputs; its docstring says what each one does."""

    max_new_tokens: Annotated[int, Gt(0)] = 128
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    temperature: Annotated[float, Ge(0)] = 1.0
    top_p: float = 1.0
    top_k: int = -1
    min_p: float = 0.0
    logprobs: Annotated[int, Gt(0)] | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    include_stop_str_in_output: bool = False
    skip_special_tokens: bool = True
    logits_processors: list[Callable[..., Any]] | None = None
    extra_sampling_params: dict[str, Any] | None = None
    echo: bool = False
    structured_output: dict[str, Any] | None = None
    lora: str | None = None


_adapter = TypeAdapter(GenerationArguments)


def parse_arguments(arguments: dict[str, Any]) -> GenerationArguments:
    """`arguments` checked.

    Raises:
        DistilabelUserError: names the argument, its value and what is expected.
    """
    parsed = checked_arguments(_adapter, GenerationArguments, arguments, "vLLM")
    if parsed.logits_processors:
        raise DistilabelUserError(
            "vLLM takes no `logits_processors` per request any more: give the classes to the "
            "engine (`extra_kwargs={'logits_processors': [...]}`), or use `structured_output` or "
            "`extra_sampling_params={'logit_bias': ...}`."
        )
    return parsed


class _Checked(NamedTuple):
    """What arguments came to: checked, as vLLM's parameters, and the structure among them."""

    parsed: GenerationArguments
    common: dict[str, Any]
    schema: AnswerSchema | None


class SamplingParamsMaker:
    """Makes vLLM's `SamplingParams`; remembers what the latest arguments came to.

    Attributes:
        seed_argument: where the engine has a seeded sampling of its own, the key of
            `SamplingParams.extra_args` that it reads.
    """

    def __init__(self) -> None:
        self.seed_argument: str | None = None
        self._arguments: dict[str, Any] | None = None
        self._known: dict[str, _Checked] = {}
        self._last = _Checked(GenerationArguments(), {}, None)

    def parse(self, arguments: dict[str, Any]) -> GenerationArguments:
        """`arguments` checked; nearly every request has the same ones.

        Raises:
            DistilabelUserError: they are wrong.
            GenerationError: their structured output is.
        """
        if arguments != self._arguments:
            self._last, self._arguments = self._checked(arguments), dict(arguments)
        return self._last.parsed

    def _checked(self, arguments: dict[str, Any]) -> _Checked:
        try:
            key = json.dumps(arguments, sort_keys=True)
        except (TypeError, ValueError):
            return _check(arguments)  # a class in it, for example: no text tells it from another
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[key] = _check(arguments)
        return known

    def schema(self, structure: Any) -> AnswerSchema | None:
        """The structure to answer in: the input's own, else that of the last parsed arguments.

        Raises:
            GenerationError: it can't be used.
        """
        return answer_schema(structure) if structure else self._last.schema

    def make(
        self,
        arguments: dict[str, Any],
        num_generations: int,
        seed: int | None,
        room: int,
        schema: AnswerSchema | None,
    ) -> Any:
        """The parameters of one request.

        Args:
            arguments: the generation arguments.
            num_generations: how many answers; more than one needs a temperature.
            seed: vLLM adds the number of the generation to it; greedy sampling needs none.
            room: how many tokens the context has left for the answer.
            schema: the structure to answer in.

        Raises:
            DistilabelUserError: the arguments are wrong.
            GenerationError: vLLM refuses the values.
        """
        from vllm.sampling_params import SamplingParams

        self.parse(arguments)
        values = dict(self._last.common)
        values["max_tokens"] = min(values["max_tokens"], room)
        if seed is not None and values["temperature"] > 0 and "seed" not in values:
            self._set_seed(values, num_generations, seed % _MAX_SEED)
        try:
            if schema is not None:
                values["structured_outputs"] = structured_outputs(schema)
            return SamplingParams(n=num_generations, **values)
        except (ValueError, TypeError) as error:
            raise GenerationError(f"vLLM refused the request: {error}", "refused") from error

    def _set_seed(self, values: dict[str, Any], num_generations: int, seed: int) -> None:
        # vLLM gives each of several generations a seed of its own, but all the same extra_args.
        if self.seed_argument is None or num_generations > 1:
            values["seed"] = seed
        if self.seed_argument is not None:
            values["extra_args"] = {**values.get("extra_args", {}), self.seed_argument: seed}


def _check(arguments: dict[str, Any]) -> _Checked:
    parsed = parse_arguments(arguments)
    return _Checked(parsed, _common(parsed), answer_schema(parsed.structured_output))


def _common(parsed: GenerationArguments) -> dict[str, Any]:
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    values = {
        "max_tokens": parsed.max_new_tokens,
        "presence_penalty": parsed.presence_penalty,
        "frequency_penalty": parsed.frequency_penalty,
        "repetition_penalty": parsed.repetition_penalty,
        "temperature": parsed.temperature,
        "top_p": parsed.top_p,
        "top_k": parsed.top_k,
        "min_p": parsed.min_p,
        "logprobs": parsed.logprobs,
        "stop": parsed.stop,
        "stop_token_ids": parsed.stop_token_ids,
        "include_stop_str_in_output": parsed.include_stop_str_in_output,
        "skip_special_tokens": parsed.skip_special_tokens,
        "output_kind": RequestOutputKind.FINAL_ONLY,
        # Every request has an object of its own; vLLM's deep copy would cost more than all else.
        "skip_clone": True,
    }
    extra = parsed.extra_sampling_params or {}
    known = [name for name in SamplingParams.__struct_fields__ if not name.startswith("_")]
    for name in extra:
        # Two values of one parameter: which one holds would depend on who reads it.
        ours = name in _OURS or name in values
        if ours or name not in known:
            remedy = (
                "It has an argument of its own, or is set by the engine."
                if ours
                else f"vLLM's SamplingParams doesn't have it.{closest(name, known)}"
            )
            raise DistilabelUserError(f"extra_sampling_params can't hold {name!r}. {remedy}")
    return {**values, **extra}


def structured_outputs(schema: AnswerSchema) -> Any:
    """vLLM's own form of a structure; a new object, since vLLM changes it."""
    from vllm.sampling_params import StructuredOutputsParams

    if schema.format == "json":
        whitespace = schema.structure.get("whitespace_pattern")
        return StructuredOutputsParams(json=schema.schema, whitespace_pattern=whitespace)
    return StructuredOutputsParams(**{schema.format: schema.schema})
