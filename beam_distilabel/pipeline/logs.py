"""What a run says: its own messages to the console, everything to `pipeline.log`."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import persistently, url_to_fs
from beam_distilabel.layout import LOG_FILE, is_local
from beam_distilabel.redaction import hide_secrets

ENGINE_LOG = "BEAM_DISTILABEL_ENGINE_LOG"
"""The environment variable that tells engines in this process where their chatter goes."""

LOGGER = "beam_distilabel"

logger = logging.getLogger(__name__)

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

    Every logger is left as it was. The root logger isn't touched. Runs that overlap in one process
    share its loggers: each log has the messages of both.
    """
    level = log_level()
    with contextlib.ExitStack() as stack:
        local = path
        if not is_local(path):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            local = os.path.join(folder, LOG_FILE)
            stack.callback(_upload, local, path)
        file = _LogFile(local, encoding="utf-8")
        file.setFormatter(_WithoutSecrets("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        stack.callback(file.close)
        for name in CHATTY_LOGGERS:
            stack.enter_context(_changed(logging.getLogger(name), [file], propagate=False))
        if handlers is None:
            console = logging.StreamHandler()
            console.setFormatter(logging.Formatter("%(message)s"))
            handlers = [console]
        ours = logging.getLogger(LOGGER)
        stack.enter_context(_changed(ours, [file, *handlers], propagate=False, level=level))
        stack.enter_context(_engine_log(os.path.abspath(local)))
        yield


class _LogFile(logging.FileHandler):
    """A file whose disk may be full: that is told once, and is no reason to fail, nor to hide why
    the run does."""

    _has_told = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._has_told:
            self._has_told = True
            super().handleError(record)

    def close(self) -> None:
        # Python writes again what is still in the buffer; `handleError` knows of it.
        with contextlib.suppress(OSError):
            super().close()


class _WithoutSecrets(logging.Formatter):
    """Hides secrets in messages of anyone: clients log addresses that are signed."""

    def format(self, record: logging.LogRecord) -> str:
        return hide_secrets(super().format(record))


_lock = threading.Lock()
_changed_loggers: dict[str, tuple[int, bool, int]] = {}
"""Logger to the number of runs that have changed it, and its propagation and level before."""
_engine_logs: list[str] = []
_engine_log_before: list[str | None] = []


@contextlib.contextmanager
def _changed(
    logger: logging.Logger,
    handlers: Sequence[logging.Handler],
    *,
    propagate: bool,
    level: int | None = None,
) -> Iterator[None]:
    with _lock:
        # Runs may overlap: what the first one found is what the last one leaves.
        runs, *before = _changed_loggers.get(logger.name, (0, logger.propagate, logger.level))
        _changed_loggers[logger.name] = (runs + 1, bool(before[0]), before[1])
        logger.propagate = propagate
        if level is not None:
            logger.setLevel(level)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
        with _lock:
            runs, was_propagating, was_level = _changed_loggers.pop(logger.name)
            if runs > 1:
                _changed_loggers[logger.name] = (runs - 1, was_propagating, was_level)
            else:
                logger.propagate = was_propagating
                logger.setLevel(was_level)


@contextlib.contextmanager
def _engine_log(path: str) -> Iterator[None]:
    """Set `ENGINE_LOG` to `path`; afterwards it is that of a run that goes on, or as it was."""
    with _lock:
        if not _engine_logs:
            _engine_log_before[:] = [os.environ.get(ENGINE_LOG)]
        _engine_logs.append(path)
        os.environ[ENGINE_LOG] = path
    try:
        yield
    finally:
        with _lock:
            _engine_logs.remove(path)
            value = _engine_logs[-1] if _engine_logs else _engine_log_before[0]
            if value is None:
                os.environ.pop(ENGINE_LOG, None)
            else:
                os.environ[ENGINE_LOG] = value


def _upload(local: str, path: str) -> None:
    filesystem, target = url_to_fs(path)
    try:
        persistently(f"Writing {path}", lambda: filesystem.put_file(local, target))
    except OSError as error:  # what the run came to isn't changed by its log
        logger.warning("The log %s can't be written: %s", path, error)
