"""Answers that are of no use are asked for again: which, how often, and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest

import beam_distilabel.rollouts
from beam_distilabel.attempts import generation_of, put_together
from beam_distilabel.checkpoint import CheckpointSettings
from beam_distilabel.context import RunContext
from beam_distilabel.errors import DistilabelUserError, GenerationError, ParseError
from beam_distilabel.metadata import METADATA
from beam_distilabel.models.base import AsyncLLM
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.row import Row
from beam_distilabel.task import GeneratorTask, check_llm
from beam_distilabel.typing import GenerateOutput
from tests.fakes import Ask, FakeLLM, journal, new_name, output_of, prompt_of, run_with_failures

USELESS = "[RESULT] 9"
"""What `Ask` can't parse."""


class MoodyEngine(Engine):
    """Answers a prompt's n-th request with the n-th of `moods`, the last for all further ones.

    A mood is a text, or ("kind", attempts) of an error, or a dict that fails the generation.
    """

    def __init__(self, llm: Any) -> None:
        super().__init__()
        self._llm = llm

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        prompt = prompt_of(request.input)
        events = journal(self._llm.tag)
        events.add((prompt, request.num_generations, request.seed))
        moods = self._llm.moods.get(prompt, ["fine"])
        texts: list[Any] = []
        failures: list[Any] = []
        for _ in range(request.num_generations):
            nth = journal(f"{self._llm.tag}/{prompt}").add(None) - 1
            mood = moods[min(nth, len(moods) - 1)]
            if isinstance(mood, tuple):
                error = GenerationError(f"{mood[0]} trouble", mood[0])
                error.attempts = mood[1]
                raise error
            texts.append(mood if isinstance(mood, str) else None)
            failures.append(mood if isinstance(mood, dict) else None)
        return {**output_of(texts, prompt), "failures": failures}


class MoodyLLM(AsyncLLM):
    """An LLM behind a `MoodyEngine`."""

    tag: str
    moods: dict[str, list[Any]] = {}

    @property
    def model_name(self) -> str:
        return "moody"

    def answer_identity(self) -> dict[str, Any]:
        return {"class": "moody"}

    def make_engine(self) -> Engine:
        return MoodyEngine(self)

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
        raise AssertionError("the engine answers")


class Twice(Ask):
    """Asks, and asks about the answer; only the second answer is parsed."""

    async def rollout(self, row: Row, generate: Any) -> list[Row]:
        first = await generate([{"role": "user", "content": row["text"]}])
        chat = [{"role": "user", "content": f"about {row['text']}"}]
        second = await generate(chat)
        row["text"] = "changed"  # what a rollout does to its row is not what the next one sees
        answer = second["generations"][0]
        if answer == USELESS:
            raise ParseError("no use")
        return [{**row, "answer": answer, "first": first["generations"][0]}]


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rounds after which was waited; nothing takes time."""
    waited: list[int] = []

    def pause(rounds: int) -> float:
        waited.append(rounds)
        return 0.0

    monkeypatch.setattr(beam_distilabel.rollouts, "pause_seconds", pause)
    return waited


def asked(
    moods: dict[str, list[Any]],
    texts: list[str] | None = None,
    cls: type[Ask] = Ask,
    context: RunContext | None = None,
    **fields: Any,
) -> tuple[list[Row], list[Any], list[Any]]:
    """(rows, failures, requests) of a Task on rows of these texts."""
    llm = MoodyLLM(tag=new_name(), moods=moods)
    task = cls(name="ask", llm=llm, **fields)
    if context is not None:
        task._context = context
    rows, failures = run_with_failures([{"text": t} for t in texts or moods], task)
    return rows, failures, journal(llm.tag).events


# ------------------------------------------------------------------------------- one generation


def test_an_answer_of_no_use_is_asked_for_again_with_another_seed() -> None:
    moods = {"a": [USELESS, USELESS, "good"], "b": ["good"]}
    rows, failures, requests = asked(moods, max_retries=2)
    assert sorted((row["text"], row["answer"]) for row in rows) == [("a", "good"), ("b", "good")]
    assert not failures
    of_a = [seed for prompt, _, seed in requests if prompt == "a"]
    assert len(of_a) == len(set(of_a)) == 3
    assert len(requests) == 4
    [metadata] = [row[METADATA] for row in rows if row["text"] == "a"]
    assert metadata["failure_ask"] is None
    assert metadata["raw_output_ask"] == "good"


def test_it_is_not_asked_more_often_than_allowed() -> None:
    [row], [failure], requests = asked({"a": [USELESS]}, max_retries=2)
    assert len(requests) == 3
    assert (failure.kind, failure.attempts, failure.raw_output) == ("parse", 3, USELESS)
    assert row["answer"] is None
    assert row[METADATA]["failure_ask"]["attempts"] == 3


def test_nothing_is_asked_again_by_default() -> None:
    _, [failure], requests = asked({"a": [USELESS, "good"]})
    assert (failure.attempts, len(requests)) == (1, 1)


def test_answers_against_their_schema_are_asked_for_again() -> None:
    broken = {"kind": "schema", "message": "no JSON", "attempts": 1, "raw_output": "{"}
    [row], failures, requests = asked({"a": [broken, "good"]}, max_retries=1)
    assert (row["answer"], failures, len(requests)) == ("good", [], 2)


@pytest.mark.parametrize("kind", ["too_long", "refused", "render"])
def test_what_lasts_is_never_asked_again(kind: str, pauses: list[int]) -> None:
    for mood in ((kind, 1), {"kind": kind, "message": "no", "attempts": 1}):
        _, [failure], requests = asked({"a": [mood, "good"]}, max_retries=5)
        assert (failure.kind, failure.attempts, len(requests)) == (kind, 1, 1)
    assert not pauses


@pytest.mark.parametrize("kind", ["engine", "timeout", "rate_limit"])
def test_what_passes_is_asked_again_after_a_pause(kind: str, pauses: list[int]) -> None:
    [row], failures, requests = asked({"a": [(kind, 1), (kind, 1), "good"]}, max_retries=3)
    assert (row["answer"], failures) == ("good", [])
    # It is the same request: an undisturbed run has the same answer.
    assert len(requests) == 3
    assert len({seed for _, _, seed in requests}) == 1
    assert pauses == [1, 2]


def test_what_the_llm_has_tried_again_is_not_tried_again(pauses: list[int]) -> None:
    _, [failure], requests = asked({"a": [("rate_limit", 7), "good"]}, max_retries=3)
    assert (failure.kind, failure.attempts, len(requests)) == ("rate_limit", 7, 1)
    assert not pauses


def test_rendering_is_not_tried_again() -> None:
    llm = MoodyLLM(tag=new_name())
    _, [failure] = run_with_failures([{"text": 7}], Ask(name="ask", llm=llm, max_retries=3))
    assert (failure.kind, failure.attempts) == ("render", 1)


# ---------------------------------------------------------------------------- several generations


@pytest.mark.parametrize("grouped", [False, True])
def test_only_the_generations_that_failed_are_asked_again(grouped: bool) -> None:
    moods = {"a": ["one", USELESS, "three", USELESS, "two"]}
    rows, failures, requests = asked(
        moods, max_retries=2, num_generations=3, group_generations=grouped
    )
    answers = rows[0]["answer"] if grouped else [row["answer"] for row in rows]
    assert answers == ["one", "two", "three"]
    assert not failures
    assert [count for _, count, _ in requests] == [3, 1, 1]
    metadata = [row[METADATA] for row in rows]
    raw = metadata[0]["raw_output_ask"] if grouped else [m["raw_output_ask"] for m in metadata]
    assert raw == ["one", "two", "three"]


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("keeps_raw", [False, True])
def test_a_generation_that_stays_of_no_use(grouped: bool, keeps_raw: bool) -> None:
    rows, [failure], _ = asked(
        {"a": ["one", USELESS, "three", USELESS + "!", USELESS + "?"]},
        max_retries=2,
        num_generations=3,
        group_generations=grouped,
        add_raw_output=keeps_raw,
    )
    answers = rows[0]["answer"] if grouped else [row["answer"] for row in rows]
    assert answers == ["one", None, "three"]
    # The failure has the answer, whether or not the row has it.
    assert (failure.kind, failure.attempts, failure.raw_output) == ("parse", 3, USELESS + "?")
    assert ("raw_output_ask" in rows[0][METADATA]) is keeps_raw


def test_each_generation_has_seeds_of_its_own() -> None:
    _, failures, requests = asked({"a": [USELESS]}, max_retries=1, num_generations=3)
    assert [failure.attempts for failure in failures] == [2, 2, 2]
    assert [count for _, count, _ in requests] == [3, 1, 1, 1]
    assert len({seed for _, _, seed in requests}) == 4


# ---------------------------------------------------------------------------- own rollouts


def test_a_rollout_of_a_tasks_own_is_repeated_as_a_whole() -> None:
    moods = {"a": ["x", "y"], "about a": [USELESS, "good"]}
    [row], failures, requests = asked(moods, ["a"], cls=Twice, max_retries=1)
    assert (row["answer"], row["first"], failures) == ("good", "y", [])
    assert [prompt for prompt, _, _ in requests] == ["a", "about a"] * 2
    assert len({seed for _, _, seed in requests}) == 4


def test_a_rollout_whose_engine_fails_is_repeated_with_the_same_seeds(pauses: list[int]) -> None:
    moods = {"a": ["x"], "about a": [("engine", 1), "good"]}
    [row], failures, requests = asked(moods, ["a"], cls=Twice, max_retries=1)
    assert (row["answer"], failures) == ("good", [])
    assert len({seed for _, _, seed in requests}) == 2
    assert pauses == [1]


# ---------------------------------------------------------------------------- runs after runs


def checkpointed(tmp_path: Any, **fields: Any) -> RunContext:
    return RunContext(str(tmp_path), checkpoint=CheckpointSettings(), **fields)


def test_a_later_run_finds_every_attempt(tmp_path: Any) -> None:
    moods = {"a": ["one", USELESS, USELESS, "two"]}
    context = checkpointed(tmp_path)
    first = asked(moods, context=context, max_retries=2, num_generations=2)
    assert len(first[2]) == 3
    # With fewer retries too: what is there costs nothing.
    second = asked(moods, context=context, max_retries=0, num_generations=2)
    assert second[2] == []
    assert second[0] == first[0]


def test_a_run_that_retries_goes_on_counting(tmp_path: Any) -> None:
    moods = {"a": [USELESS], "b": ["fine"]}
    _, [failure], requests = asked(moods, context=checkpointed(tmp_path), max_retries=1)
    assert (failure.attempts, len(requests)) == (2, 3)

    retries = checkpointed(tmp_path, retries_failures=True)
    _, [failure], requests = asked(moods, context=retries, max_retries=1)
    assert (failure.attempts, len(requests)) == (4, 2)
    assert {prompt for prompt, _, _ in requests} == {"a"}

    moods = {"a": ["good"], "b": ["fine"]}
    rows, failures, requests = asked(moods, context=retries, max_retries=1)
    assert (len(rows), failures, len(requests)) == (2, [], 1)

    # What was mended stays so, also in a plain run that may ask once.
    again, failures, requests = asked(moods, context=checkpointed(tmp_path))
    # Answers at hand don't wait for those that are asked for: the order is another.
    assert (sorted(again, key=str), failures, requests) == (sorted(rows, key=str), [], [])


def test_own_rollouts_are_kept_by_attempt_too(tmp_path: Any) -> None:
    moods = {"a": ["x", "y"], "about a": [USELESS, "good"]}
    context = checkpointed(tmp_path)
    _, [failure], requests = asked(moods, ["a"], cls=Twice, context=context)
    assert (failure.attempts, len(requests)) == (1, 2)
    retries = checkpointed(tmp_path, retries_failures=True)
    better = {"a": ["y"], "about a": ["good"]}
    mended, failures, requests = asked(better, ["a"], cls=Twice, context=retries)
    assert (mended[0]["answer"], failures, len(requests)) == ("good", [], 2)
    assert asked(better, ["a"], cls=Twice, context=context) == (mended, [], [])


@pytest.mark.parametrize("kind", ["refused", "too_long"])
def test_a_run_that_retries_asks_once_also_for_what_lasted(tmp_path: Any, kind: str) -> None:
    lasting = {"kind": kind, "message": "no", "attempts": 1}
    asked({"a": [lasting]}, context=checkpointed(tmp_path))
    retries = checkpointed(tmp_path, retries_failures=True)
    _, [failure], requests = asked({"a": [lasting]}, context=retries, max_retries=3)
    assert (failure.attempts, len(requests)) == (2, 1)


def test_a_failure_that_passed_is_asked_again_as_it_was(tmp_path: Any) -> None:
    """An error isn't kept, so there is no further attempt."""
    undisturbed, _, [(_, _, seed)] = asked({"a": ["good"]})
    asked({"a": [("engine", 1)]}, context=checkpointed(tmp_path))
    retries = checkpointed(tmp_path, retries_failures=True)
    rows, failures, requests = asked({"a": ["good"]}, context=retries)
    assert requests == [("a", 1, seed)]
    assert [r["answer"] for r in rows] == [r["answer"] for r in undisturbed]
    assert not failures


# ---------------------------------------------------------------------------- pure parts


def test_an_output_survives_being_taken_apart() -> None:
    output: GenerateOutput = {
        "generations": ["a", None],
        "statistics": {"input_tokens": [5], "output_tokens": [1, 2]},
        "finish_reasons": ["stop", "length"],
        "failures": [None, {"kind": "schema", "message": "m", "attempts": 1}],
        "logprobs": [[1], [2]],
    }
    parts = [generation_of(output, i) for i in range(2)]
    assert put_together(parts) == {
        **output,
        "statistics": {"input_tokens": [5, 5], "output_tokens": [1, 2]},
    }


def test_max_retries_where_it_would_have_no_effect() -> None:
    class Own(Ask):
        def process(self, inputs: Any) -> Any:  # type: ignore[override]
            yield inputs

    class Makes(GeneratorTask):
        def process(self, offset: int = 0) -> Any:
            yield [], True

    for cls in (Own, Makes):
        with pytest.raises(DistilabelUserError, match="max_retries=2 has no effect"):
            check_llm(cls(name="own", llm=FakeLLM(), max_retries=2))
    check_llm(Ask(llm=FakeLLM(), max_retries=2))
