"""Which classes and routing functions a file may name."""

from __future__ import annotations

from typing import Any

import pytest

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline import registry, routing_batch_function
from beam_distilabel.pipeline.registry import find_class, find_router, register
from beam_distilabel.step import Step
from beam_distilabel.steps import KeepColumns
from beam_distilabel.steps.tasks import TextGeneration
from beam_distilabel.task import Task


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_names", dict(registry._names))


def made(name: str, module: str, base: type = Step, qualname: str | None = None) -> Any:
    """A class of a user's module."""
    return type(name, (base,), {"__module__": module, "__qualname__": qualname or name})


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("TextGeneration", "distilabel.steps.tasks.text_generation"),
        ("TextGeneration", "beam_distilabel.steps.tasks"),
        ("TextGeneration", "beam_distilabel.transforms.tasks.text_generation"),
        ("TextGeneration", "beam_distilabel.moved.since"),
        ("TextGeneration", "distilabel"),
        ("TextGeneration", None),
    ],
)
def test_the_package_s_own_under_any_of_its_modules(name: str, module: str | None) -> None:
    assert find_class(name, module, Step) is TextGeneration


def test_a_users_class_is_found_where_it_is_now() -> None:
    mine = made("FoundMine", "scripts.one")
    assert find_class("FoundMine", "scripts.one", Step) is mine
    assert find_class("FoundMine", "__main__", Step) is mine
    assert find_class("FoundMine", "scripts.before.it.moved", Step) is mine
    with pytest.raises(DistilabelUserError, match="no class 'FoundMine'"):
        find_class("FoundMine", "scripts.one", Task)


def test_the_exact_module_wins_and_else_both_are_named() -> None:
    one, two = made("FoundTwice", "scripts.one"), made("FoundTwice", "scripts.two")
    assert find_class("FoundTwice", "scripts.one", Step) is one
    assert find_class("FoundTwice", "scripts.two", Step) is two
    for module in ("scripts.three", None):
        with pytest.raises(DistilabelUserError) as caught:
            find_class("FoundTwice", module, Step)
        assert "'scripts.one.FoundTwice' and 'scripts.two.FoundTwice'" in str(caught.value)
    register(two)
    assert find_class("FoundTwice", "scripts.three", Step) is two
    assert find_class("FoundTwice", "scripts.one", Step) is one


def test_a_class_within_another_goes_by_its_whole_name() -> None:
    one = made("Inner", "scripts.one", qualname="One.Inner")
    two = made("Inner", "scripts.one", qualname="Two.Inner")
    assert find_class("One.Inner", "scripts.one", Step) is one
    assert find_class("Two.Inner", "scripts.one", Step) is two
    with pytest.raises(DistilabelUserError, match="several classes"):
        find_class("Inner", "scripts.one", Step)


def test_a_class_that_is_defined_again_takes_the_place_of_the_first() -> None:
    first = register(made("Redefined", "__main__"))
    second = made("Redefined", "__main__")
    assert find_class("Redefined", "__main__", Step) is second
    register(second)
    assert find_class("Redefined", "elsewhere", Step) is second is not first


def test_the_command_lines_script_is_the_main_module() -> None:
    mine = made("FromScript", "beam_distilabel_script")
    made("FromScript", "scripts.other")
    assert find_class("FromScript", "__main__", Step) is mine


def test_a_users_class_is_not_mistaken_for_the_packages_own() -> None:
    mine = made("KeepColumns", "scripts.keep")
    assert find_class("KeepColumns", "distilabel.steps.columns.keep", Step) is KeepColumns
    assert find_class("KeepColumns", "scripts.keep", Step) is mine
    assert find_class("KeepColumns", "__main__", Step) is mine
    # Where the user's isn't imported, the package's is not taken for it.
    with pytest.raises(DistilabelUserError) as caught:
        find_class("TextGeneration", "scripts.mine", Step)
    assert "only 'beam_distilabel.transforms.tasks.text_generation.TextGeneration'" in str(
        caught.value
    )
    assert "register(also='scripts.mine.TextGeneration')(TextGeneration)" in str(caught.value)


def test_a_class_may_stand_for_one_of_distilabels() -> None:
    name, module = "NotHereYet", "distilabel.steps.tasks.not_here_yet"
    mine = made("NotHereYet", "scripts.mine")
    with pytest.raises(DistilabelUserError, match="register"):
        find_class(name, module, Step)
    assert register(also=f"{module}.{name}")(mine) is mine
    assert find_class(name, module, Step) is mine


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("ArgillaLabeller", "distilabel.steps.tasks.argilla_labeller"),
        ("PairRM", "distilabel.steps.tasks.pair_rm"),
        ("MinHashDeduplicator", "distilabel.steps.filtering.minhash"),
        ("Gone", "beam_distilabel.steps.gone"),
    ],
)
def test_classes_of_distilabel_that_are_not_here(name: str, module: str) -> None:
    with pytest.raises(DistilabelUserError, match="this package has none .yet.. Take it") as caught:
        find_class(name, module, Step)
    assert "Import" not in str(caught.value)
    with pytest.raises(DistilabelUserError, match="Did you mean 'KeepColumns'"):
        find_class("KepColumns", module, Step)


@pytest.mark.parametrize("thing", [3, "x", dict, len, lambda steps: steps])
def test_what_cannot_be_registered(thing: Any) -> None:
    with pytest.raises(
        DistilabelUserError, match="no Step, Task or model class, no pydantic class"
    ):
        register(thing)


def test_names_that_are_taken_or_wrong() -> None:
    one, two = made("TakenOne", "scripts.one"), made("TakenTwo", "scripts.one")
    register(also="old.Name")(one)
    with pytest.raises(DistilabelUserError, match="'old.Name' is registered already"):
        register(also="old.Name")(two)
    with pytest.raises(DistilabelUserError, match="'scripts.one.TakenOne' is registered already"):
        register(also="scripts.one.TakenOne")(two)
    with pytest.raises(DistilabelUserError, match="also='Name' has to be of the form"):
        register(also="Name")(two)


def test_routing_functions() -> None:
    @routing_batch_function(description="Mine.")
    def found_router(steps: list[str]) -> list[str]:
        return steps[:1]

    with pytest.raises(DistilabelUserError, match="'found_router' can't be loaded"):
        find_router("found_router", {})
    assert register(found_router) is found_router
    assert find_router("found_router", {}) is found_router
    with pytest.raises(DistilabelUserError, match="'found_ruter'.*Did you mean 'found_router'"):
        find_router("found_ruter", {})
    with pytest.raises(DistilabelUserError, match="takes no arguments"):
        find_router("found_router", {"n": 1})
    assert find_router("sample_n_steps", {"n": 2}).factory is not None
