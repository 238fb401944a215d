"""What distilabel makes of the scripts: made by it, written to `recorded/`, and read.

A committed dump has no descriptions of runtime parameters, which are distilabel's own prose.
"""

import concurrent.futures
import json
import pathlib
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any

import yaml

from tests.compat.samples.running import NAMES, RECORDED
from tests.compat.verdicts import ROOT

EXPECTED = RECORDED / "expected.json"
TIME_LIMIT_S = 300
_CLASS = "tag:yaml.org,2002:python/name:"


class ClassName(str):
    """A class that distilabel's YAML names."""


class _Loader(yaml.SafeLoader):
    pass


class _Dumper(yaml.SafeDumper):
    pass


_Loader.add_multi_constructor(_CLASS, lambda loader, name, node: ClassName(name))
_Dumper.add_representer(
    ClassName, lambda dumper, name: dumper.represent_scalar(f"{_CLASS}{name}", "")
)


def _read(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


def without_descriptions(dumped: Any) -> Any:
    """Return a dump whose runtime parameters aren't described.

    Example:
        >>> info = [{"name": "replicas", "optional": True, "description": "How many."}]
        >>> without_descriptions({"runtime_parameters_info": info})
        {'runtime_parameters_info': [{'name': 'replicas', 'optional': True, 'description': ''}]}
    """
    if isinstance(dumped, list):
        return [without_descriptions(one) for one in dumped]
    if not isinstance(dumped, dict):
        return dumped
    return {
        key: _undescribed(value)
        if key == "runtime_parameters_info"
        else without_descriptions(value)
        for key, value in dumped.items()
    }


def _undescribed(info: Any) -> Any:
    if isinstance(info, list):
        return [_undescribed(one) for one in info]
    if not isinstance(info, dict):
        return info
    return {key: "" if key == "description" else _undescribed(info[key]) for key in info}


def record(python: str, name: str) -> dict[str, Any]:
    """Have distilabel, which the interpreter ``python`` has, build and run one script.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "recorded.json")
        done = subprocess.run(
            [python, "-m", "tests.compat.samples.record", name, str(file)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=TIME_LIMIT_S,
        )
        if done.returncode != 0:
            raise RuntimeError(f"distilabel failed on the sample {name}:\n{done.stderr[-3000:]}")
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    text = found["dump"]["text"]
    dump = json.loads(text) if found["dump"]["format"] == ".json" else _read(text)
    return {**found, "dump": without_descriptions(dump)}


def record_all(python: str, names: Sequence[str] = NAMES) -> dict[str, dict[str, Any]]:
    """Have distilabel build and run scripts, two at a time."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(names, pool.map(lambda name: record(python, name), names), strict=True))


def dump_path(name: str) -> pathlib.Path:
    """Return the file of a committed dump."""
    return RECORDED / f"{name}.yaml"


def read_dump(name: str) -> Any:
    """Return a committed dump."""
    return _read(dump_path(name).read_text(encoding="utf-8"))


def read_expected() -> dict[str, Any]:
    """Return the committed subsets of all scripts."""
    found: dict[str, Any] = json.loads(EXPECTED.read_text(encoding="utf-8"))
    return found


def write(recorded: dict[str, dict[str, Any]]) -> None:
    """Commit what was recorded to `recorded/`; what is there of other scripts stays."""
    RECORDED.mkdir(exist_ok=True)
    expected = read_expected() if EXPECTED.exists() else {}
    for name, found in recorded.items():
        text = yaml.dump(found["dump"], Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        dump_path(name).write_text(text, encoding="utf-8")
        expected[name] = found["subsets"]
    kept = {name: expected[name] for name in NAMES if name in expected}
    EXPECTED.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in RECORDED.glob("*.yaml"):
        if path.stem not in NAMES:
            path.unlink()
