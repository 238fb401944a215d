"""Write the table of Tasks into docs/tasks.md, from the classes themselves.

python -m tests.tasks.page            print it
python -m tests.tasks.page --write    put it between the markers of docs/tasks.md
"""

import pathlib
import re
import sys
from typing import Any

from beam_distilabel.models.base import AsyncLLM
from beam_distilabel.models.image_generation import ImageGenerationModel
from beam_distilabel.models.magpie import MagpieChatTemplateMixin
from beam_distilabel.step import _Step, column_flags
from beam_distilabel.steps import tasks

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "tasks.md"
BEGIN, END = "<!-- tasks: begin -->", "<!-- tasks: end -->"
_PAPER = re.compile(r"arxiv\.org/abs/(\d{4}\.\d{4,5})")

ARGUMENTS: dict[str, dict[str, Any]] = {
    "APIGenExecutionChecker": {"libpath": __file__},
    "BitextRetrievalGenerator": {"target_language": "French"},
    "EmbeddingTaskGenerator": {"category": "text-retrieval"},
    "EvolComplexity": {"num_evolutions": 1},
    "EvolInstruct": {"num_evolutions": 1},
    "EvolQuality": {"num_evolutions": 1},
    "GenerateSentencePair": {"action": "query"},
    "MagpieGenerator": {"num_rows": 1},
    "PrometheusEval": {"mode": "absolute", "rubric": "helpfulness"},
}
"""What a class needs besides its model; a new Task with a required field is to be added here."""


class Model(AsyncLLM, MagpieChatTemplateMixin):
    """Stands for the LLM of every Task."""

    @property
    def model_name(self) -> str:
        return "any"

    def get_last_hidden_states(self, inputs: list[Any]) -> list[Any]:
        return []


class Images(ImageGenerationModel):
    """Stands for the image generation model of every Task."""

    @property
    def model_name(self) -> str:
        return "any"


def step_of(cls: type[_Step]) -> _Step:
    """A Step of the class, with models that are never asked.

    Raises:
        ValidationError: it needs an argument that `ARGUMENTS` doesn't have.
    """
    arguments = dict(ARGUMENTS.get(cls.__name__, {}))
    if "llm" in cls.model_fields:
        arguments["llm"] = Model(magpie_pre_query_template="qwen2")
    if "image_generation_model" in cls.model_fields:
        arguments["image_generation_model"] = Images()
    return cls(**arguments)


def classes() -> list[type[_Step]]:
    """The classes that the package offers as Tasks, without the base classes."""
    found = [getattr(tasks, name) for name in tasks.__all__]
    return sorted(
        (
            cls
            for cls in found
            if isinstance(cls, type) and issubclass(cls, _Step) and ".transforms." in cls.__module__
        ),
        key=lambda cls: cls.__name__.lower(),
    )


def _columns(columns: Any) -> str:
    told = [
        f"`{name}`" + ("" if always else " (optional)")
        for name, always in column_flags(columns).items()
        if name != "model_name"
    ]
    return ", ".join(told) or "–"


def row_of(cls: type[_Step]) -> str:
    """The table's line about a class."""
    step: Any = step_of(cls)
    text = cls.__doc__ or ""
    papers = [f"[{number}](https://arxiv.org/abs/{number})" for number in _PAPER.findall(text)]
    schema = getattr(step, "get_structured_output", lambda: None)()
    by_default = getattr(step, "use_default_structured_output", False)
    structured = "–" if schema is None else "yes, by default" if by_default else "yes"
    offline = getattr(step, "_can_be_used_with_offline_batch_generation", False)
    cells = [
        f"`{cls.__name__}`",
        text.split("\n\n")[0].strip().rstrip(".").replace("\n    ", " "),
        _columns(step.inputs),
        _columns(step.outputs),
        ", ".join(dict.fromkeys(papers)) or "–",
        structured,
        "yes" if offline else "–",
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table() -> str:
    """The table of all Tasks."""
    head = "| Task | What it does | Input | Output | Paper | Schema of its own | Offline batch |"
    return "\n".join([head, "|---" * 7 + "|", *map(row_of, classes())])


def with_table(page: str, text: str) -> str:
    """`page` with `text` between its markers.

    Raises:
        ValueError: it lacks one of them.
    """
    if not 0 <= page.find(BEGIN) < page.find(END):
        raise ValueError(f"{PAGE.name} needs the lines {BEGIN!r} and {END!r}, in this order")
    return f"{page.partition(BEGIN)[0]}{BEGIN}\n\n{text}\n\n{END}{page.partition(END)[2]}"


def main() -> None:
    if "--write" not in sys.argv[1:]:
        print(table())
        return
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), table()), encoding="utf-8")


__all__ = ["PAGE", "classes", "row_of", "step_of", "table", "with_table"]

if __name__ == "__main__":
    main()
