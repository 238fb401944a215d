"""A whole README.md, and writing one beside a result."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from beam_distilabel.card import contents, provenance
from beam_distilabel.card.definition import read_definition
from beam_distilabel.card.front_matter import front_matter
from beam_distilabel.card.readme import read_readme, write_readme
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import open_file, url_to_fs, write_file
from beam_distilabel.layout import CARD_FILE, PIPELINE_FILE
from beam_distilabel.summary import SubsetSummary, summarize


def build_card(
    subsets: Sequence[SubsetSummary],
    *,
    location: str = "path/to/distiset",
    revision: str | None = None,
    definition: Mapping[str, Any] | None = None,
    report: Mapping[str, Any] | None = None,
    artifacts: Mapping[str, Sequence[str]] | None = None,
    citations: Sequence[str] = (),
    existing: str | None = None,
    keep_other_splits: bool = False,
    saved_to_disk: bool = False,
    pipeline_file: str | None = None,
    hide: Callable[[str], str] | None = None,
    with_section: bool = True,
) -> str:
    """The text of a README.md with front matter for the Hub and for `datasets`.

    Building it again on what it returned gives the same text.

    Args:
        subsets: what the result holds. One with neither rows nor files has replaced what was
            there of its name: its config goes.
        location: where it can be loaded from: a repo id or a path.
        revision: of the repo that readers should load; its main branch if None.
        definition: the content of the `pipeline.yaml` that lies beside the card; None if there is
            none.
        report: of the run. Read are `steps` (Step to `rows` or `rows_out`, `failed` (kind to
            count), `input_tokens`, `output_tokens` and `engine`), `sources` (Step to `repo_id`,
            `commit`, `config`, `split`), `versions`, `seed`, `started`, `seconds` and `partial`
            (Step to `finished` and `known` rows), each optional.
        artifacts: Step to the names of its artifacts.
        citations: BibTeX entries; equal ones are shown once.
        existing: a README to update: what people wrote around our section stays, and so do front
            matter that isn't ours and the configs of other names.
        keep_other_splits: of a config that is there already, keep the splits that its subset here
            doesn't have; else the config is replaced.
        saved_to_disk: whether `Distiset.save_to_disk` writes it, which readers load in another way.
        pipeline_file: where the pipeline's file lies; beside the card if None.
        hide: takes secrets out of our section's text and out of each text of a sample; front matter
            and what people wrote stay as they are.
        with_section: False writes the front matter only; all text stays, also an older section of
            ours.

    Example:
        >>> text = build_card([SubsetSummary("default", {"train": 2}, {"a": "int64"}, {"a": 1})])
        >>> "n<1K" in text and 'load_dataset("path/to/distiset", "default")' in text
        True
    """
    readme = read_readme(existing)
    ours = front_matter(readme.metadata, subsets, keep_other_splits=keep_other_splits)
    if not with_section:
        return write_readme(readme, ours, None)
    known = None if definition is None else read_definition(definition)
    place = contents.Place(location, revision, saved_to_disk, pipeline_file)
    titled = re.search(r"^# ", readme.before, re.MULTILINE) is not None
    of_run = report or {}
    parts = [
        contents.heading(subsets, known, titled),
        provenance.partial(of_run),
        *contents.subset_parts(subsets, place, hide),
        provenance.pipeline(known),
        provenance.models(known, of_run),
        provenance.sources(known, of_run),
        provenance.run(of_run),
        provenance.artifacts(artifacts),
        provenance.rerun(known, of_run, place),
        provenance.references(citations),
    ]
    section = "\n\n".join(part for part in parts if part)
    return write_readme(readme, ours, section if hide is None else hide(section))


def write_card(
    path: str,
    *,
    location: str | None = None,
    definition: Mapping[str, Any] | None = None,
    report: Mapping[str, Any] | None = None,
    artifacts: Mapping[str, Sequence[str]] | None = None,
    citations: Sequence[str] = (),
) -> str:
    """Write the card of the result folder `path` to its README.md.

    Its `configs` make `datasets.load_dataset(path, subset)` open the folder as it is.

    Args:
        path: the folder that holds the subsets' folders, on any filesystem.
        location: where readers will load it from; `path` if not given.
        definition: see `build_card`; read from the `pipeline.yaml` in `path`, or in the folder
            around it, a run directory, if None.
        report: see `build_card`.
        artifacts: see `build_card`.
        citations: see `build_card`.

    Returns:
        The path of the card.

    Raises:
        DistilabelUserError: the `pipeline.yaml` can't be read.
    """
    path = path.rstrip("/")
    pipeline_file = _pipeline_file(path)
    if definition is None and pipeline_file is not None:
        definition = _read_pipeline(pipeline_file)
    text = build_card(
        summarize(path),
        location=location or path,
        definition=definition,
        report=report,
        artifacts=artifacts,
        citations=citations,
        pipeline_file=pipeline_file if location is None else None,
    )
    target = posixpath.join(path, CARD_FILE)
    write_file(target, text)
    return target


def _pipeline_file(path: str) -> str | None:
    for folder in (path, posixpath.dirname(path)):
        file = posixpath.join(folder, PIPELINE_FILE)
        filesystem, name = url_to_fs(file)
        if filesystem.isfile(name):
            return file
    return None


def _read_pipeline(file: str) -> dict[str, Any] | None:
    """The content of a `pipeline.yaml`; None if it is another program's."""
    with open_file(file, "r") as stream:
        try:
            content = yaml.safe_load(stream)
        except (yaml.YAMLError, ValueError) as error:
            raise DistilabelUserError(
                f"write_card: {file} can't be read as YAML: {error}"
            ) from None
    ours = isinstance(content, dict) and isinstance(content.get("pipeline"), dict)
    return content if ours else None
