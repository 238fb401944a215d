"""The dataset card: what a result holds, how to load it, how to make it again. No network."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from beam_distilabel.filesystems import open_file
from beam_distilabel.layout import CARD_FILE
from beam_distilabel.summary import SubsetSummary, summarize

TAGS = ("synthetic", "distilabel", "rlaif", "beam-distilabel")

_BEGIN = "<!-- beam-distilabel: begin (this section is written again on every update) -->"
_END = "<!-- beam-distilabel: end -->"
_FRONT_MATTER = re.compile(r"\A---\s*\n(?P<yaml>.*?)\n?---\s*(?:\n|\Z)", re.DOTALL)
_MAX_ITEMS = 10
_MAX_TEXT = 600


def size_category(rows: int) -> str:
    """The Hub's name for a number of rows.

    Example:
        >>> size_category(999), size_category(1000), size_category(5_000_000)
        ('n<1K', '1K<n<10K', '1M<n<10M')
    """
    if rows < 1_000:
        return "n<1K"
    names = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    for power, (low, high) in enumerate(zip(names, names[1:], strict=False), start=4):
        if rows < 10**power:
            return f"{low}<n<{high}"
    return "n>1T"


def build_card(
    subsets: Sequence[SubsetSummary],
    *,
    location: str = "path/to/distiset",
    has_pipeline: bool = False,
    report: Mapping[str, Any] | None = None,
    artifacts: Mapping[str, Sequence[str]] | None = None,
    citations: Sequence[str] = (),
    existing: str | None = None,
) -> str:
    """The text of a README.md with front matter for the Hub and for `datasets`.

    Args:
        subsets: what the result holds.
        location: where it can be loaded from: a repo id or a path.
        has_pipeline: whether a `pipeline.yaml` lies beside it, or at its root on the Hub.
        report: of the run; `report["steps"]` maps a Step to `rows`, `failures` (kind to count),
            `input_tokens` and `output_tokens`, each optional.
        artifacts: Step to the names of its artifacts.
        citations: BibTeX entries; equal ones are shown once.
        existing: a README to update: what people wrote around our section stays, and front matter
            that isn't ours too.

    Example:
        >>> text = build_card([SubsetSummary("default", {"train": 2}, {"a": "int64"}, {"a": 1})])
        >>> "n<1K" in text and 'load_dataset("path/to/distiset", "default")' in text
        True
    """
    metadata, before, after = _take_apart(existing)
    total = sum(sum(subset.splits.values()) for subset in subsets)
    metadata["size_categories"] = [size_category(total)]
    tags = metadata.get("tags") or []
    metadata["tags"] = list(dict.fromkeys([*([tags] if isinstance(tags, str) else tags), *TAGS]))
    configs = _configs(subsets)
    if configs:
        metadata["configs"] = configs
    section = [
        _heading(subsets, before),
        _reproduce(location) if has_pipeline else "",
        *(_subset(subset, location) for subset in subsets),
        _report(report),
        _artifacts(artifacts),
        _citations(citations),
    ]
    front = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True).strip()
    body = "\n\n".join(part for part in section if part)
    parts = [f"---\n{front}\n---", before.strip(), _BEGIN, body, _END, after.strip()]
    return "\n\n".join(part for part in parts if part) + "\n"


def write_card(
    path: str,
    *,
    location: str | None = None,
    report: Mapping[str, Any] | None = None,
    artifacts: Mapping[str, Sequence[str]] | None = None,
    citations: Sequence[str] = (),
    has_pipeline: bool = True,
) -> str:
    """Write the card of the result folder `path` to its README.md.

    Its `configs` make `datasets.load_dataset(path, subset)` open the folder as it is.

    Args:
        path: the folder that holds the subsets' folders.
        location: where readers will load it from; `path` if not given.
        report: see `build_card`.
        artifacts: see `build_card`.
        citations: see `build_card`.
        has_pipeline: whether a `pipeline.yaml` comes with it.

    Returns:
        The path of the card.
    """
    text = build_card(
        summarize(path),
        location=location or path,
        has_pipeline=has_pipeline,
        report=report,
        artifacts=artifacts,
        citations=citations,
    )
    target = posixpath.join(path, CARD_FILE)
    with open_file(target, "w") as file:
        file.write(text)
    return target


def _take_apart(existing: str | None) -> tuple[dict[str, Any], str, str]:
    """The front matter of a README, and what comes before and after our section."""
    if not existing:
        return {}, "", ""
    metadata: dict[str, Any] = {}
    match = _FRONT_MATTER.match(existing)
    if match:
        try:
            loaded = yaml.safe_load(match["yaml"])
        except yaml.YAMLError:
            loaded = None  # The Hub refuses it too; what follows it is still someone's text.
        metadata = loaded if isinstance(loaded, dict) else {}
        existing = existing[match.end() :]
    before, begin, rest = existing.partition(_BEGIN)
    if not begin:
        return metadata, existing, ""
    return metadata, before, rest.partition(_END)[2]


def _configs(subsets: Sequence[SubsetSummary]) -> list[dict[str, Any]]:
    named = [subset for subset in subsets if subset.data_files]
    configs: list[dict[str, Any]] = [
        {
            "config_name": subset.name,
            "data_files": [
                {"split": split, "path": pattern} for split, pattern in subset.data_files.items()
            ],
        }
        for subset in named
    ]
    if configs and all(config["config_name"] != "default" for config in configs):
        configs[0]["default"] = True
    return configs


def _heading(subsets: Sequence[SubsetSummary], before: str) -> str:
    title = "" if re.search(r"^# ", before, re.MULTILINE) else "# Dataset card\n\n"
    rows = "\n".join(
        f"| `{_cell(subset.name)}` | {_cell(split)} | {count:,} | {len(subset.columns)} |"
        for subset in subsets
        for split, count in subset.splits.items()
    )
    return (
        f"{title}This dataset was generated by a pipeline of "
        "[beam-distilabel](https://pypi.org/project/beam-distilabel/).\n\n"
        f"| subset | split | rows | columns |\n|---|---|---:|---:|\n{rows}"
    )


def _reproduce(location: str) -> str:
    config = f"{location.rstrip('/')}/pipeline.yaml"
    if _is_repo_id(location):
        config = f"https://huggingface.co/datasets/{location}/raw/main/pipeline.yaml"
    return (
        "## How to make it again\n\n"
        "The pipeline is in `pipeline.yaml`. Look at it, then run it:\n\n"
        f"```console\nbeam-distilabel pipeline info --config {json.dumps(config)}\n"
        f"beam-distilabel pipeline run --config {json.dumps(config)}\n```"
    )


def _is_repo_id(location: str) -> bool:
    return re.fullmatch(r"[\w.-]+/[\w.-]+", location) is not None and location[0] not in "./~"


def _subset(subset: SubsetSummary, location: str) -> str:
    # Code is shown with the same quoting that the reader's Python needs.
    call = f"load_dataset({_quoted(location)}, {_quoted(subset.name)})"
    text = (
        f"## Subset `{subset.name}`\n\n```python\nfrom datasets import load_dataset\n\n"
        f"dataset = {call}\n```"
    )
    if subset.sample is None:
        return f"{text}\n\nIt has no rows."
    record = json.dumps(cut(dict(subset.sample)), ensure_ascii=False, indent=2, default=str)
    return f"{text}\n\nA row, long values cut:\n\n{_fenced(record, 'json')}"


def cut(value: Any) -> Any:
    """`value` with long texts, long lists and bytes cut, so that a reader can look at it.

    Example:
        >>> cut({"a": list(range(100)), "b": b"123"})["b"]
        '<3 bytes>'
    """
    if isinstance(value, str):
        left_out = len(value) - _MAX_TEXT
        return value if left_out <= 0 else f"{value[:_MAX_TEXT]}... ({left_out} more characters)"
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return {str(name): cut(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [cut(item) for item in value[:_MAX_ITEMS]]
        left_out = len(value) - _MAX_ITEMS
        return items if left_out <= 0 else [*items, f"... ({left_out} more items)"]
    return value


def _report(report: Mapping[str, Any] | None) -> str:
    steps = (report or {}).get("steps")
    if not isinstance(steps, Mapping) or not steps:
        return ""
    lines = ["## The run", "", "| step | rows | failures | input tokens | output tokens |"]
    lines.append("|---|---:|---|---:|---:|")
    for name, step in steps.items():
        failures = step.get("failures") or {}
        if isinstance(failures, Mapping):
            failures = ", ".join(f"{kind}: {count:,}" for kind, count in failures.items())
        tokens = [_number(step.get(key)) for key in ("rows", "input_tokens", "output_tokens")]
        lines.append(
            f"| {_cell(name)} | {tokens[0]} | {_cell(failures)} | {tokens[1]} | {tokens[2]} |"
        )
    return "\n".join(lines)


def _artifacts(artifacts: Mapping[str, Sequence[str]] | None) -> str:
    if not artifacts:
        return ""
    lines = ["## Artifacts", "", "| step | artifact |", "|---|---|"]
    for step, names in artifacts.items():
        lines.extend(f"| {_cell(step)} | `artifacts/{step}/{name}` |" for name in names)
    return "\n".join(lines)


def _citations(citations: Sequence[str]) -> str:
    entries = list(dict.fromkeys(entry.strip() for entry in citations if entry.strip()))
    if not entries:
        return ""
    return "## References\n\n" + "\n\n".join(_fenced(entry, "bibtex") for entry in entries)


def _fenced(text: str, language: str) -> str:
    # A fence has to be longer than any in the text, which comes from a model.
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _cell(text: Any) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) else ""
