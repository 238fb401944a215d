"""The pipeline that a command is about: of a file, of a script, of a run."""

from __future__ import annotations

import atexit
import hashlib
import os
import runpy
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.fetching import MAX_BYTES, Fetched, fetch, hub_file, is_web
from beam_distilabel.layout import PIPELINE_FILE
from beam_distilabel.redaction import hide_secrets
from beam_distilabel.secret_texts import hide_in_url, remember_secret

if TYPE_CHECKING:
    from beam_distilabel.pipeline import Pipeline

SCRIPT_NAME = "beam_distilabel_script"
"""The `__name__` of a script that the command line loads: its `__main__` block doesn't run."""

_EXTENSIONS = (".yaml", ".yml", ".json")
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def pipeline_of_run(
    run_dir: str,
    config: str | None,
    script: str | None,
    variable: str,
    trust_remote_code: bool = False,
) -> Pipeline:
    """The pipeline of a run: the one of a file or script if given, else the run's own file.

    Raises:
        DistilabelUserError: both are given, or the run's file needs classes of a script.
    """
    if config is not None or script is not None:
        return load_pipeline(config, script, variable, trust_remote_code=trust_remote_code)
    file = f"{run_dir.rstrip('/')}/{PIPELINE_FILE}"
    try:
        return read_pipeline(file)
    except DistilabelUserError as error:
        raise DistilabelUserError(
            f"{error} The pipeline of the run can't be made of {file!r}: give the script that "
            "builds it, --script FILE, or a file that has it, --config FILE."
        ) from None


def load_pipeline(
    config: str | None,
    script: str | None,
    variable: str,
    *,
    trust_remote_code: bool = False,
    token: str | None = None,
) -> Pipeline:
    """The pipeline of a file, or of a script's variable.

    Args:
        config: see `read_pipeline`.
        script: a Python file, or its URL.
        variable: the pipeline's name in the script.
        trust_remote_code: whether a script from elsewhere may run.
        token: of the Hub.

    Raises:
        DistilabelUserError: not exactly one of the two is given, or there is no pipeline.
    """
    if (config is None) == (script is None):
        raise DistilabelUserError(
            "give exactly one of --config FILE and --script FILE (a FILE without an option is "
            "--config)."
        )
    if config is not None:
        return read_pipeline(config, token)
    assert script is not None
    return _of_script(script, variable, trust_remote_code, token)


def read_pipeline(address: str, token: str | None = None) -> Pipeline:
    """The pipeline of a YAML or JSON file.

    Args:
        address: a path, a URL of any filesystem, an http(s) URL, or a dataset on the Hub:
            `org/name[@revision]` or `hf://datasets/org/name[@revision][/pipeline.yaml]`.
        token: of the Hub.

    Raises:
        DistilabelUserError: there is no such file, or it has no pipeline.
    """
    from beam_distilabel.pipeline import Pipeline
    from beam_distilabel.pipeline.serialization.files import hub_path

    name = hub_path(address) or address  # of the page that shows a file on the Hub
    on_hub = None
    if name.startswith("hf://") or not (name.lower().endswith(_EXTENSIONS) or os.path.exists(name)):
        on_hub = None if is_web(name) else hub_file(name, PIPELINE_FILE)
    if on_hub is None and not is_web(name):
        return Pipeline.from_file(address)
    try:
        found = fetch(on_hub.url() if on_hub else name, token)
    except DistilabelUserError as error:
        if on_hub is None or is_web(address):
            raise
        begin = "" if name.startswith("hf://") else " is no file here, and as a dataset on the Hub"
        raise DistilabelUserError(f"{address!r}{begin}: {error}") from None
    return _of_content(found, on_hub.path if on_hub else address)


def _of_content(found: Fetched, address: str) -> Pipeline:
    """The pipeline in what was fetched from `address`."""
    from beam_distilabel.pipeline import Pipeline
    from beam_distilabel.pipeline.serialization import format_of
    from beam_distilabel.pipeline.serialization.documents import DocumentError, parse

    shown = hide_secrets(hide_in_url(address))
    try:
        return Pipeline.from_dict(parse(found.content, format_of(address)))
    except DocumentError as error:
        said = hide_secrets(str(error))
        raise DistilabelUserError(f"{shown} can't be read: {said}.") from None
    except DistilabelUserError as error:
        raise DistilabelUserError(f"{shown}: {error}") from None


def plain_token(token: str | None) -> str | None:
    """The Hub's token that was given, or that is to be read where `token` says.

    Raises:
        DistilabelUserError: the variable or the file isn't there.
    """
    if token is None:
        return None
    from pydantic import SecretStr

    from beam_distilabel.hub.target import read_token
    from beam_distilabel.secrets.references import as_reference

    found = as_reference(token)
    if not isinstance(found, SecretStr):
        remember_secret(token)
        found = SecretStr(token)
    return read_token(found)


# -- scripts ---------------------------------------------------------------------------------------


def _of_script(script: str, variable: str, trusted: bool, token: str | None) -> Pipeline:
    from beam_distilabel.pipeline import Pipeline

    path = _fetched_script(script, trusted, token) if "://" in script else Path(script)
    if not path.is_file():
        raise DistilabelUserError(f"there is no script {script!r}.")
    if path == Path(script):
        # As when Python runs it: what lies beside the script can be imported.
        sys.path.insert(0, str(path.resolve().parent))
    found = _run(path, script).get(variable)
    if not isinstance(found, Pipeline):
        known = "no pipeline" if found is None else f"a {type(found).__name__}"
        raise DistilabelUserError(
            f"the script {script!r} has {known} in its variable {variable!r}; build it at the "
            "top of the script, or name another with --pipeline-variable-name."
        )
    return found


def _fetched_script(script: str, trusted: bool, token: str | None) -> Path:
    """A copy of a script from elsewhere, for as long as this process lives."""
    shown = hide_secrets(hide_in_url(script))
    if not trusted:
        raise DistilabelUserError(
            f"--script {shown} would run Python code from there on this machine, with your rights, "
            "your files and your keys. Read it first; if you trust it and whoever can change it, "
            "add --trust-remote-code. Nothing was fetched."
        )
    content = _content(script, token)
    digest = hashlib.sha256(content).hexdigest()
    Console(stderr=True).print(
        f"Running the code of {shown} ({len(content):,} bytes, sha256 {digest})",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    folder = tempfile.mkdtemp(prefix="beam-distilabel-")
    # Workers of this machine, tracebacks and `inspect` read it while the pipeline runs.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, "script.py")
    path.write_bytes(content)
    return path


def _content(script: str, token: str | None) -> bytes:
    from beam_distilabel.filesystems import open_file

    scheme, _, rest = script.partition("://")
    on_hub = hub_file(script, "pipeline.py") if scheme.lower() == "hf" else None
    if on_hub is not None:
        return fetch(on_hub.url(), token).content
    if not is_web(script):
        with open_file(script) as file:
            content: bytes = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise DistilabelUserError(f"{script!r} has more than {MAX_BYTES:,} bytes.")
        return content
    host = rest.partition("/")[0].rpartition(":")[0] or rest.partition("/")[0]
    if scheme.lower() == "http" and host.strip("[]").lower() not in _LOCAL_HOSTS:
        raise DistilabelUserError(
            f"--script {hide_secrets(hide_in_url(script))}: code that comes by http can be changed "
            "by anyone on its way; use https."
        )
    return fetch(script, token).content


def _run(path: Path, script: str) -> dict[str, Any]:
    """The variables of a script after it has run."""
    try:
        return runpy.run_path(str(path), run_name=SCRIPT_NAME)
    except DistilabelError:
        raise
    except SystemExit as error:
        raise DistilabelUserError(
            f"the script {script!r} ended by itself (exit code {error.code}) before its pipeline "
            "could be read; put what runs it under `if __name__ == '__main__':`."
        ) from error
    except Exception as error:
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(path)
        ]
        if isinstance(error, SyntaxError) and error.filename == str(path):
            lines = [error.lineno]
        where = f", line {lines[-1]}" if lines else ""
        raise DistilabelUserError(
            hide_secrets(f"the script {script!r} failed{where}: {type(error).__name__}: {error}")
        ) from error
