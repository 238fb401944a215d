"""The process in which functions of a user's file are called; see `function_calls.py`.

    python function_host.py LIBPATH CHECK

Reads one call per line from standard input, `{"name", "arguments", "seconds"}`, and answers each
with two lines: `{}` when the function begins, and `{"keep", "execution_result"}`. It uses the
standard library only, and is run as a file: nothing of this package is imported here.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import inspect
import json
import os
import pathlib
import signal
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Any

MAX_RESULT = 10_000
"""How many characters of a result are told."""

_NAMES = frozenset(
    "__import__ breakpoint compile eval exec exit globals input quit SystemExit".split()
)
_MODULES = frozenset(
    "argparse ctypes importlib multiprocessing pty shutil socket subprocess threading "
    "unittest".split()
)
_OF_OS = frozenset(
    "_exit abort chdir chmod chown environ execl execle execlp execv execve execvp execvpe fork "
    "forkpty kill killpg popen putenv remove removedirs rename replace rmdir spawnl spawnv spawnve "
    "startfile symlink system truncate unlink".split()
)


def danger_in(source: str) -> str | None:
    """What in a function's source had better not be run by a model's wish; None if nothing.

    It is a check for accidents, not a guard against the file's author.

    Example:
        >>> danger_in("def f(x):\\n    import os\\n    return os.system(x)")
        'os.system'
        >>> danger_in("def f(x):\\n    return x + 1") is None
        True
    """
    for node in ast.walk(ast.parse(textwrap.dedent(source))):
        if isinstance(node, ast.Name) and node.id in _NAMES:
            return node.id
        if isinstance(node, ast.Attribute) and node.attr == "setLevel":
            return node.attr
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in _MODULES:
                return f"{node.value.id}.{node.attr}"
            if node.value.id == "os" and node.attr in _OF_OS:
                return f"os.{node.attr}"
            if node.value.id == "sys" and node.attr == "exit":
                return "sys.exit"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names]
            for name in names:
                module, _, member = name.partition(".")
                if module in _MODULES or (module == "os" and member in _OF_OS):
                    return name
    return None


def literal(value: Any) -> Any:
    """An argument as a literal: models write lists and numbers as texts.

    Example:
        >>> literal("[1, 2]"), literal("rain"), literal("os.getcwd()")
        ([1, 2], 'rain', 'os.getcwd()')
    """
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value


def load_module_from_path(path: str) -> types.ModuleType:
    """Run a Python file as a module, which isn't one of those that can be imported.

    Raises:
        ImportError: the path is of no Python file.
        FileNotFoundError: there is no such file.

    Example:
        >>> load_module_from_path(ast.__file__).literal_eval("[1]")
        [1]
    """
    name = f"library_{pathlib.Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path!r} is no Python file: its name doesn't end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses of the file look for it
    spec.loader.exec_module(module)
    return module


class Library:
    """The functions of a file, or of a folder with one file per function."""

    def __init__(self, path: str, check: bool) -> None:
        self._path = pathlib.Path(path)
        self._check = check
        self._modules: dict[pathlib.Path, types.ModuleType] = {}

    def find(self, name: Any) -> Callable[..., Any]:
        """The function of this name.

        Raises:
            LookupError: there is none, or it isn't to be called.
        """
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
            raise LookupError(f"Function {name!r} not found.")
        single = self._path.suffix == ".py"
        path = self._path if single else self._path / f"{name}.py"
        if not path.is_file():
            raise LookupError(f"Function {name!r} not found.")
        module = self._load(path)
        function = vars(module).get(name)
        # What the file imports is no function of its own.
        if not inspect.isfunction(function) or function.__module__ != module.__name__:
            raise LookupError(f"Function {name!r} not found.")
        if self._check and (danger := danger_in(inspect.getsource(function))):
            raise LookupError(f"Function {name!r} isn't called: it uses {danger}.")
        return function

    def _load(self, path: pathlib.Path) -> types.ModuleType:
        if path not in self._modules:
            self._modules[path] = load_module_from_path(str(path))
        return self._modules[path]


def sorted_out(
    function: Callable[..., Any], arguments: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments that a function takes by position only, and the others by name.

    Example:
        >>> sorted_out(lambda a, /, b: None, {"b": "2", "a": 1})
        ([1], {'b': 2})
    """
    by_name = {name: literal(value) for name, value in arguments.items()}
    by_position = [
        by_name.pop(name)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.POSITIONAL_ONLY and name in by_name
    ]
    return by_position, by_name


def find(library: Library, name: Any) -> tuple[Callable[..., Any] | None, str]:
    """The function, or None and why it isn't called."""
    try:
        return library.find(name), ""
    except LookupError as error:
        return None, str(error.args[0])
    except BaseException as error:
        return None, f"The file can't be loaded: {error!r}"


def call(function: Callable[..., Any], arguments: Any, seconds: float) -> dict[str, Any]:
    """Call a function; whatever it raises is its result."""
    try:
        if arguments is not None and not isinstance(arguments, dict):
            raise TypeError(f"expected arguments by name, got {type(arguments).__name__}")
        by_position, by_name = sorted_out(function, arguments or {})
        with ending_after(seconds):
            result = str(function(*by_position, **by_name))
    except BaseException as error:
        text = str(error) or type(error).__name__
        return {"keep": False, "execution_result": text[:MAX_RESULT]}
    return {"keep": True, "execution_result": result[:MAX_RESULT]}


@contextlib.contextmanager
def ending_after(seconds: float) -> Iterator[None]:
    """Let the system end this process after a time, also if nobody is left to do it."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main() -> int:
    """Answer calls until standard input ends."""
    path, check = sys.argv[1], sys.argv[2] == "check"
    folder = pathlib.Path(path)
    sys.path[0] = str(folder.parent if folder.suffix == ".py" else folder)
    calls = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):  # what functions print or ask goes nowhere
        os.dup2(nothing, number)
    library = Library(path, check)
    for line in calls:
        asked = json.loads(line)
        function, reason = find(library, asked["name"])
        answers.write("{}\n")
        answers.flush()  # the time begins
        if function is None:
            answer = {"keep": False, "execution_result": reason}
        else:
            answer = call(function, asked["arguments"], asked["seconds"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
