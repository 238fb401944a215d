"""Pickling of Steps and LLMs: what a worker gets is the object as it was before `load()`."""

from __future__ import annotations

import copy
import copyreg
import functools
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from pydantic._internal._validate_call import ValidateCallWrapper  # has no public name

_PRIVATE_BEFORE_LOAD = "_private_before_load"
_CONTAINERS = (dict, list, set)


def _remember_private(load: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(load)
    def remembering(self: Any, *args: Any, **kwargs: Any) -> None:
        # Set once: a subclass' load calls its base's.
        private = getattr(self, "__pydantic_private__", None) or {}
        self.__dict__.setdefault(
            _PRIVATE_BEFORE_LOAD,
            # `load` may also fill a container that was there before.
            {k: copy.copy(v) if type(v) in _CONTAINERS else v for k, v in private.items()},
        )
        load(self, *args, **kwargs)

    remembering.remembers_private = True  # type: ignore[attr-defined]
    return remembering


class PicklesUnloaded(BaseModel):
    """A pydantic model that is pickled without what its `load()` put in private attributes.

    `load()` makes clients, locks and models; they belong to one process. Whoever receives the
    pickle calls `load()` itself.
    """

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        load = getattr(cls, "load", None)  # its own, or that of a class that isn't a model
        if load is not None and not hasattr(load, "remembers_private"):
            cls.load = _remember_private(load)  # type: ignore[attr-defined]

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        attributes = dict(state["__dict__"])
        before = attributes.pop(_PRIVATE_BEFORE_LOAD, None)
        if before is not None:
            state = {**state, "__pydantic_private__": dict(before)}
        return {**state, "__dict__": attributes}


def _reduce_validated_call(call: ValidateCallWrapper) -> tuple[Any, ...]:
    """Leave out what only the building of the validators needs; they are pickled built.

    A class of `__main__` is pickled by value, with the `@validate_call` of its methods. Of that,
    `config_wrapper` can't be unpickled (its `__getattr__` recurses while it is still empty), and
    `ns_resolver` has all globals of the script, such as the Pipeline itself.
    """
    if not call.__pydantic_complete__:  # `defer_build`
        call._create_validators()
    unneeded = ("config_wrapper", "ns_resolver")
    slots = {k: getattr(call, k) for k in ValidateCallWrapper.__slots__ if k not in unneeded}
    return copyreg.__newobj__, (ValidateCallWrapper,), (None, slots)  # type: ignore[attr-defined]


copyreg.pickle(ValidateCallWrapper, _reduce_validated_call)
