"""Secrets stay out of what is published."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.hub import read_script, redact

# Put together here, so that no scanner takes this file for a leak.
TOKENS = [
    "hf_" + "a1" * 15,
    "sk-" + "b2" * 15,
    "AKIA" + "C3" * 8,
    "AIza" + "d" * 35,
    "ghp_" + "e" * 36,
    "glpat-" + "f" * 20,
    "xoxb-" + "1" * 12,
    "eyJ" + "a" * 12 + ".eyJ" + "b" * 12 + "." + "c" * 12,
    "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("token", TOKENS)
def test_what_looks_like_a_secret_is_hidden(token: str) -> None:
    for text in (f"key: {token}\n", json.dumps({"key": token}), f"({token})"):
        assert token not in redact(text) and "***" in redact(text)


def test_a_password_in_a_url_is_hidden_and_the_url_stays() -> None:
    assert redact("at https://me:secret@host/path?x=1") == "at https://***@host/path?x=1"


def test_the_home_folder_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/jane")
    assert redact("in /home/jane/runs, not /home/janet") == "in ~/runs, not /home/janet"


@given(st.text(), st.text(min_size=1))
def test_a_known_secret_is_nowhere(text: str, secret: str) -> None:
    if secret not in "***" and secret not in "~":
        assert secret not in redact(text + secret + text, [secret]).replace("***", "")


@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "Z"))))
def test_other_text_stays_as_it_is(text: str) -> None:
    if redact(text) != text:
        assert "://" in text or str(Path.home()) in text


def test_a_script_with_a_token_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "job.py"
    script.write_text(f'push(token="{TOKENS[0]}")')
    monkeypatch.setattr(sys, "argv", [str(script)])
    with pytest.raises(DistilabelUserError, match="job.py contains what looks") as error:
        read_script()
    assert TOKENS[0] not in str(error.value)
    script.write_text('push(token="other-secret")')
    with pytest.raises(DistilabelUserError, match="include_script=False"):
        read_script(["other-secret"])
    assert read_script() == {"job.py": 'push(token="other-secret")'}
    monkeypatch.setattr(sys, "argv", [""])
    with pytest.raises(DistilabelUserError, match="doesn't run a .py file"):
        read_script()
