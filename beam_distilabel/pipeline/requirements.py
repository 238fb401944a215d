"""What a pipeline requires of the environment, as in a requirements file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from beam_distilabel.errors import DistilabelUserError


def checked_requirements(requirements: Any) -> list[str]:
    """`requirements` as a list.

    Raises:
        DistilabelUserError: it is no list of requirements.

    Example:
        >>> checked_requirements(["numpy>=1"])
        ['numpy>=1']
    """
    if requirements is None:
        return []
    if not isinstance(requirements, Sequence) or isinstance(requirements, (str, bytes)):
        raise DistilabelUserError(
            f"Pipeline: requirements={requirements!r} has to be a list, such as "
            '["datasets>=2", "nltk"].'
        )
    for text in requirements:
        try:
            Requirement(text)
        except (InvalidRequirement, TypeError) as error:
            raise DistilabelUserError(
                f"Pipeline: requirements has {text!r}, which is no requirement: "
                f'{str(error).splitlines()[0]}. Write a package and its versions, "datasets>=2".'
            ) from None
    return list(requirements)


def missing_requirements(requirements: Iterable[str]) -> list[str]:
    """Those of `requirements` that are for this environment and aren't installed in it.

    Example:
        >>> missing_requirements(["pydantic", "pydantic<1", "no-such-package; python_version<'3'"])
        ['pydantic<1']
    """
    missing = []
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            installed = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(text)
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            missing.append(text)
    return missing
