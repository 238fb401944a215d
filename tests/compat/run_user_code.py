"""Run `user_code.py` against distilabel or beam_distilabel and print what comes out, as JSON.

    python -m tests.compat.run_user_code PACKAGE

Each case is run as the how-to guides run a Step outside of a pipeline: `load()`, then
`next(process(rows))`, then `unload()`.
"""

import json
import pathlib
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.compat.run_example import PREFIX, has

SOURCE = pathlib.Path(__file__).with_name("user_code.py")
MODULE = "beam_distilabel_user_code"

TEXTS = [{"text": "one two"}, {"text": "three"}, {"text": "a longer one"}]
TOPICS = [
    {"topic": "Rain", "audience": "sailors"},
    {"topic": "Snow and Ice", "audience": "drivers"},
]


class Case(NamedTuple):
    """A Step of `user_code.py`, made by `make` from that module, and the rows that it gets."""

    make: Callable[[Any], Any]
    rows: list[dict[str, Any]]


NORMAL = {
    "step": Case(lambda user: user.Length(name="case"), TEXTS),
    "private-attribute": Case(
        lambda user: user.Translate(name="case", words={"One": "uno", "two": "dos"}), TEXTS
    ),
    "fewer-rows": Case(lambda user: user.KeepShort(name="case", limit=7), TEXTS),
    "more-rows": Case(lambda user: user.SplitWords(name="case"), TEXTS),
    "global-step": Case(lambda user: user.Rank(name="case", descending=True), TEXTS),
    "decorated-global-step": Case(lambda user: user.Longest(name="case"), TEXTS),
    "task": Case(lambda user: user.Headline(name="case", llm=user.Shout()), TOPICS),
    "task-subclass": Case(
        lambda user: user.Explain(
            name="case",
            style="brief",
            llm=user.Shout(mark="?", generation_kwargs={"repeat": 2}),
        ),
        TOPICS,
    ),
    "async-llm": Case(
        lambda user: user.Explain(
            name="case", llm=user.Whisper(generation_kwargs={"suffix": "~", "stop": "and"})
        ),
        TOPICS,
    ),
    "several-generations": Case(
        lambda user: user.Explain(name="case", llm=user.Whisper(), num_generations=2), TOPICS
    ),
    "grouped-generations": Case(
        lambda user: user.Explain(
            name="case", llm=user.Shout(), num_generations=2, group_generations=True
        ),
        TOPICS,
    ),
    "own-process": Case(
        lambda user: user.ExplainTwice(
            name="case", llm=user.Shout(generation_kwargs={"repeat": 3}), num_generations=2
        ),
        TOPICS,
    ),
    "changed-task": Case(
        lambda user: user.Follow(
            name="case", llm=user.Shout(), columns=["topic"], template="About {{ topic }}"
        ),
        TOPICS,
    ),
    "several-llms": Case(
        lambda user: user.Panel(
            name="case",
            llm=user.Whisper(),
            others=[user.Shout(generation_kwargs={"repeat": 2}), user.Whisper()],
        ),
        TOPICS,
    ),
    "own-process-async": Case(
        lambda user: user.ExplainTwice(name="case", llm=user.Whisper()), TOPICS
    ),
}
GENERATORS = {
    "generator-step": Case(lambda user: user.Countdown(name="case", start=5, batch_size=2), []),
    "decorated-generator-step": Case(lambda user: user.Numbers(name="case"), []),
    "generator-task": Case(lambda user: user.Invent(name="case", llm=user.Whisper()), []),
}


# What user code imports for its Steps, Tasks and LLMs, and where from.
IMPORTS = {
    "distiset": "Distiset",
    "errors": "DistilabelUserError",
    "llms": "AsyncLLM LLM vLLM",
    "mixins.runtime_parameters": "RuntimeParameter RuntimeParametersMixin",
    "models": "AsyncLLM LLM vLLM",
    "models.llms": "AsyncLLM LLM vLLM",
    "models.llms.base": "AsyncLLM LLM",
    "pipeline": "Pipeline",
    "steps": "GeneratorStep GlobalStep KeepColumns LoadDataFromDicts LoadDataFromDisk "
    "LoadDataFromFileSystem LoadDataFromHub Step StepInput StepResources step",
    "steps.base": "GeneratorStep GlobalStep Step StepInput StepResources",
    "steps.tasks": "ChatGeneration GeneratorTask ImageTask PrometheusEval Task TextGeneration task",
    "steps.tasks.base": "GeneratorTask ImageTask Task",
    "typing": "ChatItem ChatType FormattedInput GenerateOutput GeneratorStepOutput LLMStatistics "
    "StandardInput StepColumns StepOutput StructuredInput",
}


def missing_imports(package: str) -> list[str]:
    """Return those of ``IMPORTS`` that ``package`` lacks."""
    return [
        f"{module}.{name}"
        for module, names in IMPORTS.items()
        for name in names.split()
        if not has(f"{package}.{module}", name)
    ]


def load_user_code(package: str) -> types.ModuleType:
    """Import `user_code.py` with the prefix of its imports changed to ``package``."""
    code = PREFIX.sub(rf"\g<1>{package}", SOURCE.read_text(encoding="utf-8"))
    module = types.ModuleType(MODULE)
    module.__file__ = str(SOURCE)
    sys.modules[MODULE] = module
    exec(compile(code, str(SOURCE), "exec"), module.__dict__)
    return module


def copies(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return copies of rows, since distilabel's Steps change those that they get."""
    return [dict(row) for row in rows]


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows without metadata and reserved keys, in an order of their own."""
    hidden = "distilabel_metadata"
    kept = [{k: v for k, v in row.items() if k != hidden and not k.startswith("_")} for row in rows]
    return sorted(kept, key=lambda row: json.dumps(row, sort_keys=True))


def run_alone(case: Case, user: types.ModuleType) -> list[dict[str, Any]]:
    """Run a normal or global Step outside of a pipeline."""
    made = case.make(user)
    made.load()
    rows: list[dict[str, Any]] = next(made.process(copies(case.rows)))
    made.unload()
    return rows


def generate_alone(case: Case, user: types.ModuleType) -> list[dict[str, Any]]:
    """Run a generator outside of a pipeline, to its last batch."""
    made = case.make(user)
    made.load()
    rows: list[dict[str, Any]] = []
    for batch, last in made.process():
        rows.extend(batch)
        if last:
            break
    made.unload()
    return rows


def main() -> int:
    """Print {case: rows} for the package named on the command line."""
    package = sys.argv[1]
    if missing := missing_imports(package):
        raise ImportError(f"{package} doesn't have {', '.join(missing)}")
    user = load_user_code(package)
    found = {name: run_alone(case, user) for name, case in NORMAL.items()}
    found |= {name: generate_alone(case, user) for name, case in GENERATORS.items()}
    print(json.dumps({name: plain(rows) for name, rows in found.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
