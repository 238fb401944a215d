"""Counting messages by what they have in common."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, strategies as st

from beam_distilabel.reasons import MAX_REASONS, Reasons, add_reasons, alike, most_frequent


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the prompt has 9120 tokens", "the prompt has 41 tokens"),
        ("no row 2-15 for 'ask'", "no row 3-7 for 'judge'"),
        ("request 8f14e45fceea167a failed", "request c9f0f895fb98ab91 failed"),
        ("KeyError: 'no 7 please'", "KeyError: 'nothing'"),
        ('got "x y" here', 'got "zz" here'),
        ("at 12:30:01, 1,024 bytes", "at 08:15:59, 7 bytes"),
    ],
)
def test_messages_of_one_reason(one: str, other: str) -> None:
    assert alike(one) == alike(other)


def test_messages_of_different_reasons() -> None:
    assert alike("no verdict") != alike("no score")
    assert alike("the face is added") == "the face is added"  # words of these letters are no ids


@given(st.lists(st.sampled_from("abc") | st.text("xyz", min_size=6, max_size=12), max_size=400))
def test_what_is_frequent_is_found(messages: list[str]) -> None:
    reasons = Reasons()
    for message in messages:
        reasons.add(message)
    true = Counter(messages)
    assert len(reasons.counts) <= MAX_REASONS
    for common, (count, _) in reasons.counts.items():
        assert count <= true[common]
    for message, count in true.items():
        known = reasons.counts.get(message, [0])[0]
        assert count - known <= len(messages) / MAX_REASONS


def test_a_frequent_reason_among_many_others() -> None:
    reasons = Reasons()
    for i in range(1_000):
        reasons.add("always the same")
        reasons.add("rare " + "".join("abcdefghij"[int(digit)] for digit in str(i)))
    assert most_frequent(reasons.counts) == "always the same"


def test_counts_of_several_processes() -> None:
    one, other = Reasons(), Reasons()
    one.add("a")
    other.add("b")
    other.add("b")
    total = one.snapshot()
    add_reasons(total, other.counts)
    assert total == {"a": [1, "a"], "b": [2, "b"]}
    assert most_frequent(total) == "b"
    assert most_frequent({}) is None
    assert other.counts["b"][0] == 2
    one.add("a")
    assert total["a"][0] == 1
