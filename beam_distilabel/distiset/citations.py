"""Where the BibTeX entries of a card come from: the docstrings of Steps."""

from __future__ import annotations

import re
from typing import Any


def citations_of(step: Any) -> list[str]:
    """The BibTeX entries in the docstring of a Step or of its class.

    Example:
        >>> class Judge:
        ...     '''Judges.
        ...
        ...     Citations:
        ...         @article{judge, title={{On {nested} braces}}}
        ...     '''
        >>> citations_of(Judge())
        ['@article{judge, title={{On {nested} braces}}}']
    """
    text = (step if isinstance(step, type) else type(step)).__doc__ or ""
    entries = []
    for match in re.finditer(r"^[ \t]*(@\w+\s*\{)", text, re.MULTILINE):
        depth = 0
        for end in range(match.start(1), len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0 and text[end] == "}":
                lines = text[match.start(1) : end + 1].splitlines()
                indent = min((len(x) - len(x.lstrip()) for x in lines[1:] if x.strip()), default=0)
                entries.append("\n".join([lines[0], *(line[indent:] for line in lines[1:])]))
                break
    return entries
