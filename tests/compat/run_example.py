"""Run examples, one process each, and tell how each of them ended, as JSON lines.

    python -m tests.compat.run_example PACKAGE < examples.jsonl > outcomes.jsonl

Takes the lines of ``extract.py``. In every example the prefix of distilabel's imports is changed
to PACKAGE (``distilabel`` itself leaves it as it is) and nothing else. Models answer from memory
(``fakes.py``), connections to any other host are refused, and the process starts without real
credentials in a folder, its home too, that holds only the files of ``make_props``. PACKAGE is
imported once; each example then runs in a fork of that process.

One line per example: ``id``, ``kind`` (one of ``KINDS``), ``detail`` (what the reason depends on),
``missing`` (names that the example imports from PACKAGE and that aren't there), ``columns`` (of
the rows in the example's ``result``), ``trace`` (the end of the traceback).
"""

import ast
import contextlib
import functools
import importlib
import json
import linecache
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.compat import fakes

TIME_LIMIT_S = 20.0
GRACE_S = 5.0  # for an example that can't be interrupted, before it is killed
KINDS = {
    "ok": "ran to its end",
    "syntax": "isn't valid Python",
    "undefined": "uses a name that it doesn't define",
    "missing": "imports a name that the package doesn't have",
    "third-party": "needs another package",
    "network": "needs the network",
    "file": "needs a file that isn't there",
    "failed-rows": "ended, but rows failed for another reason than the fake's answer",
    "timeout": f"took longer than {TIME_LIMIT_S:g} s",
    "error": "raised",
    "died": "ended its process",
}
PREFIX = re.compile(r"^(\s*(?:from|import)\s+)distilabel\b", re.M)
# The fake answers every prompt with the same text: that a parser refuses it is no defect.
EXPECTED_FAILURES = frozenset({"parse", "schema"})


class NetworkRefusedError(ConnectionRefusedError):
    """An example tried to reach another host."""


class OutOfTimeError(BaseException):
    """An example used up its time."""


def _out_of_time(*_: Any) -> None:
    raise OutOfTimeError


class Network:
    """Refuses connections to other hosts and remembers that it did."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def _check(self, host: Any) -> None:
        if host not in (None, "", "localhost", "127.0.0.1", "::1", b"localhost", "0.0.0.0"):
            self.refused.append(str(host))
            time.sleep = lambda seconds: None  # clients wait before they try again, in vain here
            raise NetworkRefusedError(f"no network in this test: {host}")

    def install(self) -> None:
        """Guard this process and its forks."""
        connect, resolve = socket.socket.connect, socket.getaddrinfo

        def guarded_connect(sock: socket.socket, address: Any) -> None:
            if sock.family != socket.AF_UNIX:
                self._check(address[0])
            connect(sock, address)

        def guarded_resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
            self._check(host)
            return resolve(host, *args, **kwargs)

        socket.socket.connect = guarded_connect  # type: ignore[assignment,method-assign]
        socket.getaddrinfo = guarded_resolve


def imported_names(code: str, package: str) -> Iterator[tuple[str, str]]:
    """Yield (module, name) for everything that ``code`` imports from ``package``."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{package}."):
            for alias in node.names:
                yield str(node.module), alias.name


def has(module_name: str, name: str) -> bool:
    """Tell whether ``from module_name import name`` works."""
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            return False
        raise
    try:
        return hasattr(module, name)
    except ImportError:  # distilabel loads some of its modules when their names are asked for
        return True


def result_rows(namespace: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that an example ended with, if it keeps them under one of the usual names."""
    for name in ("result", "results", "res"):
        value = namespace.get(name)
        if isinstance(value, tuple) and value:
            value = value[0]
        if isinstance(value, list) and all(isinstance(row, dict) for row in value):
            return value
    return []


def row_failures(rows: list[dict[str, Any]]) -> list[str]:
    """Return the failures in the metadata of rows that the fake's fixed answer doesn't explain."""
    found = []
    for row in rows:
        metadata = row.get("distilabel_metadata") or {}
        for entry in metadata if isinstance(metadata, list) else [metadata]:
            for key, failure in entry.items():
                for one in failure if isinstance(failure, list) else [failure]:
                    if key.startswith("failure_") and one:
                        if one["kind"] not in EXPECTED_FAILURES:
                            found.append(f"{one['kind']}: {one['message']}")
    return found


def run(code: str, package: str, network: Network, folder: pathlib.Path) -> dict[str, Any]:
    """Run one example in this process, as its ``__main__``, and say how it ended."""
    try:
        names = list(imported_names(code, package))
    except SyntaxError as error:
        return {"kind": "syntax", "detail": error.msg}
    missing = sorted({name for module, name in names if not has(module, name)})
    for module, name in names:
        if name in missing and not (name in fakes.MODELS and fakes.provide(package, module, name)):
            return {"kind": "missing", "detail": name, "missing": missing}
    fakes.install(package)

    path = folder / "example.py"
    path.write_text(code, encoding="utf-8")
    linecache.checkcache(str(path))
    main = types.ModuleType("__main__")
    main.__file__ = str(path)
    sys.modules["__main__"] = main
    outcome: dict[str, Any] = {"missing": missing}
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT_S)
    try:
        exec(compile(code, str(path), "exec"), main.__dict__)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except BaseException as error:
        kind, detail = classify(error, network)
        trace = traceback.format_exc()[-3000:]
        return {**outcome, "kind": kind, "detail": detail, "trace": trace}
    rows = result_rows(main.__dict__)
    if failures := row_failures(rows):
        return {**outcome, "kind": "failed-rows", "detail": failures[0]}
    columns = sorted({column for row in rows for column in row})
    return {**outcome, "kind": "ok", "detail": "", "columns": columns}


def classify(error: BaseException, network: Network) -> tuple[str, str]:
    """Return the kind and the detail of what an example raised."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, NameError):
        return "undefined", str(error.name)
    if network.refused:
        return "network", network.refused[0]
    if any(isinstance(cause, OutOfTimeError) for cause in chain):
        return "timeout", ""
    for cause in chain:
        if isinstance(cause, ModuleNotFoundError):
            return "third-party", str(cause.name).partition(".")[0]
    if isinstance(error, ImportError):
        return "third-party", first_line(error)
    if isinstance(error, FileNotFoundError):
        return "file", type(error).__name__
    return "error", f"{type(error).__name__}: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, without what differs from run to run."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    text = re.sub(r"0x[0-9a-f]+", "0x…", text)
    return re.sub(r"(/[\w.~-]+){2,}", "a path", text)[:200]


def make_props(folder: pathlib.Path) -> None:
    """Write the files that examples read, under the names that they use.

    Some call a saved dataset what others call a Distiset: hence the two folders of ``props_for``.
    """
    from datasets import Dataset

    rows = [{"a": number, "b": f"text {number}"} for number in range(3)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    dataset = Dataset.from_list(rows)

    subset = folder / "distiset" / "path" / "to" / "dataset" / "leaf_step_1"
    dataset.save_to_disk(subset)

    files = folder / "files" / "path" / "to"
    dataset.save_to_disk(files / "dataset")
    (files / "dataset" / "part-0.jsonl").write_text(lines, encoding="utf-8")
    (files / "dataset.jsonl").write_text(lines, encoding="utf-8")
    (files / "dataset.txtr").write_text("a,b\n0,text\n", encoding="utf-8")
    weights = folder / "files" / "Downloads" / "openhermes-2.5-mistral-7b.Q4_K_M.gguf"
    weights.parent.mkdir()
    weights.touch()


def props_for(code: str, props: pathlib.Path) -> pathlib.Path:
    """Return the folder of ``make_props`` that an example wants to start in a copy of."""
    return props / ("distiset" if "is_distiset=True" in code else "files")


def run_forked(
    job: Callable[[pathlib.Path], dict[str, Any]], props: pathlib.Path, verbose: bool
) -> dict[str, Any]:
    """Run ``job`` in a fork of this process, in a copy of ``props``, within the time limit."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="compat-"))
    shutil.copytree(props, folder, dirs_exist_ok=True)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        os.setsid()
        status = 1
        try:
            os.chdir(folder)
            os.environ["HOME"] = str(folder)
            if not verbose:
                silence = os.open(os.devnull, os.O_WRONLY)
                os.dup2(silence, 1)
                os.dup2(silence, 2)
            outcome = job(folder)
            with open(writer, "w", encoding="utf-8") as pipe:
                json.dump(outcome, pipe)
            status = 0
        finally:
            os._exit(status)  # neither this parent's exit handlers nor the example's threads run
    os.close(writer)
    try:
        with open(reader, encoding="utf-8") as pipe:
            ready, _, _ = select.select([pipe], [], [], TIME_LIMIT_S + GRACE_S)
            if not ready:
                return {"kind": "timeout", "detail": ""}
            text = pipe.read()
        return json.loads(text) if text else {"kind": "died", "detail": ""}
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        shutil.rmtree(folder, ignore_errors=True)


def prepare(package: str, network: Network) -> None:
    """Leave no credential or cache of this machine in reach, and import ``package``."""
    for name in list(os.environ):
        if name.endswith(("_TOKEN", "_API_KEY", "_API_URL")) or name.startswith(("HF_", "OPENAI_")):
            del os.environ[name]
    os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1", HF_HUB_DISABLE_XET="1")
    os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"
    # It opens nothing. Without one, what writes to the Hub ends before it needs the network.
    os.environ["HF_TOKEN"] = "hf_" + "none" * 8
    scratch = tempfile.mkdtemp(prefix="compat-home-")
    os.environ.update(HOME=scratch, HF_HOME=scratch, XDG_CACHE_HOME=scratch)
    os.environ["DISTILABEL_CACHE_DIR"] = scratch
    network.install()
    for module in ("models", "models.llms", "steps", "steps.tasks", "pipeline", "distiset"):
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(f"{package}.{module}")


def outcomes(
    examples: Iterable[dict[str, str]],
    package: str,
    network: Network,
    props: pathlib.Path,
    verbose: bool = False,
) -> Iterator[dict[str, Any]]:
    """Run examples in their order and yield how each ended.

    One that uses a name which it doesn't define is run once more after those before it in the same
    docstring, since some continue them.
    """
    before: dict[str, str] = {}
    for example in examples:
        docstring = example["id"].rpartition(":")[0]
        own = PREFIX.sub(rf"\g<1>{package}", example["source"])
        for code in (own, before.get(docstring, "") + own):
            job = functools.partial(run, code, package, network)
            outcome = run_forked(job, props_for(code, props), verbose)
            if outcome["kind"] != "undefined" or docstring not in before:
                break
        if outcome["kind"] != "syntax":
            before[docstring] = before.get(docstring, "") + own
        yield {"id": example["id"], "missing": [], "columns": [], "trace": "", **outcome}


def main() -> int:
    """Run the examples on standard input that the arguments ask for."""
    package, *wanted = sys.argv[1:] or ["beam_distilabel"]
    network = Network()
    prepare(package, network)
    examples = [json.loads(line) for line in sys.stdin]
    if wanted:
        examples = [one for one in examples if any(text in one["id"] for text in wanted)]
    with tempfile.TemporaryDirectory(prefix="compat-props-") as folder:
        props = pathlib.Path(folder)
        make_props(props)
        for outcome in outcomes(examples, package, network, props, verbose=bool(wanted)):
            print(json.dumps(outcome), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
