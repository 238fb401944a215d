"""What our section says of what made a result. Each function gives one part of it, or nothing."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from beam_distilabel.card.contents import HUB, PACKAGE, Place, is_repo_id
from beam_distilabel.card.definition import Definition, ModelEntry, arguments_text, mapping
from beam_distilabel.card.drawing import draw
from beam_distilabel.card.markdown import code, fenced, number, plain, table

_MODEL_SETTINGS = (
    "tokenizer",
    "tokenizer_revision",
    "quantization",
    "dtype",
    "seed",
    "extra_kwargs",
    "structured_output",
    "use_magpie_template",
)
"""Fields of a model that change what it answers, beside its revision and generation arguments."""


def pipeline(definition: Definition | None) -> str:
    """The drawing and the table of Steps."""
    if definition is None or not definition.steps:
        return ""
    rows = []
    for step in definition.steps:
        made: dict[str, Any] = {}
        for key in ("num_generations", "group_generations"):
            value = step.fields.get(key)
            if value not in (None, False, 1):
                made[key] = value
        for model in step.models:
            made.update(model.generation_kwargs)
        models = ", ".join(code(model.name) for model in step.models)
        rows.append([plain(step.name), code(step.class_name), models, code(arguments_text(made))])
    steps = table(["step", "class", "model", "generation arguments"], rows)
    return f"## Pipeline\n\n{fenced(draw(definition), 'text')}\n\n### Steps\n\n{steps}"


def models(definition: Definition | None, report: Mapping[str, Any]) -> str:
    """The models with what is needed to get the same ones again."""
    rows = []
    for step in definition.steps if definition else ():
        for model in step.models:
            engine = mapping(mapping(report.get("steps")).get(step.name)).get("engine")
            rows.append(
                [
                    plain(step.name),
                    code(model.name),
                    code(model.class_name),
                    code(model.fields.get("revision") or "") or "not pinned",
                    code(_settings(model)),
                    plain(engine),
                ]
            )
    if not rows:
        return ""
    head = ["step", "model", "class", "revision", "settings", "engine"]
    return f"### Models\n\n{table(head, rows)}"


def _settings(model: ModelEntry) -> str:
    settings = {key: model.fields.get(key) for key in _MODEL_SETTINGS}
    shown = {key: x for key, x in settings.items() if x is not None and x is not False and x != {}}
    return arguments_text(shown)


def sources(definition: Definition | None, report: Mapping[str, Any]) -> str:
    """The datasets that the rows came from, with their commits where the report has them."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for step in definition.steps if definition else ():
        if step.fields.get("repo_id"):
            found[step.name] = [step.fields]
    for name, entry in mapping(report.get("sources")).items():
        entries = entry if isinstance(entry, list) else [entry]
        found[name] = [source for source in entries if isinstance(source, Mapping)]
    rows = [
        [
            plain(name),
            _dataset_link(source),
            plain(source.get("config")),
            plain(source.get("split")),
            _commit_link(source),
        ]
        for name, entries in found.items()
        for source in entries
    ]
    if not rows:
        return ""
    return f"### Sources\n\n{table(['step', 'dataset', 'config', 'split', 'commit'], rows)}"


def _dataset_link(source: Mapping[str, Any]) -> str:
    repo_id = str(source.get("repo_id") or source.get("path") or "")
    if not repo_id:
        # Where files lie is nobody's business, and rows in memory lie nowhere.
        return "files" if source.get("files") else "rows of the script"
    return f"[{plain(repo_id)}]({HUB}/{repo_id})" if is_repo_id(repo_id) else code(repo_id)


def _commit_link(source: Mapping[str, Any]) -> str:
    repo_id = str(source.get("repo_id") or "")
    commit = source.get("commit")
    if commit is None and not repo_id:
        return ""
    if commit is None:
        return code(source.get("revision") or "") or "not recorded"
    if is_repo_id(repo_id) and re.fullmatch(r"[0-9a-f]{40}", str(commit)):
        return f"[`{str(commit)[:12]}`]({HUB}/{repo_id}/tree/{commit})"
    return code(commit)


def partial(report: Mapping[str, Any]) -> str:
    """That rows are missing, where the run wasn't finished."""
    lines = []
    for name, counts in mapping(report.get("partial")).items():
        counts = mapping(counts)
        known = _count(counts.get("known"))
        done = f"{_count(counts.get('finished')):,} of {known:,} rows" if known else "no rows"
        lines.append(f"- {code(name)}: {done} finished")
    if not lines:
        return ""
    head = "**This is a part of the result:** it was made before the run was finished."
    return "\n\n".join([head, "\n".join(lines)])


def run(report: Mapping[str, Any]) -> str:
    """What each Step did: rows, failures by kind and tokens."""
    steps = mapping(report.get("steps"))
    rows, failed, counts = [], Counter[str](), Counter[str]()
    for name, step in steps.items():
        step = mapping(step)
        kinds = _failures(step)
        failed.update(kinds)
        counts.update({key: _count(step.get(key)) for key in ("input_tokens", "output_tokens")})
        rows.append(
            [
                plain(name),
                number(step.get("rows", step.get("rows_out"))),
                plain(_kinds(kinds)),
                number(step.get("input_tokens")),
                number(step.get("output_tokens")),
            ]
        )
    if len(rows) > 1:
        totals = [number(counts[key]) for key in ("input_tokens", "output_tokens")]
        rows.append(["**all**", "", plain(_kinds(failed)), *totals])
    head = ["step", "rows:", "failures", "input tokens:", "output tokens:"]
    parts = [_facts(report), table(head, rows) if rows else ""]
    return "\n\n".join(["## The run", *filter(None, parts)]) if any(parts) else ""


def _failures(step: Mapping[str, Any]) -> dict[str, int]:
    """Kind to how often; a report has the kinds under `failed`, beside a count."""
    for value in (step.get("failed"), step.get("failures")):
        if isinstance(value, Mapping):
            return {str(kind): _count(count) for kind, count in value.items()}
    count = _count(step.get("failures"))
    return {"failures": count} if count else {}


def _kinds(failures: Mapping[str, int]) -> str:
    return ", ".join(f"{kind}: {count:,}" for kind, count in failures.items())


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _facts(report: Mapping[str, Any]) -> str:
    facts = []
    if report.get("started"):
        facts.append(f"started {plain(report['started'])}")
    if number(report.get("seconds")):
        facts.append(f"took {report['seconds']:,.1f} s")
    if report.get("seed") is not None:
        facts.append(f"seed {plain(report['seed'])}")
    versions = mapping(report.get("versions"))
    facts += [f"{plain(name)} {plain(version)}" for name, version in versions.items() if version]
    return f"Run: {', '.join(facts)}." if facts else ""


def artifacts(names: Mapping[str, Sequence[str]] | None) -> str:
    """What the Steps have saved beside their rows."""
    rows = [
        [plain(step), code(f"artifacts/{step}/{name}")]
        for step, own in (names or {}).items()
        for name in own
    ]
    return f"## Artifacts\n\n{table(['step', 'artifact'], rows)}" if rows else ""


# -- how to make it again --------------------------------------------------------------------------


def rerun(definition: Definition | None, report: Mapping[str, Any], place: Place) -> str:
    """The commands that run the pipeline again, and what they need."""
    if definition is None:
        return ""
    version = str(mapping(report.get("versions")).get(PACKAGE) or definition.version)
    packages = [f"{PACKAGE}=={version}" if version else PACKAGE, *definition.requirements]
    config = shlex.quote(place.pipeline)
    commands = [
        f"pip install {' '.join(map(shlex.quote, packages))}",
        f"{PACKAGE} pipeline info --config {config}",
        f"{PACKAGE} pipeline run --config {config}",
    ]
    parts = [
        "## How to make it again",
        "The pipeline is in `pipeline.yaml`. Look at it, then run it:",
        fenced("\n".join(commands), "console"),
        "Keys and tokens aren't in the file, nor are rows that a script gave to the pipeline.",
    ]
    foreign = [
        f"{code(step.class_name)} of {code(step.module)}"
        for step in definition.steps
        if step.module.partition(".")[0] not in ("beam_distilabel", "distilabel", "")
    ]
    if foreign:
        parts.append(
            f"It uses classes that aren't part of {PACKAGE}: {', '.join(dict.fromkeys(foreign))}. "
            "Import their modules in a script, and load the file there with `Pipeline.from_yaml`."
        )
    return "\n\n".join(parts)


def references(citations: Sequence[str]) -> str:
    """BibTeX entries; equal ones are shown once."""
    entries = list(dict.fromkeys(entry.strip() for entry in citations if entry.strip()))
    if not entries:
        return ""
    return "## References\n\n" + "\n\n".join(fenced(entry, "bibtex") for entry in entries)
