"""One poisoned row among a thousand: it costs itself, says why, and is mended alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.pipeline import Pipeline
from beam_distilabel.row import Row
from beam_distilabel.transforms.sources.load_data_from_dicts import LoadDataFromDicts
from beam_distilabel.transforms.sources.load_data_from_file_system import LoadDataFromFileSystem
from beam_distilabel.transforms.tasks.text_generation import ChatGeneration, TextGeneration
from tests.fakes import Ask, FakeLLM, journal, new_name
from tests.pipeline.running import failures_of, rows_of

ROWS = 1_000
POISONED = 617


def texts(poison: Any) -> list[Any]:
    """What the rows ask; one of them is something else."""
    return [poison if i == POISONED else f"question {i}" for i in range(ROWS)]


class Forgiving(Ask):
    """Takes what `Ask` can't parse: its parser was mended."""

    def format_output(self, output: Any, input: Row | None = None) -> dict[str, Any]:
        return {"answer": output}


def ask(tag: str, poison: Any, cls: type[Ask] = Ask, **fields: Any) -> Pipeline:
    with Pipeline(name="poison") as pipeline:
        data = LoadDataFromDicts(data=[{"text": text} for text in texts(poison)], name="load")
        _ = data >> cls(name="ask", llm=FakeLLM(tag=tag), **fields)
    return pipeline


def share(tag: str, poison: Any) -> Pipeline:
    """Asks about a share; the template fails where there is nothing to share among."""
    data = [{"text": f"{i}", "among": poison if i == POISONED else 3} for i in range(ROWS)]
    with Pipeline(name="poison") as pipeline:
        task = TextGeneration(
            name="ask",
            template="{{ text }}: {{ 12 // among }}",
            columns=["text", "among"],
            llm=FakeLLM(tag=tag),
            output_mappings={"generation": "answer"},
        )
        _ = LoadDataFromDicts(data=data, name="load") >> task
    return pipeline


def checked(folder: Path, kind: str, message: str) -> Row:
    """The failure of the poisoned row, which is the only one."""
    [failure] = failures_of(folder)
    assert (failure["step"], failure["kind"]) == ("ask", kind)
    assert message in failure["message"]
    assert failure["_row_id"] == failure["row"]["_row_id"] == f"0-{POISONED}"
    return failure


@pytest.mark.parametrize(
    ("build", "poison", "mended", "kind", "message"),
    [
        pytest.param(ask, "[too long] " * 10, "short", "too_long", "tokens", id="too long"),
        pytest.param(ask, "[garbage]", "fine", "parse", "can't be parsed", id="unparsable"),
        pytest.param(ask, "[none]", "fine", "parse", "can't be parsed", id="no answer"),
        pytest.param(ask, "[raise]", "fine", "engine", "refused", id="the model raises"),
        pytest.param(ask, 41, "fine", "render", "no text: int", id="a number"),
        pytest.param(ask, {"a": [1]}, "fine", "render", "no text: dict", id="a dict"),
        pytest.param(ask, None, "fine", "render", "no text: NoneType", id="None"),
        pytest.param(share, 0, 3, "render", "ZeroDivisionError", id="template"),
        pytest.param(share, None, 3, "render", "", id="template with None"),
    ],
)
def test_mended_data(
    tmp_path: Path,
    build: Callable[..., Pipeline],
    poison: Any,
    mended: Any,
    kind: str,
    message: str,
) -> None:
    tag = new_name()
    rows = rows_of(build(tag, poison).run(output_dir=tmp_path, logging_handlers=[]))
    assert len(rows) == ROWS
    assert [i for i, row in enumerate(rows) if row["answer"] is None] == [POISONED]
    checked(tmp_path, kind, message)

    asked = len(journal(tag).events)
    rows = rows_of(build(tag, mended).run(output_dir=tmp_path, logging_handlers=[]))
    assert len(rows) == ROWS and all(row["answer"] is not None for row in rows)
    assert failures_of(tmp_path) == []
    assert len(journal(tag).events) == asked + 1


def test_a_mended_parser_asks_nothing(tmp_path: Path) -> None:
    tag = new_name()
    ask(tag, "[garbage]").run(output_dir=tmp_path, logging_handlers=[])
    failure = checked(tmp_path, "parse", "can't be parsed")
    assert failure["raw_output"] == "{{ 7 * 7 }} [RESULT] 9"
    again = ask(tag, "[garbage]", Forgiving).run(output_dir=tmp_path, logging_handlers=[])
    assert rows_of(again)[POISONED]["answer"] == failure["raw_output"]
    assert len(journal(tag).events) == ROWS


def test_a_retry_asks_the_poisoned_row_only(tmp_path: Path) -> None:
    """The model answers with garbage once; its second answer is in the null row's place."""
    tag = new_name()
    first = rows_of(ask(tag, "[once] [garbage]").run(output_dir=tmp_path, logging_handlers=[]))
    assert first[POISONED]["answer"] is None
    with Pipeline(name="poison") as pipeline:
        data = LoadDataFromDicts(
            data=[{"text": text} for text in texts("[once] [garbage]")], name="load"
        )
        _ = data >> Ask(name="ask", llm=Better(tag=tag))
    mended = rows_of(pipeline.run(dataset=tmp_path / "failures", logging_handlers=[]))
    assert mended[POISONED]["answer"] == "much better"
    assert mended[:POISONED] + mended[POISONED + 1 :] == first[:POISONED] + first[POISONED + 1 :]
    assert failures_of(tmp_path) == []
    assert journal(f"{tag}/better").events == ["[once] [garbage]"]


class Better(FakeLLM):
    """The same model as far as anybody can tell, on a better day."""

    def answer_identity(self) -> dict[str, Any]:
        return FakeLLM(tag=self.tag).answer_identity()

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1, temperature: float = 1.0
    ) -> Any:
        journal(f"{self.tag}/better").add(input[-1]["content"])
        return {"generations": ["much better"] * num_generations}


def test_lone_surrogates_cost_nothing(tmp_path: Path) -> None:
    """JSON can spell them, UTF-8 and runners can't carry them: the row goes on with escapes."""
    file = tmp_path / "rows.jsonl"
    file.write_text(
        "\n".join(json.dumps({"text": text}) for text in texts("half \ud83d a character"))
    )
    tag = new_name()
    with Pipeline(name="poison") as pipeline:
        load = LoadDataFromFileSystem(data_files=str(file), name="load")
        _ = load >> Ask(name="ask", llm=FakeLLM(tag=tag))
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run", logging_handlers=[]))
    assert rows[POISONED]["answer"] == "half \\ud83d a character"
    assert len(rows) == ROWS
    assert failures_of(tmp_path / "run") == []

    answered = rows_of(ask(tag, "[surrogate]").run(output_dir=tmp_path / "a", logging_handlers=[]))
    assert answered[POISONED]["answer"] == "half a \\ud83d character"
    assert failures_of(tmp_path / "a") == []


def test_five_megabytes_cost_nothing(tmp_path: Path) -> None:
    text = "x" * 5_000_000
    rows = rows_of(ask(new_name(), text).run(output_dir=tmp_path, logging_handlers=[]))
    assert rows[POISONED]["answer"] == text
    assert failures_of(tmp_path) == []


@pytest.mark.parametrize("file_is", ["cut", "no JSON"])
def test_a_record_that_cannot_be_read(tmp_path: Path, file_is: str) -> None:
    lines = [json.dumps({"text": text}) for text in texts("mended")]
    whole = lines[POISONED]
    lines[POISONED] = whole[:-3] if file_is == "cut" else "nothing"
    file = tmp_path / "rows.jsonl"
    tag = new_name()

    def run() -> list[Row]:
        file.write_text("\n".join(lines))
        with Pipeline(name="poison") as pipeline:
            load = LoadDataFromFileSystem(data_files=str(file), name="load")
            _ = load >> Ask(name="ask", llm=FakeLLM(tag=tag))
        return rows_of(pipeline.run(output_dir=tmp_path / "run", logging_handlers=[]))

    assert len(run()) == ROWS - 1
    [failure] = failures_of(tmp_path / "run")
    assert (failure["step"], failure["kind"]) == ("load", "read")
    assert failure["raw_output"] == lines[POISONED]
    lines[POISONED] = whole
    assert len(run()) == ROWS
    assert failures_of(tmp_path / "run") == []
    assert len(journal(tag).events) == ROWS


@pytest.mark.usefixtures("tiny_llm")
def test_on_a_real_engine(tmp_path: Path, tiny_llm: Any) -> None:
    """Too long, 5 MB, a role that the chat template refuses, half a character, no chat."""
    from beam_distilabel.models.vllm import vLLM

    poisons: dict[int, tuple[Any, str]] = {
        3: ("word " * 2_000, "too_long"),
        250: ("x" * 5_000_000, "too_long"),
        617: ("[role]", "render"),
        800: (None, "render"),
    }
    surrogate = 900

    def chat(i: int, mended: bool) -> Any:
        text = "half \ud83d" if i == surrogate else f"question {i}"
        if i in poisons and not mended:
            text = poisons[i][0]
        role = "narrator" if text == "[role]" else "user"
        if text is None:
            return None
        # The tokenizer's chat template raises at a role that it doesn't know.
        return [{"role": role, "content": "Hi"}, {"role": "user", "content": text}]

    def run(mended: bool) -> tuple[list[Row], Any]:
        llm = vLLM(
            model=tiny_llm.model,
            extra_kwargs={"max_num_seqs": 64},
            generation_kwargs={"max_new_tokens": 2},
        )
        rows = [{"messages": chat(i, mended)} for i in range(ROWS)]
        with Pipeline(name="poison") as pipeline:
            _ = LoadDataFromDicts(data=rows, name="load") >> ChatGeneration(name="ask", llm=llm)
        handle = pipeline.submit(output_dir=tmp_path, logging_handlers=[])
        return rows_of(handle.distiset()), handle.report["steps"]["ask"]

    rows, counts = run(mended=False)
    assert len(rows) == ROWS
    lost = [i for i, row in enumerate(rows) if row["generation"] is None]
    assert lost == sorted(poisons)
    failures = {failure["_row_id"]: failure for failure in failures_of(tmp_path)}
    assert {row_id: f["kind"] for row_id, f in failures.items()} == {
        f"0-{i}": kind for i, (_, kind) in poisons.items()
    }
    rows, counts = run(mended=True)
    assert len(rows) == ROWS and all(row["generation"] is not None for row in rows)
    assert failures_of(tmp_path) == []
    assert counts["requests"] == len(poisons)
    assert counts["reused"] == ROWS - len(poisons)
