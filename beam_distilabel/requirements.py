"""Packages that Steps and pipelines need: declared by a decorator, checked before a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import metadata
from typing import TypeVar

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from beam_distilabel.errors import DistilabelUserError

S = TypeVar("S", bound=type)

STANDS_FOR = {"distilabel": "1.5.3"}
"""Packages that this one takes the place of, and the version whose names it has: what distilabel's
scripts and files require is met."""


def requirements(requirements: str | Iterable[str]) -> Callable[[S], S]:
    """Decorate a Step with the packages that it needs; a run says which of them are missing.

    Args:
        requirements: as in a requirements file, such as `["nltk>=3.8"]`.

    Raises:
        DistilabelUserError: one of them is no requirement.

    Example:
        >>> from beam_distilabel.steps import Step
        >>> @requirements(["numpy>=1", "no-such-package"])
        ... class Count(Step): pass
        >>> Count().requirements, Count().requirements_to_install()
        (['no-such-package', 'numpy>=1'], ['no-such-package'])
    """

    def decorate(step: S) -> S:
        inherited = getattr(step, "_requirements", ())
        own = checked(requirements, step.__name__)
        step._requirements = tuple(dict.fromkeys((*inherited, *own)))  # type: ignore[attr-defined]
        return step

    return decorate


def checked(requirements: str | Iterable[str], whose: str) -> list[str]:
    """`requirements` as a list.

    Raises:
        DistilabelUserError: one of them is no requirement; names it and `whose` it is.
    """
    given = [requirements] if isinstance(requirements, str) else list(requirements)
    for text in given:
        try:
            Requirement(text)
        except (InvalidRequirement, TypeError) as error:
            raise DistilabelUserError(
                f"{whose}: {text!r} is no requirement: {error} Write it as in a requirements file, "
                "such as 'nltk>=3.8'."
            ) from None
    return given


def missing(requirements: Iterable[str]) -> list[str]:
    """Those of `requirements` that aren't installed in the version asked for.

    Example:
        >>> missing(["numpy", "numpy>=1000", "nothing-like-it; python_version < '3'", "distilabel"])
        ['numpy>=1000']
    """
    return [text for text in requirements if not _is_met(Requirement(text))]


def _is_met(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    name = canonicalize_name(requirement.name)
    try:
        installed = STANDS_FOR.get(name) or metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(installed, prereleases=True)


__all__ = ["STANDS_FOR", "checked", "missing", "requirements"]
