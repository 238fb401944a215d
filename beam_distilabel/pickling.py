"""Pickling of Steps and LLMs: what a worker gets is the object as it was before `load()`.

Secrets are left here (see `beam_distilabel.secrets`), and the versions that a pickle was made with
stand at its beginning.
"""

from __future__ import annotations

import copy
import copyreg
import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, PrivateAttr, SecretStr
from pydantic._internal._validate_call import ValidateCallWrapper  # has no public name

from beam_distilabel.secret_texts import hide_in_url
from beam_distilabel.secrets.fields import (
    SECRETS,
    read_references,
    remember_secrets,
    replace_secrets,
)
from beam_distilabel.secrets.sealing import SealedSecret, SealedText
from beam_distilabel.versions import STAMP, Stamp

_PRIVATE_BEFORE_LOAD = "_private_before_load"
_LOCALS = "__pydantic_parent_namespace__"
_NAMES = ("_env", "_env_var", "_file", "_name", "_path", "_variable")
"""How names of attributes end that say where a secret is, and hold none."""

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
        fields = {k: v for k, v in self.__dict__.items() if k != _PRIVATE_BEFORE_LOAD}
        remember_secrets({**fields, **private_texts(private)})
        self.__dict__.update(read_references(fields))
        load(self, *args, **kwargs)

    remembering.remembers_private = True  # type: ignore[attr-defined]
    return remembering


class PicklesUnloaded(BaseModel):
    """A pydantic model that is pickled without what its `load()` put in private attributes.

    `load()` makes clients, locks and models; they belong to one process. Whoever receives the
    pickle calls `load()` itself. Secrets stay here too: the pickle has where to read them.
    """

    seals_secrets: ClassVar[bool] = True

    _used_by: str = PrivateAttr("")

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
        private = dict(before if before is not None else state["__pydantic_private__"] or {})
        private.update(replace_secrets(private_texts(private), self._sealed))
        return {
            **state,
            "__dict__": replace_secrets(attributes, self._sealed),
            "__pydantic_private__": private,
        }

    def __reduce_ex__(self, protocol: Any) -> Any:
        _forget_locals(type(self))
        for value in self.__dict__.values():
            for item in value.values() if isinstance(value, dict) else (value,):
                _forget_locals(item)
        reduced = super().__reduce_ex__(max(int(protocol), 2))
        if isinstance(reduced, str) or reduced[0] is not copyreg.__newobj__:  # type: ignore[attr-defined]
            return reduced  # a class that is pickled its own way
        return _new_object, (STAMP, *reduced[1]), *reduced[2:]

    def __repr_args__(self) -> Any:
        # A model's text travels with the job too, as what Beam displays of it.
        shown = {name: value for name, value in super().__repr_args__() if name is not None}
        return replace_secrets(shown, _hidden).items()

    def _sealed(self, path: str, secret: Any) -> Any:
        seal: Any = SealedSecret if _is_secret(secret) else SealedText
        return seal(secret, f"{self._whose()}: {path}")

    def _whose(self) -> str:
        """Whose the fields are, for messages."""
        name = type(self).__name__
        return f"{self._used_by}: {name}" if self._used_by else name

    def _tell_owner(self, owner: str) -> None:
        """Let the models in the fields, however deep, say whose they are."""
        for value in self.__dict__.values():
            for item in value if isinstance(value, list) else (value,):
                if isinstance(item, PicklesUnloaded):
                    item._used_by = owner
                    item._tell_owner(owner)


def _hidden(path: str, secret: Any) -> Any:
    shown = hide_in_url(secret) if isinstance(secret, str) else secret
    return SecretStr("hidden") if shown == secret else shown


def _is_secret(value: Any) -> bool:
    return isinstance(value, SECRETS)


def private_texts(private: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a model's private attributes that may hold secrets, and don't name them."""
    return {
        name: value
        for name, value in private.items()
        if isinstance(value, (str, dict, *SECRETS)) and not name.endswith(_NAMES)
    }


def _forget_locals(cls: Any) -> None:
    """Have a model class not take along what stood beside it in a function.

    A class that a function defines is pickled by value, and pydantic keeps the function's local
    variables with it, for types that aren't known yet: a whole dataset, a file, a secret.
    """
    if not (isinstance(cls, type) and issubclass(cls, BaseModel)):
        return
    for known in cls.__mro__:
        if known.__dict__.get(_LOCALS) is not None and known.__dict__.get("__pydantic_complete__"):
            setattr(known, _LOCALS, None)


def _new_object(stamp: Stamp, cls: type, *arguments: Any) -> Any:
    """`copyreg.__newobj__`, after the versions are found to be equal."""
    return cls.__new__(cls, *arguments)


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
