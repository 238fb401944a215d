"""Pipeline and parameter files: where they are, and in which format."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import urllib.parse
from collections.abc import Mapping
from typing import Any

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.fetching import fetch, is_web
from beam_distilabel.filesystems import open_file, url_to_fs, write_file
from beam_distilabel.layout import is_local
from beam_distilabel.pipeline.serialization.documents import (
    MAX_BYTES,
    DocumentError,
    parse,
    yaml_text,
)
from beam_distilabel.redaction import hide_secrets
from beam_distilabel.secret_texts import hide_in_url

FILE_NAME = "distilabel-file.json"
"""What distilabel calls a file that is given no name."""

_FORMATS = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}

_HUB_FILE = re.compile(
    r"/(?P<repo>(?:(?:datasets|spaces)/)?[^/]+/[^/]+)/(?:blob|raw|resolve)/(?P<revision>[^/]+)"
    r"/(?P<file>.+)"
)


def format_of(path: str | os.PathLike[str]) -> str | None:
    """ "json" or "yaml", by the file's extension; None where it has none.

    Raises:
        DistilabelUserError: it has another one.

    Example:
        >>> format_of("pipeline.yml"), format_of("https://host/p.json?x=1"), format_of("pipeline")
        ('yaml', 'json', None)
    """
    text = os.fspath(path)
    name = text if is_local(text) else urllib.parse.urlsplit(text).path
    extension = os.path.splitext(name)[1].lower()
    if extension and extension not in _FORMATS:
        raise DistilabelUserError(f"{hide_in_url(text)!r} is no .yaml, .yml or .json file.")
    return _FORMATS.get(extension)


# -- writing ---------------------------------------------------------------------------------------


def save(
    data: Mapping[str, Any], path: str | os.PathLike[str] | None, format: str | None = None
) -> None:
    """Write a dump to a file, whole or not at all; folders that aren't there are made.

    Args:
        data: JSON-like.
        path: the file, on any filesystem. A name without an extension is a folder, and None the
            current one, in which the file is called `distilabel-file.json`, as in distilabel.
        format: "json" or "yaml"; None for that of the path's extension.

    Raises:
        DistilabelUserError: the format is unknown, or the file can't be written.
    """
    if format not in (None, "json", "yaml"):
        raise DistilabelUserError(f"save: format={format!r}; use 'json' or 'yaml'.")
    target = "" if path is None else os.fspath(path)
    if not os.path.splitext(target)[1]:
        target = f"{target.rstrip('/')}/{FILE_NAME}" if target else FILE_NAME
    if (format or format_of(target)) == "yaml":
        text = yaml_text(data)
    else:
        text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    try:
        write_file(os.path.abspath(target) if is_local(target) else target, text)
    except (OSError, UnicodeEncodeError) as error:
        raise DistilabelUserError(
            f"{hide_in_url(target)!r} can't be written: {hide_secrets(str(error))}"
        ) from error


# -- reading ---------------------------------------------------------------------------------------


def read(path: str | os.PathLike[str], format: str | None) -> Any:
    """The data in a file, which may come from anyone; see `documents`.

    Args:
        path: local, on any filesystem that fsspec or Beam knows, or a URL. What is on the Hugging
            Face Hub is `hf://datasets/org/repo/pipeline.yaml`, or the address of its page. The
            Hub's token goes to the host of `HF_ENDPOINT` alone.
        format: "json" or "yaml"; None to tell by the content.

    Raises:
        DistilabelUserError: it isn't there or can't be read.
    """
    shown = hide_in_url(os.fspath(path))
    try:
        return parse(_content(os.fspath(path), shown), format)
    except DocumentError as error:
        how = f" as {format}" if format else ""
        raise DistilabelUserError(
            f"{shown!r} can't be read{how}: {hide_secrets(str(error))}."
        ) from None


def _content(path: str, shown: str) -> bytes:
    try:
        if is_local(path):
            return _local_content(os.path.expanduser(path), shown)
        place = hub_path(path) or path
        if is_web(place):
            return fetch(place).content
        filesystem, name = url_to_fs(place)
        if filesystem.isdir(name):
            raise _is_folder(shown)
        with filesystem.open(name, "rb") as file:
            return _first_bytes(file)
    except FileNotFoundError:
        raise DistilabelUserError(f"there is no file {shown!r}.") from None
    except DistilabelUserError:
        raise
    except Exception as error:  # each filesystem and each client of one has errors of its own
        reason = hide_secrets(str(error)) or type(error).__name__
        raise DistilabelUserError(f"{shown!r} can't be read: {reason}") from error


def _local_content(path: str, shown: str) -> bytes:
    path = path.removeprefix("file://")
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise _is_folder(shown)
    if not stat.S_ISREG(mode):  # a pipe or a device might never end
        raise DistilabelUserError(f"{shown!r} is no regular file.")
    with open_file(path) as file:
        return _first_bytes(file)


def _first_bytes(file: Any) -> bytes:
    """A file's content; of a larger one than is read, enough to tell."""
    content = io.BytesIO()
    while content.tell() <= MAX_BYTES:
        part = file.read(MAX_BYTES + 1 - content.tell())
        if not part:
            break
        content.write(part)
    return content.getvalue()


def _is_folder(shown: str) -> DistilabelUserError:
    return DistilabelUserError(
        f"{shown!r} is a folder; name the file in it, such as "
        f"{shown.rstrip('/') + '/pipeline.yaml'!r}."
    )


def hub_path(url: str) -> str | None:
    """The `hf://` path of a file's address on the Hub; None for any other address.

    Example:
        >>> hub_path("https://huggingface.co/datasets/org/repo/blob/main/pipeline.yaml")
        'hf://datasets/org/repo@main/pipeline.yaml'
        >>> hub_path("https://huggingface.co.example.com/datasets/o/r/blob/main/pipeline.yaml")
    """
    from huggingface_hub import constants

    address, endpoint = urllib.parse.urlsplit(url), urllib.parse.urlsplit(str(constants.ENDPOINT))
    prefix = endpoint.path.rstrip("/")
    if (address.scheme, address.netloc) != (endpoint.scheme, endpoint.netloc):
        return None
    match = _HUB_FILE.fullmatch(address.path.removeprefix(prefix))
    if match is None or not address.path.startswith(prefix):
        return None
    return f"hf://{match['repo']}@{match['revision']}/{urllib.parse.unquote(match['file'])}"


def read_parameters(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """The runtime parameters in a YAML or JSON file: `{"step": {"name": value}}`.

    Read as strictly as a pipeline file. Secrets may be named: `api_key: env:MY_KEY`.

    Args:
        path: as for `Pipeline.from_file`; the format is that of the extension, or of the content.

    Raises:
        DistilabelUserError: it isn't there, can't be read, or isn't of that form.

    Example:
        >>> with open_file("memory://parameters.yaml", "w") as file:
        ...     _ = file.write("task: {num_generations: 2, llm: {generation_kwargs: {top_p: 0.9}}}")
        >>> read_parameters("memory://parameters.yaml")
        {'task': {'num_generations': 2, 'llm': {'generation_kwargs': {'top_p': 0.9}}}}
    """
    parameters = read(path, format_of(path))
    if parameters is None:  # an empty file
        return {}
    if not isinstance(parameters, dict) or not all(
        isinstance(of_step, dict) for of_step in parameters.values()
    ):
        raise DistilabelUserError(
            f"{hide_in_url(os.fspath(path))!r} has no runtime parameters: expected a dict per "
            'Step, {"step": {"name": value}}.'
        )
    return parameters


__all__ = ["FILE_NAME", "format_of", "hub_path", "read", "read_parameters", "save"]
