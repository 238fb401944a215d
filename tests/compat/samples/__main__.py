"""Record anew what distilabel makes of the samples.

    python -m tests.compat.samples --distilabel PYTHON [NAME ...]

PYTHON is the interpreter of an environment with distilabel 1.5.3, as `make compat` makes one.
"""

import argparse
import sys

from tests.compat import verdicts
from tests.compat.samples import recording
from tests.compat.samples.running import NAMES


def main() -> int:
    """Write `recorded/`."""
    parser = argparse.ArgumentParser(description="Record what distilabel makes of the samples.")
    parser.add_argument("--distilabel", required=True, help="a python with distilabel installed")
    parser.add_argument("names", nargs="*", metavar="NAME", help="samples; all by default")
    arguments = parser.parse_args()
    version = verdicts.distilabel_version(arguments.distilabel)
    if version != verdicts.DISTILABEL_VERSION:
        parser.error(f"--distilabel has {version}, needed is {verdicts.DISTILABEL_VERSION}")
    if unknown := sorted(set(arguments.names) - set(NAMES)):
        parser.error(f"there is no sample {', '.join(unknown)}; known are {', '.join(NAMES)}")
    recording.write(recording.record_all(arguments.distilabel, arguments.names or NAMES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
