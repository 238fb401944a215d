"""Secrets stay out of files, logs and messages, and other text stays as it is."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.failures import message_of
from beam_distilabel.hub import read_script
from beam_distilabel.redaction import hide_secrets, redact

# Put together here, so that no scanner takes this file for a leak.
TOKENS = [
    "hf_" + "a1" * 15,
    "hf_oauth_" + "a1" * 15,
    "sk-" + "b2" * 15,
    "gsk_" + "b2" * 15,
    "nvapi-" + "b2" * 15,
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
        assert token not in hide_secrets(text) and "***" in hide_secrets(text)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("at https://me:secret@host/path?x=1", "at https://***@host/path?x=1"),
        ("redis://:pw@h/0", "redis://***@h/0"),
        ("https://tok123@h/x", "https://***@h/x"),
        ("postgres://u:p/w@h/db", "postgres://***@h/db"),
        ("PUT http://h/o?signature=abc123def456&x=1", "PUT http://h/o?signature=***&x=1"),
        ("https://h/b?sig=a1%2Bb2c3d4e5f6", "https://h/b?sig=***"),
        ("Authorization: Bearer abc123def456ghi", "Authorization: Bearer ***"),
        ("AWS_SECRET_ACCESS_KEY=abc/123/def/456", "AWS_SECRET_ACCESS_KEY=***"),
        ('MY_TOKEN = "abcdef123456789"', 'MY_TOKEN = "***"'),
    ],
)
def test_a_secret_by_its_place_is_hidden_and_the_rest_stays(text: str, hidden: str) -> None:
    assert hide_secrets(text) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "task-classification-of-long-documents/train-*.parquet",
        "user/task-generation-of-instructions-v2",
        'token=os.getenv("HF_TOKEN")',
        'HF_TOKEN = os.environ["HF_TOKEN"]',
        "max_new_tokens: 1024, EOS_TOKEN: </s>",
        "mail me@host.org, or see https://host.org/@me",
        "risk-free-and-long-enough-to-be-a-key",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert hide_secrets(text) == text


def test_secrets_of_the_environment_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "plain words")
    error = ValueError("refused: plain words")
    assert message_of(error) == "ValueError: refused: ***"


def test_the_home_folder_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/jane")
    assert redact("in /home/jane/runs, not /home/janet") == "in ~/runs, not /home/janet"
    monkeypatch.setenv("HOME", "/data")
    for text in ("user/data", "https://example.com/data", "/data2"):
        assert redact(text) == text


@given(st.text(), st.text(min_size=1))
def test_a_known_secret_is_nowhere(text: str, secret: str) -> None:
    if secret not in "***" and secret not in "~":
        assert secret not in hide_secrets(text + secret + text, [secret]).replace("***", "")


@given(st.text(alphabet=st.characters(categories=("L", "N", "Z"))))
def test_words_stay_as_they_are(text: str) -> None:
    assert hide_secrets(text) == text


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
    script.write_text('push("org/task-classification-of-long-texts", token=os.getenv("HF_TOKEN"))')
    assert list(read_script()) == ["job.py"]
    monkeypatch.setattr(sys, "argv", [""])
    with pytest.raises(DistilabelUserError, match="doesn't run a .py file"):
        read_script()
