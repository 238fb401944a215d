"""What `print` shows of Steps and Tasks."""

from __future__ import annotations

from typing import Any

import pytest

from beam_distilabel.errors import DistilabelUserError, ParseError
from beam_distilabel.models.magpie import MagpieChatTemplateMixin
from beam_distilabel.row import Row
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts, tasks as all_tasks
from beam_distilabel.steps.tasks import (
    ChatGeneration,
    Magpie,
    PrometheusEval,
    StructuredGeneration,
    TextGeneration,
    TextGenerationWithImage,
)
from beam_distilabel.task import Task
from tests.fakes import FakeLLM, journal, new_name


class MagpieLLM(FakeLLM, MagpieChatTemplateMixin):
    """A FakeLLM that may write the user's turn."""

    magpie_pre_query_template: str | None = "qwen2"


LLM = FakeLLM(tag=new_name())
MAGPIE = MagpieLLM(tag=new_name())


class AsksTwice(Task):
    """Has a rollout and no prompt of one row."""

    @property
    def inputs(self) -> list[str]:
        return ["text"]

    @property
    def outputs(self) -> list[str]:
        return ["answer"]

    async def rollout(self, row: Row, generate: Any) -> list[Row]:
        if not row["text"]:
            return []
        try:
            first = await generate([{"role": "user", "content": f"First: {row['text']}"}])
        except Exception as error:
            raise ParseError("mended") from error
        await generate(first["generations"][0])
        return [row]


def shown(capsys: pytest.CaptureFixture[str], step: Any, *sample: Any) -> str:
    step.print(*sample)
    return capsys.readouterr().out


TASKS: list[tuple[Any, list[str]]] = [
    (TextGeneration(llm=LLM), ["Prompt: TextGeneration", "User Message", "<PLACEHOLDER_INSTR"]),
    (TextGeneration(llm=LLM, system_prompt="Be kind."), ["System Message", "<PLACEHOLDER_SYST"]),
    (ChatGeneration(llm=LLM), ["<PLACEHOLDER_MESSAGE>"]),
    (StructuredGeneration(llm=LLM), ["Structured Output", '"type": "object"']),
    (TextGenerationWithImage(llm=LLM, image_type="url"), ["<PLACEHOLDER_IMAGE>"]),
    (
        PrometheusEval(llm=LLM, mode="relative", rubric="honesty", reference=True),
        ["<PLACEHOLDER_GENERATION_0>", "<PLACEHOLDER_GENERATION_1>", "<PLACEHOLDER_REFERENCE>"],
    ),
    (Magpie(llm=MAGPIE), ["<|im_start|>user"]),
    (Magpie(llm=MAGPIE, system_prompt="Be odd."), ["Be odd.", "<|im_start|>user"]),
    (AsksTwice(llm=LLM), ["First: <PLACEHOLDER_TEXT>"]),
]


@pytest.mark.parametrize(("task", "texts"), TASKS, ids=[type(task).__name__ for task, _ in TASKS])
def test_placeholders(task: Any, texts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, task)
    assert [text for text in texts if text not in out] == []
    assert journal(LLM.tag).events == journal(MAGPIE.tag).events == []


def test_a_row_or_a_chat(capsys: pytest.CaptureFixture[str]) -> None:
    task = TextGeneration(llm=LLM)
    markup = "[bold]not markup[/bold] [/nor this]"
    assert markup in shown(capsys, task, {"instruction": markup})
    assert markup in shown(capsys, task, [{"role": "user", "content": markup}])
    assert markup in shown(capsys, task, markup)


def test_a_sample_that_fits_no_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DistilabelUserError, match=r"TextGeneration\): no prompt can be made of"):
        shown(capsys, TextGeneration(llm=LLM), {"instruction": None})
    with pytest.raises(DistilabelUserError, match="asks nothing about this row"):
        shown(capsys, AsksTwice(llm=LLM), {"text": ""})

    class Picky(TextGeneration):
        def sample_row(self) -> Row:
            return {"instruction": 3}

    with pytest.raises(DistilabelUserError, match=r"Give a row: `task.print\(\{...\}\)`"):
        shown(capsys, Picky(llm=LLM))


def test_a_users_own_sample(capsys: pytest.CaptureFixture[str]) -> None:
    class Own(TextGeneration):
        def _sample_input(self) -> Any:
            return self.format_input({"instruction": "my sample"})

    assert "my sample" in shown(capsys, Own(llm=LLM))


def test_other_steps(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, KeepColumns(name="keep", columns=["a"], input_mappings={"a": "b"}))
    assert "KeepColumns: keep" in out and "reads: b" in out and "makes: a" in out
    out = shown(capsys, LoadDataFromDicts(name="load", data=[{"a": 1}]))
    assert "makes: a" in out and "reads" not in out


def test_every_task_can_be_printed_or_says_what_it_needs() -> None:
    """A Task whose columns have no plain placeholders defines `sample_row`."""
    unprinted = []
    for name in all_tasks.__all__:
        task = getattr(all_tasks, name)
        if not (isinstance(task, type) and issubclass(task, Task)) or task in (
            Task,
            all_tasks.GlobalTask,
        ):
            continue
        required = {field for field, info in task.model_fields.items() if info.is_required()} - {
            "llm"
        }
        if required:
            continue  # its own test has the arguments
        made = task(llm=MAGPIE if issubclass(task, Magpie) else LLM)
        try:
            made._sample_input()
        except Exception as error:
            unprinted.append(f"{name}: {error}")
    assert unprinted == []
