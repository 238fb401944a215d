"""The thresholds of garbage collection are a run's own, and put back."""

import gc
from collections.abc import Iterator

import pytest

from beam_distilabel.pipeline.garbage import YOUNG_OBJECTS, rare_collections


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[tuple[int, int, int]]:
    """Known thresholds; what they were is put back."""
    before = gc.get_threshold()
    gc.set_threshold(700, 11, 12)
    yield 700, 11, 12
    gc.set_threshold(*before)


def test_set_and_put_back(thresholds: tuple[int, int, int]) -> None:
    with pytest.raises(KeyError), rare_collections():
        assert gc.get_threshold() == (YOUNG_OBJECTS, 11, 12)
        raise KeyError
    assert gc.get_threshold() == thresholds


def test_runs_that_overlap(thresholds: tuple[int, int, int]) -> None:
    """The second one to begin leaves the thresholds to the first."""
    first, second = rare_collections(), rare_collections()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.get_threshold() == thresholds
    second.__exit__(None, None, None)
    assert gc.get_threshold() == thresholds


@pytest.mark.parametrize("chosen", [0, YOUNG_OBJECTS + 1])
def test_the_callers_own_choice_holds(chosen: int) -> None:
    """0 turns collection off."""
    gc.set_threshold(chosen, 11, 12)
    with rare_collections():
        assert gc.get_threshold() == (chosen, 11, 12)


def test_collection_that_is_off_stays_as_it_is(thresholds: tuple[int, int, int]) -> None:
    gc.disable()
    try:
        with rare_collections():
            assert not gc.isenabled()
            assert gc.get_threshold() == thresholds
    finally:
        gc.enable()
