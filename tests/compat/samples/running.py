"""Runs the scripts of `scripts/`, in distilabel's environment or in this one.

A script is what a user would write, and has:

- ``pipeline``: a Pipeline, or an object that has one, as distilabel's templates are.
- ``ROWS``: the rows of each loader. Those of a LoadDataFromHub are put into a local folder, and
  the run is given that as its ``repo_id``.
- ``ANSWERS``: what each Step's LLM writes, see ``scripted.py``.
- ``DATASET``: the rows of ``run(dataset=...)``, for a pipeline without a loader.
- ``PARAMETERS``: those of the run.
- ``RANDOM``: the columns that differ from run to run.

Nothing is imported from either package at the top.
"""

import importlib
import json
import pathlib
import sys
import types
from collections.abc import Iterable
from typing import Any

from tests.compat.run_example import PREFIX
from tests.compat.samples.scripted import script_models

HERE = pathlib.Path(__file__).parent
SCRIPTS = HERE / "scripts"
RECORDED = HERE / "recorded"
NAMES = sorted(path.stem for path in SCRIPTS.glob("[!_]*.py"))
METADATA = "distilabel_metadata"

Rows = list[dict[str, Any]]


def module_name(name: str) -> str:
    """Return the name under which a script's classes are known."""
    return f"{__package__}.scripts.{name}"


def load_script(name: str, package: str) -> types.ModuleType:
    """Import a script with the prefix of its imports changed to ``package``."""
    path = SCRIPTS / f"{name}.py"
    code = PREFIX.sub(rf"\g<1>{package}", path.read_text(encoding="utf-8"))
    module = types.ModuleType(module_name(name))
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    exec(compile(code, str(path), "exec"), module.__dict__)
    return module


def pipeline_of(script: types.ModuleType) -> Any:
    """Return the script's pipeline."""
    made = script.pipeline
    return made if hasattr(made, "dump") else made.pipeline


def steps_of(pipeline: Any) -> list[Any]:
    """Return the Steps of a pipeline of either package."""
    if hasattr(pipeline, "steps"):
        return list(pipeline.steps)
    return [pipeline.dag.get_step(name)["step"] for name in pipeline.dag]


def run(
    script: types.ModuleType,
    pipeline: Any,
    folder: pathlib.Path,
    confirmed: dict[str, dict[str, Any]] | None = None,
    **arguments: Any,
) -> Any:
    """Run ``pipeline``, which is a script's own or was loaded, with the script's rows and answers.

    Args:
        script: what the pipeline is of.
        pipeline: the pipeline.
        folder: for files of the run.
        confirmed: parameters that only a pipeline of a file needs: what it names of code.
        arguments: of ``pipeline.run``.

    Returns:
        The Distiset.
    """
    parameters = {name: dict(given) for name, given in getattr(script, "PARAMETERS", {}).items()}
    for name, given in (confirmed or {}).items():
        parameters.setdefault(name, {}).update(given)
    steps = steps_of(pipeline)
    for step in steps:
        rows = getattr(script, "ROWS", {}).get(step.name)
        if rows is None:
            continue
        if "repo_id" in type(step).model_fields:
            split = parameters.get(step.name, {}).get("split") or step.split or "train"
            repository = write_repository(folder / f"repository-{step.name}", split, rows)
            parameters.setdefault(step.name, {})["repo_id"] = str(repository)
        else:
            step.data = [dict(row) for row in rows]
    script_models(steps, getattr(script, "ANSWERS", {}))
    if hasattr(script, "DATASET"):
        arguments["dataset"] = importlib.import_module("datasets").Dataset.from_list(script.DATASET)
    return pipeline.run(parameters=parameters, use_cache=False, **arguments)


def write_repository(folder: pathlib.Path, split: str, rows: Rows) -> pathlib.Path:
    """Write a dataset repository with a card that tells its columns, as the Hub's have one."""
    datasets = importlib.import_module("datasets")
    cards = importlib.import_module("huggingface_hub")
    info = importlib.import_module("datasets.info")
    dataset = datasets.Dataset.from_list(rows)
    (folder / "data").mkdir(parents=True)
    dataset.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    splits = datasets.SplitDict()
    splits.add(datasets.splits.SplitInfo(split, num_examples=len(rows)))
    described = info.DatasetInfo(features=dataset.features, splits=splits)
    data = cards.DatasetCardData()
    info.DatasetInfosDict({"default": described}).to_dataset_card_data(data)
    cards.DatasetCard(f"---\n{data}\n---\n").save(folder / "README.md")
    return folder


def subsets(script: types.ModuleType, distiset: Any) -> dict[str, Any]:
    """Return the columns and rows of each subset, in an order of their own.

    Metadata is left out, and the values of the columns that the script calls random.
    """
    hidden = {METADATA, *getattr(script, "RANDOM", ())}
    found = {}
    for name in sorted(distiset):
        dataset = distiset[name]["train"]
        rows = [{k: v for k, v in row.items() if k not in hidden} for row in dataset.to_list()]
        found[name] = {"columns": sorted(dataset.column_names), "rows": in_order(rows)}
    return found


def in_order(rows: Iterable[dict[str, Any]]) -> Rows:
    """Return rows sorted by what they hold."""
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))
