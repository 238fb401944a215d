"""Which classes and routing functions a pipeline file may name: those that exist in this process.

They are those of this package, and those of the user that were imported before the file is loaded.
The file never causes an import.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, overload

from pydantic import BaseModel

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline.route import Route
from beam_distilabel.pipeline.routing import Router, RoutingBatchFunction, sample_n_steps
from beam_distilabel.problems import closest

T = TypeVar("T")

SCRIPTS = frozenset(("__main__", "beam_distilabel_script"))
"""What a script's module is called, where Python runs it and where the command line does."""

_OURS = frozenset(("beam_distilabel", "distilabel"))
"""Packages that no user's class is in; distilabel's files name its own."""

_names: dict[Any, tuple[tuple[str, str], ...]] = {}
"""What was registered: to the other (module, name) pairs that files may call it by."""


@overload
def register(thing: T) -> T: ...
@overload
def register(*, also: str | tuple[str, ...]) -> Callable[[T], T]: ...
def register(thing: Any = None, *, also: str | tuple[str, ...] = ()) -> Any:
    """Have pipeline files find a class, or a routing function, of one's own.

    Steps, Tasks and models are found without it where they are imported. It is needed for routing
    functions, for classes that a file calls by another name, and it decides where two classes of a
    name are there.

    Args:
        thing: a Step, Task, LLM or other model class, a pydantic class that is the schema of
            answers, or a routing function; leave it out to use `also` as a decorator.
        also: what files call it besides its own name, as "module.Name".

    Returns:
        `thing`, or a decorator.

    Raises:
        DistilabelUserError: files can't have such a thing, or its name is taken.

    Example:
        >>> from beam_distilabel.steps import Step
        >>> @register(also="old_package.steps.Upper")
        ... class Upper(Step):
        ...     pass
        >>> find_class("Upper", "old_package.steps", Step).__name__
        'Upper'
    """
    if thing is None:
        return functools.partial(_register, also=(also,) if isinstance(also, str) else tuple(also))
    return _register(thing, ())


def _register(thing: T, also: tuple[str, ...]) -> T:
    is_class = isinstance(thing, type) and issubclass(thing, BaseModel)
    if not is_class and not isinstance(thing, RoutingBatchFunction):
        raise DistilabelUserError(
            f"register: {thing!r} is no Step, Task or model class, no pydantic class and no "
            "routing function (decorate it with @routing_batch_function first)."
        )
    pairs = []
    for text in also:
        module, _, name = text.rpartition(".")
        if not module or not name:
            raise DistilabelUserError(
                f"register: also={text!r} has to be of the form 'module.Name'."
            )
        pairs.append((module, name))
    for known, names in list(_names.items()):
        if _identity(known) == _identity(thing):
            del _names[known]  # defined again, as in a notebook
        elif taken := {*names, _identity(known)} & {*pairs, _identity(thing)}:
            raise DistilabelUserError(
                f"register: {'.'.join(taken.pop())!r} is registered already, for {known!r}."
            )
    _names[thing] = tuple(pairs)
    return thing


def _identity(thing: Any) -> tuple[str, str]:
    if isinstance(thing, RoutingBatchFunction):
        return str(getattr(thing.routing_function, "__module__", "")), thing.name
    return thing.__module__, thing.__qualname__


# -- classes ---------------------------------------------------------------------------------------


def known_classes(base: type) -> dict[str, list[type]]:
    """The subclasses of `base` in this process by name, those of this package included."""
    _import_own()
    classes: dict[str, list[type]] = {}
    for cls in dict.fromkeys(_subclasses(base)):
        if not (is_ours(cls.__module__) and cls.__name__.startswith("_")):
            classes.setdefault(cls.__name__, []).append(cls)
    return classes


@functools.cache
def _import_own() -> None:
    """Import what this package has, whatever a file names."""
    import beam_distilabel.models.embeddings
    import beam_distilabel.models.image_generation
    import beam_distilabel.models.llms
    import beam_distilabel.models.vllm.embeddings
    import beam_distilabel.transforms

    package = beam_distilabel.transforms
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)


def _subclasses(base: type) -> Iterator[type]:
    subclasses: list[type] = base.__subclasses__()
    for cls in subclasses:
        yield cls
        yield from _subclasses(cls)


def find_class(
    name: str, module: str | None, base: type, classes: dict[str, list[type]] | None = None
) -> type:
    """The class that a file means.

    It is the one with this module and name; one that was registered under them; for a module of
    distilabel's or of this package, this package's class of that name; for a user's module, the
    only class of that name which the user has, wherever it is now.

    Args:
        name: of the class; its qualified name where it is within another.
        module: where it was when the file was written; None for anywhere.
        base: what it has to be a subclass of.
        classes: `known_classes(base)`, where it is at hand.

    Raises:
        DistilabelUserError: there is none, or there are several.

    Example:
        >>> from beam_distilabel.steps import Step
        >>> find_class("KeepColumns", "distilabel.steps.columns.keep", Step).__module__
        'beam_distilabel.transforms.columns.keep_columns'
    """
    classes = known_classes(base) if classes is None else classes
    short = name.rpartition(".")[2]
    candidates = classes.get(short, [])
    wanted = {module} | (SCRIPTS if module in SCRIPTS else set())
    # The last one defined is the one meant, where a notebook's cell ran again.
    exact = [c for c in candidates if c.__module__ in wanted and c.__qualname__ == name]
    if exact:
        return exact[-1]
    for thing, names in _names.items():
        if isinstance(thing, type) and issubclass(thing, base) and (module, name) in names:
            return thing
    ours = [c for c in candidates if is_ours(c.__module__)]
    users = [c for c in candidates if c not in ours]
    if module is None:
        fitting = candidates
    else:
        fitting = ours if is_ours(module) else users
    known = [c for c in fitting if c in _names]
    newest = {(c.__module__, c.__qualname__): c for c in known or fitting}
    if len(newest) == 1:
        return next(iter(newest.values()))
    if newest:
        places = " and ".join(repr(f"{place}.{cls}") for place, cls in newest)
        raise DistilabelUserError(
            f"there are several classes {name!r} here, {places}, and none is in the module "
            f"{module!r} that the file names. Name the module of the one that is meant, or "
            "`register` it."
        )
    elsewhere = next((c for c in candidates if c not in fitting), None)
    if elsewhere is not None:
        place = f"{elsewhere.__module__}.{elsewhere.__qualname__}"
        raise DistilabelUserError(
            f"there is no class {name!r} of the module {module!r} here, only {place!r}. If that is "
            f"meant, name its module in the file, or register it: "
            f"`register(also={f'{module}.{name}'!r})({elsewhere.__name__})`."
        )
    if module is not None and is_ours(module):
        raise DistilabelUserError(
            f"there is no class {name!r} (module {module!r}) here: this package has none (yet)."
            f"{closest(short, classes, cutoff=0.85)} Take it out of the file, or register a class "
            f"of your own for it: `register(also={f'{module}.{name}'!r})(MyClass)`."
        )
    raise DistilabelUserError(
        f"there is no class {name!r}{f' (module {module!r})' if module else ''} here."
        f"{closest(short, classes)} Import the module that defines it before you load the file."
    )


def find_schema(name: str, module: str) -> type[BaseModel]:
    """The pydantic class that distilabel's YAML names as the schema of answers.

    It is one that was registered, or that this process has, under that module and name.

    Raises:
        DistilabelUserError: there is none.
    """
    wanted = {(place, name) for place in {module} | (SCRIPTS if module in SCRIPTS else set())}
    for thing, names in _names.items():
        if isinstance(thing, type) and ({*names, _identity(thing)} & wanted):
            return thing
    found = [cls for cls in _subclasses(BaseModel) if _identity(cls) in wanted]
    if found:
        return found[-1]  # the last one defined, where a notebook's cell ran again
    raise DistilabelUserError(
        f"the file names the pydantic class {f'{module}.{name}'!r} as a schema, which isn't in "
        f"this process. `register({name})` it before you load the file (`also=` where its module "
        f"is another now), or write what `{name}.model_json_schema()` gives into the file instead."
    )


def is_ours(module: str) -> bool:
    """Whether a module is this package's or distilabel's."""
    return module.partition(".")[0] in _OURS


# -- routing functions -----------------------------------------------------------------------------


_FACTORIES: dict[str, Callable[..., Router]] = {"Route": Route, "sample_n_steps": sample_n_steps}


def find_router(name: str, arguments: dict[str, Any]) -> Router:
    """The routing function that a file means.

    Args:
        name: of one that was registered, or of the function that makes it.
        arguments: for that.

    Raises:
        DistilabelUserError: there is none, or it doesn't take these arguments.

    Example:
        >>> find_router("sample_n_steps", {"n": 1}).description
        'Sends each row to 1 of the Steps, drawn at random.'
    """
    for thing, names in _names.items():
        if isinstance(thing, RoutingBatchFunction) and (
            thing.name == name or any(other == name for _, other in names)
        ):
            if arguments:
                raise DistilabelUserError(
                    f"the routing function {name!r} takes no arguments, and the file has some: "
                    f"{', '.join(arguments)}."
                )
            return thing
    factory = _FACTORIES.get(name)
    if factory is None:
        registered = [t.name for t in _names if isinstance(t, RoutingBatchFunction)]
        known = [*_FACTORIES, *registered]
        raise DistilabelUserError(
            f"the routing function {name!r} can't be loaded from a file; known are "
            f"{', '.join(known)}.{closest(name, known)} Import the module that has it, and "
            "`register` it there."
        )
    try:
        return factory(**arguments)
    except (TypeError, DistilabelUserError) as error:
        raise DistilabelUserError(f"the routing function {name!r}: {error}") from None


__all__ = [
    "SCRIPTS",
    "find_class",
    "find_router",
    "find_schema",
    "is_ours",
    "known_classes",
    "register",
]
