"""`Pipeline.preview`: real rows, and what they say of all."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from rich.console import Console
from typer.testing import CliRunner

from beam_distilabel.cli import app
from beam_distilabel.cli.preview import parse_prices
from beam_distilabel.errors import DistilabelUserError, RunFailedError, RunInterrupted
from beam_distilabel.pipeline import Pipeline, sample_n_steps
from beam_distilabel.pipeline.preview.estimates import total_of
from beam_distilabel.pipeline.preview.prices import Price, as_price
from beam_distilabel.step import GeneratorStep, Step
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts, LoadDataFromFileSystem
from beam_distilabel.steps.tasks import TextGeneration, UltraFeedback
from beam_distilabel.typing import GeneratorStepOutput, StepInput, StepOutput
from tests.pipeline.fakes import Add, Lose, Merge, Refuses, TaggedEcho, Times


class CountsWords(TaggedEcho):
    """Takes a token per word, and makes one more."""

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
        words = len(input[-1]["content"].split())
        return {
            "generations": ["fine"] * num_generations,
            "statistics": {
                "input_tokens": [words] * num_generations,
                "output_tokens": [words + 1] * num_generations,
            },
        }


class Forgets(Step):
    """Makes new rows of `x` alone."""

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield [{"x": row["x"]} for row in inputs]


class Endless(GeneratorStep):
    """Makes rows without an end, two at a time."""

    @property
    def outputs(self) -> list[str]:
        return ["x"]

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        while True:
            yield [{"x": offset}, {"x": offset + 1}], False
            offset += 2


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("DISTILABEL_CACHE_DIR", str(folder))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return folder


WORDS = [{"instruction": "word " * (1 + x % 3), "x": x} for x in range(300)]


def test_prompts_answers_rows_and_what_all_would_take(cache: Path) -> None:
    with Pipeline(name="words") as pipeline:
        load = LoadDataFromDicts(name="load", data=WORDS)
        ask = TextGeneration(name="ask", llm=CountsWords(tag="m"), add_raw_input=False)
        twice = Times(name="twice", times=2, lose=[1])
        again = TextGeneration(name="again", llm=CountsWords(tag="m"), group_generations=True)
        again.num_generations = 3
        _ = load >> ask >> twice >> again >> Forgets(name="forgets")
    preview = pipeline.preview(3, prices={"m": (10, 100)})

    assert preview.loaders == {"load": (3, 300)}
    assert preview.subsets == {"default": [{"x": 0}, {"x": 0}, {"x": 2}, {"x": 2}]}
    asked = [one for one in preview.exchanges if one.step == "ask"]
    assert [(one.prompt[-1]["content"], one.answer) for one in asked] == [
        (row["instruction"], "fine") for row in WORDS[:3]
    ]
    assert {one.outputs["generation"] for one in asked} == {"fine"}
    grouped = [one for one in preview.exchanges if one.step == "again"]
    assert [(one.prompt[-1]["content"], one.outputs["generation"]) for one in grouped] == [
        (WORDS[x]["instruction"], "fine") for x in (0, 0, 2, 2) for _ in range(3)
    ]

    by_step = {step.step: step for step in preview.steps}
    assert by_step["load"].whole["rows"].value == 300
    assert by_step["twice"].whole["rows"].value == 400
    # One, two and three words: all rows together have 600.
    tokens = by_step["ask"].whole["input_tokens"]
    assert tokens.value == 600 and tokens.low == 6 and tokens.high is not None
    assert tokens.high == pytest.approx(600 + 4.303 * 300 / math.sqrt(3) * math.sqrt(0.99))
    assert by_step["ask"].whole["requests"].value == 300
    assert by_step["ask"].whole["cost"].value == pytest.approx((600 * 10 + 900 * 100) / 1e6)
    assert by_step["ask"].whole["seconds"].low is not None
    total = preview.total["cost"]
    assert total.value == pytest.approx(
        sum(by_step[s].whole["cost"].value for s in ("ask", "again"))
    )
    assert total.low is not None and total.high is not None and total.low < total.value < total.high

    assert not cache.exists() and not list(cache.parent.glob("beam-distilabel-preview-*"))
    console = Console(record=True, width=160)
    preview.print(console)
    shown = console.export_text()
    for text in ("word word word", "fine", "the whole run", "600 (6 to ", "not a random sample"):
        assert text in shown
    json.dumps(preview.to_dict())


def test_failures_are_shown_with_their_reasons() -> None:
    with Pipeline(name="refused") as pipeline:
        load = LoadDataFromDicts(data=[{"instruction": "good"}, {"instruction": "bad"}])
        _ = load >> TextGeneration(name="ask", llm=Refuses())
    preview = pipeline.preview(2)
    good, bad = preview.exchanges
    assert good.failure is None and good.answer == "fine"
    assert bad.failure is not None and bad.answer is None
    assert [row["row"]["instruction"] for row in preview.failures] == ["bad"]
    console = Console(record=True, width=160)
    preview.print(console)
    assert "that is a bad prompt" in console.export_text()


class Unparsable(TaggedEcho):
    """Answers what a judge can't use, with no word of its tokens."""

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
        return {"generations": ["no rating at all"] * num_generations}


JUDGED = [{"instruction": f"what is {x}?", "generations": ["a", "b"]} for x in range(20)]


def test_where_all_rows_fail_prompts_answers_and_reasons_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Pipeline(name="judged") as pipeline:
        load = LoadDataFromDicts(name="load", data=JUDGED)
        judge = UltraFeedback(name="judge", llm=Unparsable())
        _ = load >> judge
    preview = pipeline.preview(3)
    assert len(preview.failures) == 3
    for row, exchange in zip(JUDGED, preview.exchanges, strict=False):
        assert row["instruction"] in str(exchange.prompt)
        assert exchange.answer == "no rating at all"
        assert exchange.failure is not None and exchange.failure["kind"] == "parse"
    assert preview.verdict is not None and "All 3 rows of Step 'judge' failed" in preview.verdict
    console = Console(record=True, width=160)
    preview.print(console)
    shown = console.export_text()
    for text in ("what is 2?", "no rating at all", "found none", "All 3 rows of Step 'judge'"):
        assert text in shown
    assert not list(tmp_path.glob("beam-distilabel-preview-*"))


class TellsOften(CountsWords):
    """Tells no tokens of an answer to two words."""

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
        answer = await super().agenerate(input, num_generations)
        if len(input[-1]["content"].split()) == 2:
            del answer["statistics"]
        return answer


@pytest.mark.parametrize("model", [Unparsable, TellsOften])
def test_tokens_that_a_model_does_not_tell_are_unknown(model: type[TaggedEcho]) -> None:
    with Pipeline(name="silent") as pipeline:
        load = LoadDataFromDicts(name="load", data=WORDS)
        tells = TextGeneration(name="tells", llm=CountsWords(tag="m"))
        _ = load >> tells >> TextGeneration(name="silent", llm=model(tag="s"))
    prices: dict[str, Any] = {"m": (10, 100), "s": (10, 100)}
    preview = pipeline.preview(3, prices=prices)
    by_step = {step.step: step for step in preview.steps}
    unknown = ("input_tokens", "output_tokens", "cost")
    assert by_step["silent"].unknown == unknown
    assert not set(unknown) & (by_step["silent"].seen.keys() | by_step["silent"].whole.keys())
    assert preview.lower_bounds == unknown
    tokens = preview.total["input_tokens"]
    assert (tokens.value, tokens.low, tokens.high) == (600, 6, None)
    console = Console(record=True, width=160)
    preview.print(console)
    shown = console.export_text()
    for text in ("unknown", "600 (6 or more)", "- silent: the model doesn't tell its tokens"):
        assert text in shown

    # Hours are paid for, whatever the tokens; and a total of nothing isn't known either.
    by_hour = pipeline.preview(3, prices={"m": (10, 100), "s": {"gpu_hour": 1}})
    assert by_hour.total["cost"].high is not None
    assert by_hour.lower_bounds == unknown[:2]


def test_a_total_of_which_nothing_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    with Pipeline(name="silent") as pipeline:
        load = LoadDataFromDicts(name="load", data=WORDS)
        _ = load >> TextGeneration(name="silent", llm=Unparsable())
    pipeline.dry_run(batch_size=2)
    rows = [line.split() for line in capsys.readouterr().err.splitlines()]
    unknown = [(row[1], row.count("unknown")) for row in rows if "unknown" in row]
    assert unknown == [("silent", 2), ("total", 2)]


def test_a_folder_stays_only_where_an_error_names_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ends: list[type[BaseException]] = [DistilabelUserError, RunInterrupted, RunFailedError]

    def end(request: Any) -> None:
        raise ends[0](f"see {request.directory.path}")

    monkeypatch.setattr("beam_distilabel.pipeline.preview.running.start", end)
    with Pipeline(name="ends") as pipeline:
        _ = LoadDataFromDicts(data=WORDS) >> Add(name="add")
    while ends:
        with pytest.raises(ends[0]) as error:
            pipeline.preview(1)
        left = [str(path) for path in tmp_path.glob("beam-distilabel-preview-*")]
        if ends.pop(0) is RunFailedError:
            assert left and left[0] in str(error.value)
        else:
            assert left == []


def test_two_loaders_that_meet_and_a_router(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f'{{"x": {x}}}\n' for x in range(40)))
    with Pipeline(name="meet") as pipeline:
        one = LoadDataFromDicts(name="one", data=[{"instruction": str(x)} for x in range(100)])
        two = LoadDataFromFileSystem(name="two", data_files=str(file))
        ask = TextGeneration(name="ask", llm=CountsWords())
        one >> ask
        a, b = Add(name="a", column="b"), Add(name="b", column="b")
        [ask, two] >> Merge(name="merge") >> sample_n_steps(1) >> [a, b]
    preview = pipeline.preview(4)
    by_step = {step.step: step for step in preview.steps}
    assert preview.loaders == {"one": (4, 100), "two": (4, None)}  # a text file's aren't known
    assert "two can't tell how many rows there are" in " ".join(preview.assumptions)
    assert by_step["merge"].whole == {}
    assert by_step["ask"].whole["requests"].value == 100
    assert by_step["merge"].rows_out == 4
    assert sorted(row["x"] for rows in preview.subsets.values() for row in rows) == [0, 1, 2, 3]
    assert set(preview.subsets) == {"a", "b"}


def test_a_task_whose_rows_are_routed_is_told_by_the_rows_after_it() -> None:
    with Pipeline(name="routed") as pipeline:
        load = LoadDataFromDicts(data=WORDS)
        ask = TextGeneration(name="ask", llm=CountsWords())
        a, b = Add(name="a"), Add(name="b")
        load >> ask >> sample_n_steps(2) >> [a, b]
    preview = pipeline.preview(4)
    assert len(preview.exchanges) == 4
    assert len(preview.subsets["a"]) == len(preview.subsets["b"]) == 4


def test_a_loader_without_an_end_says_nothing_of_the_whole() -> None:
    with Pipeline(name="endless") as pipeline:
        _ = Endless(name="load") >> Add(name="add") >> KeepColumns(name="k", columns=["a"])
    preview = pipeline.preview(5)
    assert preview.subsets["default"] == [{"a": str(x)} for x in range(5)]
    assert preview.loaders == {"load": (5, None)} and preview.total == {}
    assert all(step.whole == {} for step in preview.steps)
    assert "load can't tell how many rows there are" in " ".join(preview.assumptions)
    assert len(pipeline.dry_run(batch_size=5)["default"]["train"]) == 5


def test_rows_given_and_all_of_them_seen() -> None:
    with Pipeline(name="given") as pipeline:
        TextGeneration(name="ask", llm=CountsWords(tag="m")) >> Lose(name="lose")
    preview = pipeline.preview(10, dataset=WORDS[:4], prices={"ask": {"gpu_hour": 3600}})
    assert {step.scale for step in preview.steps} == {1.0}
    tokens = preview.total["input_tokens"]
    assert (tokens.value, tokens.low, tokens.high) == (7, 7, 7)
    assert preview.total["cost"].value == pytest.approx(preview.total["seconds"].value)


def test_a_second_dry_run_says_that_it_used_answers_of_the_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Pipeline(name="again") as pipeline:
        _ = LoadDataFromDicts(data=WORDS) >> TextGeneration(name="ask", llm=CountsWords())
    pipeline.dry_run(batch_size=2)
    assert "the whole run" in capsys.readouterr().err
    pipeline.dry_run(batch_size=2)
    assert "ask used answers that were there already" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        ({"mm": (1, 2)}, "no model 'mm' in this pipeline. Did you mean 'm'"),
        ({"m": (1, -2)}, "output=-2 is no price"),
        ({"m": (1, float("nan"))}, "output=nan is no price"),
        ({"m": 3}, "'m' costs 3, which is none. It is two numbers"),
        ({"m": {"inptu": 1}}, "'inptu', which is unknown. Did you mean 'input'"),
        ({"m": {"input": 1, "gpu_hour": 2}}, "not both"),
        ({"m": {"gpu_hour": True}}, "gpu_hour=True is no price"),
        ([("m", 1)], "has to be a dict of model to price"),
    ],
)
def test_prices_are_checked_before_anything_runs(prices: Any, message: str) -> None:
    with Pipeline(name="priced") as pipeline:
        load = Endless(name="load", output_mappings={"x": "instruction"})
        _ = load >> TextGeneration(name="ask", llm=CountsWords(tag="m"))
    with pytest.raises(DistilabelUserError, match=message):
        pipeline.preview(1, prices=prices)


@pytest.mark.parametrize("rows", [0, -1, True, 1.5])
def test_how_many_rows_is_checked(rows: Any) -> None:
    with Pipeline(name="rows") as pipeline:
        _ = LoadDataFromDicts(data=WORDS) >> Add(name="add")
    with pytest.raises(DistilabelUserError, match="rows can't be tried"):
        pipeline.preview(rows)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.integers(1, 10**9), st.booleans())
def test_an_estimate_lies_in_its_range_and_above_what_was_seen(
    sizes: list[float], more: int, told: bool
) -> None:
    seen = sum(sizes)
    total = total_of(seen, sizes if told else None, len(sizes), len(sizes) + more)
    assert total.value >= seen or math.isclose(total.value, seen)
    if total.low is not None and total.high is not None:
        assert seen <= total.low <= max(seen, total.value) <= total.high * (1 + 1e-9)
    else:
        assert not told or len(sizes) < 2


def test_prices_of_the_command_line() -> None:
    assert as_price(parse_prices(["a=b=1,2"])["a=b"]) == Price(1, 2)
    assert as_price(parse_prices(["m=4x2.5/h"])["m"]).of_seconds(1800) == 5
    for text in ("m", "m=", "=1,2", "m=1", "m=a,b", "m=1,2,3", "m=x/h"):
        with pytest.raises(DistilabelUserError, match="expected <model>=<input>,<output>"):
            parse_prices([text])
    with pytest.raises(DistilabelUserError, match="already has a price"):
        parse_prices(["m=1,2", "m=1,2"])


def test_the_command(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from tests.pipeline.test_preview import CountsWords

with Pipeline(name="script") as pipeline:
    load = LoadDataFromDicts(data=[{"instruction": "a b"}] * 10)
    _ = load >> TextGeneration(name="ask", llm=CountsWords(tag="m"))
"""
    )
    arguments = ["preview", "--script", str(script), "--rows", "2", "--price", "m=1,2"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["total"]["input_tokens"] == {"value": 20, "low": 20, "high": 20}
    assert found["total"]["cost"]["value"] == pytest.approx((20 + 2 * 30) / 1e6)
    done = CliRunner().invoke(app, [*arguments, "--param", "ask.num_generations=2"])
    assert done.exit_code == 0 and "ask" in done.stdout and "total" in done.stdout


def test_the_command_fails_where_all_rows_do_and_shows_them(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import UltraFeedback
from tests.pipeline.test_preview import JUDGED, Unparsable

with Pipeline(name="judged") as pipeline:
    _ = LoadDataFromDicts(data=JUDGED) >> UltraFeedback(name="judge", llm=Unparsable())
"""
    )
    arguments = ["preview", "--script", str(script), "--rows", "2"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "no rating at all" in done.stdout and "All 2 rows of Step 'judge'" in done.stdout
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 1
    assert len(json.loads(done.stdout)["exchanges"]) == 2
