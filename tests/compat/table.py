"""Write what the docstring examples of distilabel do here into docs/migration.md.

python -m tests.compat.table              print the table of the committed verdicts
python -m tests.compat.table --write      put it between the markers of docs/migration.md
python -m tests.compat.table --run        run all examples first and commit their verdicts
                                          (BEAM_DISTILABEL_COMPAT_PYTHON names the python of an
                                          environment with distilabel 1.5.3)
"""

import argparse
import collections
import os
import sys

from tests.compat import verdicts
from tests.compat.verdicts import Verdict

PAGE = verdicts.ROOT / "docs" / "migration.md"
BEGIN, END = "<!-- docstring examples: begin -->", "<!-- docstring examples: end -->"
VARIABLE = "BEAM_DISTILABEL_COMPAT_PYTHON"


def summary(found: dict[str, Verdict]) -> str:
    """Return the counts of all verdicts as one line."""
    counts = collections.Counter(entry.verdict for entry in found.values())
    pending = sum("stand-in" in entry.reason for entry in found.values())
    return (
        f"{len(found)} examples: {counts[verdicts.PASS]} pass, {counts[verdicts.FAILS]} fail, "
        f"{counts[verdicts.WAITS]} wait for what isn't there yet ({pending} of them run with a "
        f"stand-in for it), {counts[verdicts.NOT_RUNNABLE]} don't run in distilabel "
        f"{verdicts.DISTILABEL_VERSION} under the same conditions either."
    )


def waited_for(found: dict[str, Verdict]) -> list[str]:
    """Return the names that examples wait for, with the number of those that do."""
    counts: collections.Counter[str] = collections.Counter()
    for entry in found.values():
        if entry.verdict == verdicts.WAITS:
            counts.update(entry.reason.partition(";")[0].split(", "))
    return [f"{name} ({count})" for name, count in sorted(counts.items())]


def table(found: dict[str, Verdict]) -> str:
    """Return the section of docs/migration.md that stands between the markers."""
    lines = [summary(found), ""]
    if names := waited_for(found):
        lines += [f"Waited for (number of examples): {', '.join(names)}.", ""]
    lines += ["| Example | Verdict | Reason |", "|---|---|---|"]
    for name, entry in found.items():
        reason = entry.reason.replace("|", "\\|")
        lines.append(f"| `{name}` | {entry.verdict} | {reason} |")
    return "\n".join(lines)


def between_markers(page: str) -> str:
    """Return what ``page`` has between the two markers, without the blank lines around it."""
    return page.partition(BEGIN)[2].partition(END)[0].strip()


def with_table(page: str, text: str) -> str:
    """Return ``page`` with ``text`` between its markers.

    Raises:
        ValueError: the page lacks one of the markers.
    """
    if not 0 <= page.find(BEGIN) < page.find(END):
        raise ValueError(f"{PAGE.name} needs the lines {BEGIN!r} and {END!r}, in this order")
    head, tail = page.partition(BEGIN)[0], page.partition(END)[2]
    return f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}"


def main() -> int:
    """Print, write or recompute the table."""
    parser = argparse.ArgumentParser(description="The table of docstring examples.")
    parser.add_argument("--run", action="store_true", help="run the examples and keep the verdicts")
    parser.add_argument("--write", action="store_true", help="update docs/migration.md")
    arguments = parser.parse_args()
    if arguments.run:
        python = os.environ.get(VARIABLE)
        if not python:
            parser.error(f"--run needs {VARIABLE}: a python with distilabel installed")
        verdicts.write_expected(verdicts.compute(python))
    found = verdicts.read_expected()
    if arguments.run or arguments.write:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(with_table(page, table(found)), encoding="utf-8")
        print(summary(found))
    else:
        print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
