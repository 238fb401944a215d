"""docs/tasks.md says what the Tasks are."""

import pytest

from beam_distilabel.steps.tasks import (
    ComplexityScorer,
    EvolInstruct,
    GenerateTextRetrievalData,
    UltraFeedback,
)
from tests.tasks import page


def test_the_page_has_the_table_of_the_classes() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert text == page.with_table(text, page.table()), (
        "the Tasks have changed: run `python -m tests.tasks.page --write`"
    )


def test_the_line_of_a_task() -> None:
    cells = page.row_of(UltraFeedback).split(" | ")
    assert cells[0] == "| `UltraFeedback`"
    assert cells[2:] == [
        "`instruction`, `generations`",
        "`ratings`, `rationales`",
        "[2310.01377](https://arxiv.org/abs/2310.01377)",
        "yes",
        "yes |",
    ]
    assert page.row_of(EvolInstruct).endswith(" | – | – |")


def test_tasks_that_ask_once_per_row_go_in_batches() -> None:
    for cls in (GenerateTextRetrievalData, ComplexityScorer):
        assert page.row_of(cls).endswith(" | yes | yes |")


@pytest.mark.parametrize("cls", page.classes(), ids=lambda cls: cls.__name__)
def test_every_task_declares_what_it_makes(cls: type) -> None:
    step = page.step_of(cls)
    schema = step.output_schema()
    assert step.outputs
    assert schema is None or set(schema.names) <= set(step.get_outputs())


def test_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        page.with_table("# Tasks\n", "the table")
