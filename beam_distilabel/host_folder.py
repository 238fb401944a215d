"""What the processes of one user share on one host: a private folder for temporary files."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from beam_distilabel.errors import DistilabelError


def host_folder(*names: str) -> Path:
    """A folder below `<temporary folder>/beam-distilabel-<user id>`, which nobody else can enter.

    Args:
        names: the folder below it, made if it isn't there.

    Raises:
        DistilabelError: it is someone else's, or others can enter it: they could put their own
            files in place of ours.

    Example:
        >>> host_folder("gpus").name
        'gpus'
    """
    root = Path(tempfile.gettempdir()) / f"beam-distilabel-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        root.mkdir(mode=0o700)
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise DistilabelError(
            f"{root} has to be a folder of this user that no one else can enter (mode 0700). "
            "Remove it, or set TMPDIR."
        )
    folder = root.joinpath(*names)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
