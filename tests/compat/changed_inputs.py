"""What a second run returns after something was changed, as JSON lines.

    python tests/compat/changed_inputs.py PACKAGE

PACKAGE is ``distilabel`` or ``beam_distilabel``. A writer and a judge, whose model answers with
what it was asked, run twice under the same name and cache folder, with the cache on as it is by
default. Between the runs one thing is changed. One line per change: what the second run returned
(``verdicts``), what a run without any cache returns (``expected``), and ``state``: "right",
"stale" (what the first run returned) or "empty".
"""

import importlib
import json
import sys
import tempfile
from typing import Any

ROWS = [{"instruction": "one"}, {"instruction": "two"}]
CHANGES: dict[str, dict[str, Any]] = {
    "the judge's rubric": {"rubric": "mild"},
    "one row of the loader": {"rows": [{"instruction": "new"}, ROWS[1]]},
    "the rows of run(dataset=...)": {"rows": [{"instruction": "new"}, ROWS[1]], "given": True},
    "the writer's temperature": {"temperature": 0.5},
}


def make_classes(package: str) -> tuple[Any, Any, Any]:
    """A model and two Steps that ask it, of `package`."""
    models = importlib.import_module(f"{package}.models")
    tasks = importlib.import_module(f"{package}.steps.tasks")

    class Echo(models.LLM):  # type: ignore[misc,name-defined]
        @property
        def model_name(self) -> str:
            return "echo"

        def load(self) -> None:
            super().load()

        def generate(
            self, inputs: Any, num_generations: int = 1, temperature: float = 1.0
        ) -> list[Any]:
            return [
                {
                    "generations": [f"{chat[-1]['content']} at {temperature}"] * num_generations,
                    "statistics": {"input_tokens": [1], "output_tokens": [1]},
                }
                for chat in inputs
            ]

    class Write(tasks.Task):  # type: ignore[misc,name-defined]
        @property
        def inputs(self) -> list[str]:
            return ["instruction"]

        @property
        def outputs(self) -> list[str]:
            return ["answer"]

        def format_input(self, input: dict[str, Any]) -> Any:
            return [{"role": "user", "content": input["instruction"]}]

        def format_output(self, output: Any, input: Any = None) -> dict[str, Any]:
            return {"answer": output}

    class Judge(tasks.Task):  # type: ignore[misc,name-defined]
        rubric: str

        @property
        def inputs(self) -> list[str]:
            return ["answer"]

        @property
        def outputs(self) -> list[str]:
            return ["verdict"]

        def format_input(self, input: dict[str, Any]) -> Any:
            return [{"role": "user", "content": f"{self.rubric}: {input['answer']}"}]

        def format_output(self, output: Any, input: Any = None) -> dict[str, Any]:
            return {"verdict": output}

    for cls in (Echo, Write, Judge):  # so that other processes find them
        cls.__qualname__ = cls.__name__
        globals()[cls.__name__] = cls
    return Echo, Write, Judge


def verdicts(
    package: str,
    folder: str,
    use_cache: bool = True,
    rubric: str = "strict",
    temperature: float = 1.0,
    rows: Any = ROWS,
    given: bool = False,
) -> list[str]:
    """What the judge said in a run."""
    echo, write, judge = CLASSES
    pipeline_class = importlib.import_module(f"{package}.pipeline").Pipeline
    loader = importlib.import_module(f"{package}.steps").LoadDataFromDicts
    with pipeline_class(name="changed", cache_dir=folder) as pipeline:
        writer = write(name="write", llm=echo(generation_kwargs={"temperature": temperature}))
        writer >> judge(name="judge", llm=echo(), rubric=rubric)
        if not given:
            loader(name="load", data=rows) >> writer
    arguments: dict[str, Any] = {"use_cache": use_cache}
    if given:
        dataset = importlib.import_module("datasets").Dataset
        arguments["dataset"] = dataset.from_list(rows)
    distiset = pipeline.run(**arguments)
    if "default" not in distiset:
        return []
    return sorted(distiset["default"]["train"]["verdict"])


def main(package: str) -> None:
    for change, arguments in CHANGES.items():
        before = {"given": True} if arguments.get("given") else {}
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as fresh:
            first = verdicts(package, folder, **before)
            second = verdicts(package, folder, **arguments)
            expected = verdicts(package, fresh, use_cache=False, **arguments)
        state = "right" if second == expected else "stale" if second == first else "other"
        line = {
            "package": package,
            "changed": change,
            "state": state if second else "empty",
            "verdicts": second,
            "expected": expected,
        }
        print(json.dumps(line), flush=True)


CLASSES = make_classes(sys.argv[1])  # also in processes that load this file again

if __name__ == "__main__":
    main(sys.argv[1])
