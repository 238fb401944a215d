"""Files that Beam builds or copies for the workers: checked, by paths that it can use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions

SETUP_FILES = ("setup.py", "pyproject.toml")

_PATHS = ("setup_file", "requirements_file", "extra_package", "extra_packages")
_BUILDS = frozenset(("build", "packaging", "pip", "setuptools", "wheel"))
_RUNS = frozenset(
    "apache_beam datasets fsspec google grpc httpx huggingface_hub numpy openai pandas proto"
    " pyarrow pydantic requests tokenizers torch transformers vllm yaml".split()
)


def with_absolute_paths(flags: Sequence[str]) -> tuple[str, ...]:
    """`flags` with the paths of what is staged made absolute; `gs://...` and the like stay.

    Beam changes into the folder of `--setup_file` to build the package, and takes a bare
    `setup.py` for one in a folder without a name (`Stager._build_setup_package`).

    Raises:
        ValueError: a file isn't there, or the setup file isn't one.

    Example:
        >>> with_absolute_paths(["--job_name=j", "--extra_package=gs://bucket/a.whl"])
        ('--job_name=j', '--extra_package=gs://bucket/a.whl')
    """
    made = []
    names_path = ""
    for flag in flags:
        name, equals, value = flag.removeprefix("--").partition("=")
        if flag.startswith("--") and name in _PATHS:
            names_path = "" if equals else name
            made.append(f"--{name}={absolute_path(name, value)}" if equals else flag)
        elif names_path and not flag.startswith("--"):  # `--setup_file setup.py`
            made.append(absolute_path(names_path, flag))
            names_path = ""
        else:
            names_path = ""
            made.append(flag)
    return tuple(made)


def absolute_path(name: str, path: str) -> str:
    """The absolute path of a file that is staged.

    Args:
        name: the option, for messages.
        path: as it was given.

    Raises:
        ValueError: there is no such file, or Beam can't build it.
    """
    if "://" in path:
        return path
    absolute = Path(path).expanduser().absolute()
    if not absolute.is_file():
        raise ValueError(f"options: {name}: there is no file {str(absolute)!r}.")
    if name == "setup_file":
        if absolute.name not in SETUP_FILES:
            raise ValueError(
                f"options: setup_file: {str(absolute)!r} is no setup.py or pyproject.toml; Beam "
                "builds no other."
            )
        for file in shadowing(absolute.parent, _BUILDS):
            raise ValueError(
                f"options: setup_file: {file} stands in for the module {Path(file).stem!r} while "
                "the package beside it is built; give it another name."
            )
    return str(absolute)


def check_options(options: PipelineOptions) -> None:
    """`absolute_path`, for options that are passed on as they are.

    Raises:
        ValueError: a path is relative, or can't be used.
    """
    setup = options.view_as(SetupOptions).setup_file
    if setup and absolute_path("setup_file", setup) != setup:
        raise ValueError(
            f"options: setup_file={setup!r} has to be an absolute path: Beam changes into its "
            f"folder to build the package. Write {absolute_path('setup_file', setup)!r}."
        )


def shadowing(folder: str | os.PathLike[str], names: frozenset[str] = _RUNS) -> Iterator[str]:
    """Files in `folder` that are imported in place of packages that a job needs.

    What lies beside a script comes first when it imports, also on workers that get its path.
    """
    for path in sorted(Path(folder or ".").glob("*.py")):
        if path.stem in names or path.stem in sys.stdlib_module_names:
            yield str(path)
