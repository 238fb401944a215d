"""A dict whose values are opened when they are asked for."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import ItemsView, Iterator, ValuesView
from typing import Any

from typing_extensions import Self

_BATCH_ROWS = 1_000


class Unopened(ABC):
    """Stands for a value that hasn't been asked for; `repr` describes it without opening it."""

    @abstractmethod
    def open(self) -> Any:
        """The value itself."""


class LazyDict(dict[str, Any]):
    """Subset name to subset; an `Unopened` value is opened once, when it is first asked for.

    Names, lengths, `repr`, copies, pickles and comparing with itself open nothing.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # `dict(lazy)` would open every value; copying keeps them closed.
        super().__init__()
        self.update(*args, **kwargs)

    def raw(self) -> dict[str, Any]:
        """The values as they are, opened or not."""
        return {name: dict.__getitem__(self, name) for name in dict.keys(self)}

    def __getitem__(self, name: str) -> Any:
        try:
            value = super().__getitem__(name)
        except KeyError:
            raise KeyError(
                f"there is no subset {name!r}; there are: {', '.join(map(repr, self)) or 'none'}"
            ) from None
        if isinstance(value, Unopened):
            value = value.open()
            super().__setitem__(name, value)
        return value

    def __iter__(self) -> Iterator[str]:
        # Being overridden, it makes `dict(self)` and `{**self}` ask `__getitem__` for the values.
        return super().__iter__()

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default

    def items(self) -> Any:
        return ItemsView(self)

    def values(self) -> Any:
        return ValuesView(self)

    def pop(self, name: str, *default: Any) -> Any:
        if name in self:
            value = self[name]
            del self[name]
            return value
        return super().pop(name, *default)

    def popitem(self) -> tuple[str, Any]:
        name = next(reversed(self), None)
        if name is None:
            raise KeyError("popitem(): the Distiset is empty")
        return name, self.pop(name)

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def update(self, *args: Any, **kwargs: Any) -> None:
        if len(args) == 1 and isinstance(args[0], LazyDict):
            args = (args[0].raw(),)
        super().update(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, dict) or self.keys() != other.keys():
            return False
        theirs = other.raw() if isinstance(other, LazyDict) else other
        for name, mine in self.raw().items():
            same_files = isinstance(mine, Unopened) and mine == theirs[name]
            if not same_files and not _equal(self[name], other[name]):
                return False
        return True

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, dict):
            return NotImplemented
        merged = self.copy()
        merged.update(other)
        return merged

    def __ror__(self, other: Any) -> Any:
        return {**other, **self} if isinstance(other, dict) else NotImplemented

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def copy(self) -> Self:
        """A shallow copy; subsets that aren't open stay closed."""
        made = type(self)()
        made.__setstate__(self.__getstate__())
        return made

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = type(self)()
        made.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {"subsets": self.raw(), "attributes": dict(self.__dict__)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state["attributes"])
        dict.update(self, state["subsets"])

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (), self.__getstate__()

    def __repr__(self) -> str:
        lines = [f"{name}: {value!r}" for name, value in self.raw().items()]
        body = "\n".join(lines).replace("\n", "\n    ")
        return f"Distiset({{\n    {body}\n}})" if lines else "Distiset({})"


def _equal(left: Any, right: Any) -> bool:
    """Whether two values hold the same rows; a `Dataset` alone compares by identity."""
    from datasets import Dataset

    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[k], right[k]) for k in left)
    if not isinstance(left, Dataset) or not isinstance(right, Dataset):
        return bool(left == right)
    if left is right:
        return True
    if left.features != right.features or len(left) != len(right):
        return False
    batches = zip(
        left.with_format("arrow").iter(_BATCH_ROWS),
        right.with_format("arrow").iter(_BATCH_ROWS),
        strict=True,
    )
    return all(mine.equals(theirs) for mine, theirs in batches)
