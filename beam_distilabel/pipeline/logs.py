"""What a run says: its own messages to the console, everything to `pipeline.log`."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence

import fsspec

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.layout import is_local

ENGINE_LOG = "BEAM_DISTILABEL_ENGINE_LOG"
"""The environment variable that tells engines in this process where their chatter goes."""

LOGGER = "beam_distilabel"

CHATTY_LOGGERS = ("apache_beam", "datasets", "httpx", "huggingface_hub", "transformers", "vllm")
"""Loggers of others whose messages go to `pipeline.log` only while a run is under way."""


def log_level() -> int:
    """`DISTILABEL_LOG_LEVEL` as a number; INFO by default.

    Raises:
        DistilabelUserError: it is no level.
    """
    name = os.environ.get("DISTILABEL_LOG_LEVEL", "INFO").upper()
    level = logging.getLevelName(name)
    if not isinstance(level, int):
        raise DistilabelUserError(
            f"DISTILABEL_LOG_LEVEL={name!r} is no log level; use DEBUG, INFO, WARNING, ERROR or "
            "CRITICAL."
        )
    return level


@contextlib.contextmanager
def logging_to(path: str, handlers: Sequence[logging.Handler] | None) -> Iterator[None]:
    """Send messages to the file `path`, ours also to `handlers` (default: the console).

    Every logger is left as it was. The root logger isn't touched.
    """
    level = log_level()
    with contextlib.ExitStack() as stack:
        local = path
        if not is_local(path):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            local = os.path.join(folder, "pipeline.log")
            stack.callback(_upload, local, path)
        file = logging.FileHandler(local, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        stack.callback(file.close)
        for name in CHATTY_LOGGERS:
            stack.enter_context(_changed(logging.getLogger(name), [file], propagate=False))
        if handlers is None:
            console = logging.StreamHandler()
            console.setFormatter(logging.Formatter("%(message)s"))
            handlers = [console]
        ours = logging.getLogger(LOGGER)
        stack.enter_context(_changed(ours, [file, *handlers], propagate=False, level=level))
        stack.enter_context(_environment(ENGINE_LOG, os.path.abspath(local)))
        yield


@contextlib.contextmanager
def _changed(
    logger: logging.Logger,
    handlers: Sequence[logging.Handler],
    *,
    propagate: bool,
    level: int | None = None,
) -> Iterator[None]:
    before = logger.propagate, logger.level
    for handler in handlers:
        logger.addHandler(handler)
    logger.propagate = propagate
    if level is not None:
        logger.setLevel(level)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
        logger.propagate, logger.level = before


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def _upload(local: str, path: str) -> None:
    filesystem, target = fsspec.url_to_fs(path)
    filesystem.put_file(local, target)
