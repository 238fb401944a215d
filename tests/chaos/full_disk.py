"""A run on a disk that is too small, and again when there is room: `URL ROWS FOLDER`.

Started in a mount namespace of its own (`unshare -rm`), so that the disk ends with the process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from beam_distilabel.errors import RunFailedError
from tests.chaos.runs import CHECKPOINT, result_of, two_tasks

SMALL = "160k"
LARGE = "200m"


def main(url: str, rows: int, folder: Path) -> None:
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    subprocess.run([*mount, f"size={SMALL}", "tmpfs", str(disk)], check=True)

    def run() -> None:
        two_tasks(url, rows).run(
            output_dir=disk / "run", logging_handlers=[], checkpoint=CHECKPOINT
        )

    try:
        run()
    except RunFailedError as error:
        (folder / "error.txt").write_text(str(error))
    else:
        raise AssertionError("the run didn't notice that the disk is full")
    subprocess.run([*mount, f"remount,size={LARGE}", "tmpfs", str(disk)], check=True)
    run()
    (folder / "rows.json").write_text(json.dumps(result_of(disk / "run")))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
