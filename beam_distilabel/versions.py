"""The versions that have to be equal here and on the workers."""

from __future__ import annotations

import socket
import sys
from typing import Any

from apache_beam.version import __version__ as _beam

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.version import __version__

VERSIONS = {
    "Python": f"{sys.version_info.major}.{sys.version_info.minor}",
    "apache-beam": _beam,
    "beam-distilabel": __version__,
}
"""Code pickled by one minor version of Python can't be read by another; Beam's and our own pickles
hold only within one version."""


class Stamp:
    """Stands at the beginning of a pickle: who reads it with other versions is told so.

    What comes after it is not read then.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return check_versions, (tuple(VERSIONS.items()),)


STAMP = Stamp()


def check_versions(versions: tuple[tuple[str, str], ...]) -> Stamp:
    """Compare the versions of whoever wrote a pickle with those of this process.

    Raises:
        DistilabelUserError: they differ; names them and the host.

    Example:
        >>> check_versions((("Python", "2.7"),))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        beam_distilabel.errors.DistilabelUserError: the worker on ... has Python ..., not 2.7...
    """
    wrong = [
        f"{name} {VERSIONS[name]}, not {version}"
        for name, version in versions
        if VERSIONS.get(name, version) != version
    ]
    if wrong:
        raise DistilabelUserError(
            f"the worker on {socket.gethostname()} has {' and '.join(wrong)} as where the pipeline "
            "was started. Install the same versions in both places, or use the worker image that "
            "was built for this version."
        )
    return STAMP
