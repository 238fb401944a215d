"""Code that a file names: whoever runs the pipeline has to name it, too, before it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_OPTIONS = re.compile(
    r"(\w+_)?(cls|plugin|module|module_path)"
    r"|trust_remote_code|code_revision|logits_processors|model_file|use_kernels"
)
"""Options of engines that have them import or run something: of vLLM, transformers, mlx-lm."""

_QUALIFIED_NAME = re.compile(r"[^\W\d]\w*([.:][^\W\d]\w*)+")
"""Such as "package.module:Class", which engines import wherever they take one."""


def names_code(value: Any, default: Any) -> bool:
    """Whether a field that says which code is run has another value than its default.

    A dict holds an engine's options: those count that have the engine import something, unpickle
    it, or run what comes with a model.

    Example:
        >>> names_code("library.py", None), names_code({"max_model_len": 512}, {})
        (True, False)
        >>> names_code({"structured_outputs_config": {"reasoning_parser_plugin": "a.py"}}, {})
        True
    """
    if value == default:
        return False
    if isinstance(value, Mapping):
        return any(_runs_code(str(option), given) for option, given in value.items())
    return True


def _runs_code(option: str, value: Any) -> bool:
    if isinstance(value, Mapping) and any(_runs_code(str(name), v) for name, v in value.items()):
        return True
    if isinstance(value, (list, tuple)) and any(_runs_code(option, item) for item in value):
        return True
    if isinstance(value, str) and _QUALIFIED_NAME.fullmatch(value):
        return True
    if option == "weights_only":  # False has weights unpickled
        return not value
    if option == "attn_implementation":  # of transformers, or a repository with kernels
        return "/" in str(value)
    return bool(value) and _OPTIONS.fullmatch(option) is not None


__all__ = ["names_code"]
