"""Rollouts: what a Task asks the engine about a row, and with which seeds."""

import asyncio
import random
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_distilabel.context import RunContext
from beam_distilabel.errors import EngineError, GenerationError, ParseError
from beam_distilabel.metadata import METADATA
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.progress import forget, read_progress
from beam_distilabel.rollouts import task_key
from beam_distilabel.row import DRAW, ROW_ID, Row
from beam_distilabel.transforms.columns.keep_columns import KeepColumns
from beam_distilabel.transforms.sources.load_data_from_dicts import LoadDataFromDicts
from beam_distilabel.transforms.tasks.text_generation import TextGeneration
from beam_distilabel.typing import GenerateOutput
from tests.fakes import (
    Ask,
    FakeLLM,
    SeededLLM,
    SyncFakeLLM,
    journal,
    new_name,
    no_engine_is_left,  # noqa: F401
    options,
    plain,
    run,
    run_from,
    run_with_failures,
)

pytestmark = pytest.mark.usefixtures("no_engine_is_left")


def ask(**fields: Any) -> Ask:
    return Ask(**{"name": "ask", "llm": SeededLLM(tag=new_name()), **fields})


class Talk(Ask):
    """Asks again and again about its own last answer."""

    turns: int = 3

    async def rollout(self, row: Row, generate: Any) -> list[Row]:
        chat = [{"role": "user", "content": row["text"]}]
        for _ in range(self.turns):
            output = await generate(chat)
            chat = [*chat, {"role": "user", "content": output["generations"][0]}]
        return [{**row, "answer": [message["content"] for message in chat]}]


class SampleMore(Ask):
    """Asks the same several times, at once, and makes a row of each answer."""

    async def rollout(self, row: Row, generate: Any) -> list[Row]:
        chat = [{"role": "user", "content": row["text"]}]
        outputs = await asyncio.gather(*(generate(chat, temperature=0.5) for _ in range(4)))
        return [{**row, "answer": output["generations"][0]} for output in outputs]


class Raises(Ask):
    """Ends its rollout by what the row says."""

    async def rollout(self, row: Row, generate: Any) -> list[Row]:
        await generate([{"role": "user", "content": row["text"]}])
        error = {
            "parse": ParseError("no verdict in it"),
            "timeout": TimeoutError("took too long"),
            "generation": GenerationError("refused", kind="refused"),
            "bug": KeyError("missing"),
            "rows": None,
        }[row["text"]]
        if error is not None:
            raise error
        return []


# ---------------------------------------------------------------------------------- rollouts


def test_a_rollout_that_asks_many_times() -> None:
    [row] = plain(run([{"text": "start"}], Talk(name="talk", llm=FakeLLM(tag="talk"))))
    assert row == {"text": "start", "answer": ["start"] * 4}


def test_rows_of_a_rollout_are_children_of_its_row() -> None:
    rows = run(
        [{"text": "a", ROW_ID: "0-3"}], SampleMore(name="more", llm=SeededLLM(tag=new_name()))
    )
    assert sorted(row[ROW_ID] for row in rows) == [f"0-3.{i}" for i in range(4)]
    assert len({row["answer"] for row in rows}) == 4


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("parse", "parse", "no verdict in it"),
        ("timeout", "timeout", "TimeoutError: took too long"),
        ("generation", "refused", "refused"),
        ("bug", "user_code", "KeyError: 'missing'"),
    ],
)
def test_a_rollout_that_raises_costs_its_row(text: str, kind: str, message: str) -> None:
    rows, [failure] = run_with_failures(
        [{"text": text}, {"text": "rows"}], Raises(name="r", llm=FakeLLM())
    )
    [row] = rows
    assert (failure.kind, failure.message) == (kind, message)
    assert row[METADATA]["failure_r"] == failure.reason()
    # What was sent last is known, though the rollout said nothing about it.
    assert row[METADATA]["raw_input_r"] == [{"role": "user", "content": text}]
    assert row["answer"] is None


def test_a_dead_engine_ends_the_run() -> None:
    class Dead(Engine):
        async def generate(self, request: GenerateRequest) -> GenerateOutput:
            raise EngineError("the engine died: CUDA out of memory")

    class DeadLLM(FakeLLM):
        def make_engine(self) -> Engine:
            return Dead()

    with pytest.raises(Exception, match="CUDA out of memory"):
        run([{"text": "a"}], ask(llm=DeadLLM(tag=new_name()), on_failure="null"))


def test_a_task_that_cannot_be_loaded_leaves_no_engine() -> None:
    class Unloadable(Ask):
        def load(self) -> None:
            super().load()
            raise RuntimeError("the template is gone")

    tag = new_name()
    with pytest.raises(Exception, match="the template is gone"):
        run([{"text": "a"}], Unloadable(name="ask", llm=FakeLLM(tag=tag)))
    assert journal(f"{tag}/life").events == []


def test_generation_arguments() -> None:
    tag = new_name()
    llm = SeededLLM(tag=tag, generation_kwargs={"temperature": 0.1})
    run([{"text": "a"}], ask(llm=llm), SampleMore(name="more", llm=llm))
    arguments = [request.generation_kwargs for request in journal(tag).events]
    assert arguments == [{"temperature": 0.1}] + [{"temperature": 0.5}] * 4


# ---------------------------------------------------------------------------------- seeds


def seeds(rows: list[Row]) -> dict[tuple[str, int], str]:
    """(text, draw) to the answer, which shows the seed."""
    found = {(row["text"], row.get(DRAW, 0)): row["answer"] for row in rows}
    assert len(found) == len(rows)
    return found


DATA = [{"text": f"question {n // 2}"} for n in range(60)]  # every row twice


def test_seeds_depend_on_the_row_alone() -> None:
    """Not on workers, order, batches, ids, or the other rows."""
    step = ask(num_generations=1)
    found = seeds(run_from(LoadDataFromDicts(data=DATA), step))
    assert len(set(found.values())) == len(DATA)
    assert all("None" not in answer for answer in found.values())
    assert seeds(run_from(LoadDataFromDicts(data=DATA), step, workers=4)) == found
    shuffled = random.Random(3).sample(DATA, len(DATA))
    assert seeds(run_from(LoadDataFromDicts(data=shuffled, batch_size=7), step)) == found
    with_one_more = [{"text": "at the top"}, *DATA]
    more = seeds(run_from(LoadDataFromDicts(data=with_one_more), step))
    assert {key: more[key] for key in found} == found
    named = [{"text": row["text"], ROW_ID: f"9-{i}", DRAW: i % 2} for i, row in enumerate(DATA)]
    assert seeds(run(named, step)) == found


def test_five_copies_of_a_row_are_five_samples() -> None:
    source = LoadDataFromDicts(data=[{"text": "same"}] * 5)
    assert len({row["answer"] for row in run_from(source, ask())}) == 5
    # Of plain Beam's rows as well, as long as they are in one bundle.
    assert len({row["answer"] for row in run([{"text": "same"}] * 5, ask())}) == 5


def test_equal_rows_without_draws_share_an_answer() -> None:
    rows = [{"text": "same", ROW_ID: f"{unit}-0"} for unit in range(3)]
    assert len({row["answer"] for row in run(rows, ask())}) == 1


def test_generations_of_a_task_are_seeded_by_one_request() -> None:
    tag = new_name()
    rows = run([{"text": "a"}], ask(llm=SeededLLM(tag=tag), num_generations=3))
    [request] = journal(tag).events
    assert request.num_generations == 3
    assert {row["answer"] for row in rows} == {f"a#{request.seed}/{i}" for i in range(3)}


def test_asking_the_same_again_is_another_sample() -> None:
    step = SampleMore(name="more", llm=SeededLLM(tag=new_name()))
    first = {row["answer"] for row in run([{"text": "a"}], step)}
    assert len(first) == 4
    assert {row["answer"] for row in run([{"text": "a"}], step)} == first


def test_what_else_the_seed_depends_on() -> None:
    def seed(**fields: Any) -> str:
        context = fields.pop("context", RunContext())
        step = ask(**{"llm": SeededLLM(tag="seeds"), **fields})
        step._context = context
        [row] = run([{"text": "a"}], step)
        return str(row["answer"])

    plain_seed = seed()
    assert seed(on_failure="drop", add_raw_input=False, use_cache=False) == plain_seed
    others = [
        seed(name="another"),
        seed(context=RunContext(seed=1)),
        seed(llm=SeededLLM(tag="another model")),
        seed(llm=SeededLLM(tag="seeds", generation_kwargs={"temperature": 0.1})),
    ]
    assert len({plain_seed, *others}) == 5


def test_the_key_of_a_task_has_its_prompt_and_not_its_way() -> None:
    def key(**fields: Any) -> str:
        return task_key(TextGeneration(**{"name": "t", "llm": FakeLLM(), **fields}))

    assert key() == key(input_batch_size=3, output_mappings={"generation": "g"})
    assert len({key(), key(system_prompt="Be brief."), key(template="{{ instruction }}!")}) == 3


def test_the_module_of_an_llm_is_not_in_the_key() -> None:
    """The command line runs a script under another name than Python does."""
    parts: dict[str, Any] = {"__annotations__": {}}
    classes = [
        type("Own", (FakeLLM,), {**parts, "__module__": name})
        for name in ("__main__", "beam_distilabel_script")
    ]
    first, second = (task_key(TextGeneration(name="t", llm=own())) for own in classes)
    assert first == second
    other = type("Other", (FakeLLM,), {**parts, "__module__": "__main__"})
    assert task_key(TextGeneration(name="t", llm=other())) != first


# ---------------------------------------------------------------------------------- progress


def test_progress_counts_rows_failures_and_tokens(tmp_path: Any) -> None:
    step = ask(llm=FakeLLM(tag="counted"), num_generations=2, on_failure="drop")
    step._context = RunContext(run_dir=str(tmp_path))
    run([{"text": "four"}, {"text": "[raise]"}], step)
    forget(str(tmp_path))
    counts = read_progress(str(tmp_path))["ask"]
    assert {k: counts[k] for k in ("rows_in", "rows_out", "input_tokens", "output_tokens")} == {
        "rows_in": 2,
        "rows_out": 2,
        "input_tokens": 4,
        "output_tokens": 8,
    }
    assert counts["engine"] == "FakeLLM"


# ---------------------------------------------------------------------------------- poison

POISON: list[tuple[str, Any, bool]] = [
    ("a model call that raises", "[raise]", False),
    ("an answer that can't be parsed", "[garbage]", False),
    ("an answer that is None", "[none]", False),
    ("an answer that is empty", "[empty]", True),
    ("an LLM that returns nothing", "[nothing]", False),
    ("an LLM that returns no list", "[no list]", False),
    ("an LLM that returns too few", "[few]", False),
    ("an LLM that ends the process", "[exit]", False),
    ("a prompt that is too long", "[too long]", False),
    ("None", None, False),
    ("a number", 5, False),
    ("a list", ["a", "b"], False),
    ("a dict", {"a": "b"}, False),
    ("5 MB", "5 MB " * 2**20, True),
    ("a lone surrogate", "half a \ud83d character", True),
    ("template syntax", "{{ 7 * 7 }} {% raw %} {# {0} {instruction} ${x} %s", True),
    ("control characters", "\x00\x01\x1b[31m\r\n\u2028\ufeff", True),
    ("nothing special", "hello", True),
]


@pytest.mark.parametrize("make_llm", [FakeLLM, SyncFakeLLM], ids=["async", "sync"])
def test_poisoned_rows_cost_themselves_only(make_llm: Any) -> None:
    if make_llm is FakeLLM:
        # An asyncio task can't survive the end of the process that its coroutine asked for.
        poison = [case for case in POISON if case[0] != "an LLM that ends the process"]
    else:
        poison = POISON

    class Careful(TextGeneration):
        def format_output(self, output: Any, input: Row | None = None) -> dict[str, Any]:
            if output is None or "[RESULT] 9" in output:
                raise ParseError("no answer in it")
            return {"generation": output}

    data = [{"case": case, "instruction": text} for case, text, _ in poison] * 2
    first = Careful(name="first", llm=make_llm(tag=new_name()))
    second = TextGeneration(
        name="second",
        llm=make_llm(tag=new_name()),
        columns=["generation"],
        template="Again: {{ generation }}",
        output_mappings={"generation": "again"},
    )
    # A column of a source holds one type; Beam's own can't carry what isn't Unicode.
    texts = [row for row in data if isinstance(row["instruction"], str)]
    others = [row for row in data if row not in texts]
    found = new_name()
    with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as pipeline:
        _ = (
            (pipeline | LoadDataFromDicts(data=texts), pipeline | beam.Create(others))
            | beam.Flatten()
            | first
            | second
            | KeepColumns(columns=["case", "instruction", "generation", "again"])
            | beam.Map(lambda row, name: journal(name).add(row), found)
        )
    rows = journal(found).events
    assert len(rows) == len(data)
    good = {case: survives for case, _, survives in poison}
    for row in rows:
        reasons = {name: row[METADATA][f"failure_{name}"] for name in ("first", "second")}
        survives = good[row["case"]]
        assert (reasons["first"] is None) == survives, (row["case"], reasons)
        assert (row["generation"] is not None) == survives, row["case"]
        assert (row["again"] is not None) == survives, row["case"]
        if survives:
            assert reasons["second"] is None
        else:
            assert reasons["first"]["message"]
            # The row without an answer fails in the next Task as well, and says so.
            assert reasons["second"]["kind"] == "render"
            assert "generation" in reasons["second"]["message"]
