"""A README taken apart and put together: front matter, what people wrote, our section."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from beam_distilabel.card.markdown import fenced

BEGIN = "<!-- beam-distilabel: begin (this section is written again on every update) -->"
_END = "<!-- beam-distilabel: end -->"
_COMMENT = "<!-- beam-distilabel:"
_BEGIN_LINE = re.compile(r"^[ \t]*<!-- beam-distilabel: begin\b[^\n]*?-->[ \t]*\r?$", re.MULTILINE)
_END_LINE = re.compile(r"^[ \t]*<!-- beam-distilabel: end\b[^\n]*?-->[ \t]*\r?$", re.MULTILINE)

# What the Hub takes for front matter, and no more: a rule (`---`) in a text stays text.
_FRONT_MATTER = re.compile(r"\A\s*---\r?\n(?P<yaml>.*?)(?:\r?\n)---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_EMPTY = re.compile(r"\A\s*---\r?\n---[ \t]*(?:\r?\n|\Z)")


@dataclass(frozen=True)
class Readme:
    """The parts of a README.

    Attributes:
        metadata: the front matter's values.
        source: the front matter's text by key, where it can be kept as it was written; else None.
        preamble: comments before the first key of `source`.
        before: what people wrote before our section.
        after: and after it.
        body: all of the text after the front matter as it was, our section with it.
    """

    metadata: dict[str, Any] = field(default_factory=dict)
    source: dict[str, str] | None = field(default_factory=dict)
    preamble: str = ""
    before: str = ""
    after: str = ""
    body: str = ""


def read_readme(text: str | None) -> Readme:
    """Take a README apart; without our section, all of it comes before.

    Front matter that isn't YAML becomes a block of code at the start of `before`.

    Example:
        >>> readme = read_readme("---\\nlicense: mit\\n---\\nMine.")
        >>> readme.metadata, readme.before
        ({'license': 'mit'}, 'Mine.')
    """
    text = (text or "").removeprefix("\ufeff")
    metadata: dict[str, Any] = {}
    source: dict[str, str] | None = {}
    preamble = unreadable = ""
    match = _EMPTY.match(text) or _FRONT_MATTER.match(text)
    if match:
        text = text[match.end() :]
        block = match.groupdict().get("yaml", "").replace("\r\n", "\n")
        try:
            loaded = yaml.safe_load(block)
            if loaded is not None and not isinstance(loaded, dict):
                raise yaml.YAMLError("the front matter is no mapping")
        except (yaml.YAMLError, ValueError):  # ValueError: a date such as 2024-13-45
            unreadable = f"This README began with:\n\n{fenced(_unmarked(block), 'yaml')}\n\n"
        else:
            metadata = loaded or {}
            preamble, source = _slices(block)
    # Below front matter the text begins in the line after it; before a new one comes a blank line.
    body = unreadable + text if match else "\n" + text
    begin = _BEGIN_LINE.search(text)
    end = _END_LINE.search(text, begin.end()) if begin else None
    before, after = text, ""
    if begin:
        # Someone removed the end of our section: where it ended isn't known, so all of it stays.
        before, after = text[: begin.start()], text[end.end() if end else begin.end() :]
    return Readme(metadata, source, preamble, _outer(unreadable + before), _outer(after), body)


def write_readme(readme: Readme, ours: Mapping[str, Any], section: str | None) -> str:
    """Put a README together.

    Args:
        readme: what was there.
        ours: front matter that replaces what has the same keys; a key whose value is None goes.
        section: the text between our marks; None leaves all text as it was.
    """
    front = f"---\n{_front(readme, ours)}---"
    if section is None:
        return f"{front}\n{readme.body}"
    parts = [front, readme.before, BEGIN, _unmarked(section), _END, readme.after]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front(readme: Readme, ours: Mapping[str, Any]) -> str:
    written = {key: value for key, value in ours.items() if value is not None}
    mine = _dumped(written)
    theirs = {key: value for key, value in readme.metadata.items() if key not in ours}
    if readme.source is not None:
        kept = readme.preamble + "".join(
            _comments(text) if key in ours else text for key, text in readme.source.items()
        )
        if _loads_as(kept + mine, {**theirs, **written}):
            return kept + mine
    return _dumped(theirs) + mine


def _slices(block: str) -> tuple[str, dict[str, str] | None]:
    """The text of each key of a YAML mapping and what comes before; None where it has no own text.

    So what people wrote stays as it is: comments, quotes, and a language `no` that YAML takes for
    false.
    """
    root = yaml.compose(block, Loader=yaml.SafeLoader)
    if root is None:
        return "", {}
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return "", None
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(block, yaml.SafeLoader)):
        return "", None
    keys = [key for key, _ in root.value]
    starts = [key.start_mark.index for key in keys]
    names = [key.value for key in keys]
    plain = all(key.tag == "tag:yaml.org,2002:str" for key in keys)
    if not plain or len(set(names)) < len(names) or any(key.start_mark.column for key in keys):
        return "", None
    ends = [*starts[1:], len(block)]
    text = {
        name: block[start:end].rstrip("\n") + "\n"
        for name, start, end in zip(names, starts, ends, strict=True)
    }
    return block[: starts[0]], text


def _comments(text: str) -> str:
    """The comments that follow a key which is written anew."""
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))


def _loads_as(block: str, values: Mapping[str, Any]) -> bool:
    try:
        return bool(yaml.safe_load(block) == values)
    except (yaml.YAMLError, ValueError):
        return False


def _dumped(values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    return str(yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True))


def _unmarked(text: str) -> str:
    """`text` in which, whatever a model answered, nothing begins or ends our section."""
    return text.replace(_COMMENT, _COMMENT.replace("<!", "< !"))


def _outer(text: str) -> str:
    """`text` without blank lines around it; the first line's indentation stays."""
    return re.sub(r"\A(?:[ \t]*\r?\n)+", "", text).rstrip()
