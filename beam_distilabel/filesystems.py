"""Paths on any filesystem: what fsspec knows."""

from __future__ import annotations

from typing import Any

import fsspec


def url_to_fs(path: str, **options: Any) -> tuple[Any, str]:
    """The filesystem of a path or URL, and the path there.

    Args:
        path: a local path or a URL such as `gs://bucket/folder`.
        options: for the filesystem.

    Example:
        >>> url_to_fs("memory://folder/file")[1]
        '/folder/file'
    """
    filesystem, name = fsspec.url_to_fs(path, **options)
    return filesystem, str(name)


def open_file(path: str, mode: str = "rb", **options: Any) -> Any:
    """The file at a path or URL, open; text is UTF-8. Folders are made when it is written to."""
    filesystem, name = url_to_fs(path, **options)
    if "w" in mode:
        filesystem.makedirs(filesystem._parent(name), exist_ok=True)
    return filesystem.open(name, mode, **({} if "b" in mode else {"encoding": "utf-8"}))
