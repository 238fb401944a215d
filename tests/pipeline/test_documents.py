"""YAML and JSON that may come from anyone: read as plain data, or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from beam_distilabel.pipeline.serialization.documents import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_VALUES,
    DocumentError,
    NamedClass,
    parse,
    plain,
    yaml_text,
)

LAUGHS = b"a: &a [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (name + 1, name + 1, b", ".join([b"*%c" % name] * 10))
    for name in range(ord("a"), ord("m"))
)
MERGES = b"a: &a {%s}\n" % b", ".join(b"k%d: 1" % i for i in range(2000)) + b"b: [%s]\n" % (
    b", ".join([b"{<<: *a}"] * 1000)
)
CHAIN = b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (i, i, i - 1) for i in range(1, 900))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: !!python/object/apply:os.system ['id']", "line 1: the tag '!!python/object/apply:os"),
        (b"a: !!python/object/new:os.system ['id']", "the tag '!!python/object/new"),
        (b"a: !!python/name:os.system", "the tag '!!python/name:os.system'"),
        (b"a: !!python/module:os", "the tag '!!python/module:os'"),
        (b"a:\n- !!python/object:os.X {a: 1}", "line 2: the tag '!!python/object:os.X'"),
        (b"a: !include /etc/passwd", "the tag '!include'"),
        (b"%TAG !e! tag:evil.example,2024:\n---\na: !e!x 1", "the tag 'tag:evil.example,2024:x'"),
        (b"!!python/tuple a", "the tag '!!python/tuple'"),
        (LAUGHS, f"more than {MAX_VALUES:,} values"),
        (MERGES, f"more than {MAX_VALUES:,} values come from '<<'"),
        (CHAIN, f"more than {MAX_DEPTH} levels deep"),
        (b"a: &a [*a]", "the alias 'a' is within what it stands for"),
        (b"a: &a {b: [*a]}", "the alias 'a' is within what it stands for"),
        (b"a: *b", "the alias 'b' has no anchor before it"),
        (b"- " * 100_000, f"more than {MAX_DEPTH} levels deep"),
        (b"[" * 100_000, f"more than {MAX_DEPTH} levels deep"),
        (b"{a: " * 100_000, f"more than {MAX_DEPTH} levels deep"),
        (b"? " * 100_000, "a key has to be a text"),
        (b"a: 1\na: 2", "line 2: the key 'a' is there twice"),
        (b"a: 1\n'a': 2", "line 2: the key 'a' is there twice"),
        (b"1: a\n'1': b", "line 2: the key '1' is there twice"),
        (b"[1, 2]: a", "a key has to be a text"),
        (b"{a: 1}: a", "a key has to be a text"),
        (b"a: &a [1]\n? *a\n: b", "a key has to be a text"),
        (b"a: &a 1\n<<: *a", "'<<' takes a mapping"),
        (b"a: &a {b: 1}\n<<: *a\n<<: *a", "'<<' is there twice"),
        (b"a: 1\n---\nb: 2", "line 2: a second document begins"),
        (b"a: " + b"9" * 5000, "a number of 5000 digits"),
        (b"a: 0x" + b"f" * 90, "a is a number of more than 64 bits"),
        (b"a: 1" + b":59" * 40_000, "a number of 120001 digits"),
        (b"a: !!int x", "'x' is no int"),
        (b"a: !!float x", "'x' is no float"),
        (b"a: !!bool x", "'x' is no bool"),
        (b"a: !!binary \xc3\xa9", "is no binary"),
        (b"a: [.nan]", "a.0 is no number (NaN)"),
        (
            b"a:\n  token: !!python/object:pydantic.types.SecretStr\n    _secret_value: hunter2x",
            "line 2: a secret is here as plain text, under 'token' with the tag "
            "'!!python/object:pydantic.types.SecretStr'. Delete this line and the lines indented",
        ),
        (b"a: !!python/name:os.system ''", "the tag '!!python/name:os.system'"),
        (b"schema: !!python/name:os.system ''", "the tag '!!python/name:os.system'"),
        (b'a: "\\ud800"', "nvalid"),
        (b"a: [1", "line 1"),
        (b"\x00", "NUL bytes"),
        (b"a: b\x00", "NUL bytes"),
        (b"a: \xff", "no UTF-8 text: byte 3"),
        ("name: é".encode("latin-1"), "no UTF-8 text"),
        ("a: b".encode("utf-16"), "UTF-16 text; save it as UTF-8"),
        ("a: b".encode("utf-32"), "UTF-32 text"),
        ("a: b".encode("utf-16-le"), "NUL bytes"),
        (b"a: \x1b[2J", "not allowed"),
        (b"#" * (MAX_BYTES + 1), "larger than 4 MB"),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value[:30]),
)
def test_yaml_that_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse(content, "yaml")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 200_000, f"more than {MAX_DEPTH} levels deep"),
        (b'{"a":' * 200_000, f"more than {MAX_DEPTH} levels deep"),
        (b"[" * 150 + b"]" * 150, f"more than {MAX_DEPTH} levels deep"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice"),
        (b'{"a": {"b": 1, "b": 1}}', "the key 'b' is there twice"),
        (b"[%s]" % (b"9" * 5000), "a number of 5000 digits"),
        (b'{"a": %d}' % 2**64, "a is a number of more than 64 bits"),
        (b'{"a": [NaN]}', "a.0 is no number (NaN)"),
        (b'{"a": "\\ud800"}', "a has half of a character"),
        (b'{"\\ud800": 1}', "half of a character"),
        (b"[%s1]" % (b"1," * MAX_VALUES), f"more than {MAX_VALUES:,} values"),
        (b"{", "line 1 column 2"),
        (b"", "line 1 column 1"),
        (b"import os", "line 1 column 1"),
        (b'{"a": "\x00"}', "NUL bytes"),
        (b" " * (MAX_BYTES + 1), "larger than 4 MB"),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value[:30]),
)
def test_json_that_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse(content, "json")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("content", "data"),
    [
        (b"", None),
        (b"\xef\xbb\xbfa: b", {"a": "b"}),
        (b"a: !!python/tuple [1, 2]", {"a": [1, 2]}),  # as PyYAML, so distilabel, writes tuples
        (b"a: !!set {x: null, y: null}", {"a": ["x", "y"]}),
        (b"a: !!binary |\n  AAE=\n", {"a": b"\x00\x01"}),
        (b"a: 2024-01-02", {"a": "2024-01-02"}),  # fields of dates take texts, revisions too
        (b"a: !!timestamp 2024-01-02", {"a": "2024-01-02"}),
        (b"a: !!str 1", {"a": "1"}),
        (b"a: ! 1", {"a": "1"}),
        (b"1: a\nyes: b\nnull: c\n1.5: d", {"1": "a", "yes": "b", "null": "c", "1.5": "d"}),
        (b"a: [yes, ~, 1.5, 0o7, 010]", {"a": [True, None, 1.5, "0o7", 8]}),
        (b"x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}", {"x": {"a": 1, "b": 2}, "y": {"b": 3, "a": 1}}),
        (b"x: &x {a: 1}\ny: &y {b: 2}\nz:\n  <<: [*x, *y]\n  c: 3",
         {"x": {"a": 1}, "y": {"b": 2}, "z": {"c": 3, "a": 1, "b": 2}}),
        (b"a: &a text\n*a : b", {"a": "text", "text": "b"}),
        (b"- - a\n  - b\n- {}", [["a", "b"], {}]),
        (b"a: =", {"a": "="}),
    ],
)  # fmt: skip
def test_yaml_that_is_read(content: bytes, data: Any) -> None:
    assert parse(content, "yaml") == data


def test_a_key_of_many_that_is_there_twice() -> None:
    keys = ",".join(f'"k{i}":1' for i in range(100_000))  # in one pass, or it never ends
    with pytest.raises(DocumentError, match="'k99999' is there twice"):
        parse(f'{{{keys},"k99999":1}}'.encode(), "json")


def test_the_class_of_a_schema_is_a_name() -> None:
    found = parse(b"structured_output: {schema: !!python/name:os.Popen ''}", "yaml")
    assert found == {"structured_output": {"schema": NamedClass("os", "Popen")}}


def test_the_format_is_told_by_the_content() -> None:
    assert parse(b' {"a": "\\/"}', None) == {"a": "/"}
    assert parse(b"a: b", None) == {"a": "b"}


def test_what_an_alias_repeats_is_a_copy() -> None:
    data = parse(b"a: &a [1]\nb: *a", "yaml")
    data["a"].append(2)
    assert data["b"] == [1]


def test_data_that_holds_itself_is_refused() -> None:
    data: dict[str, Any] = {}
    data["a"] = [data]
    with pytest.raises(DocumentError, match="levels deep"):
        plain(data)


texts = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.sampled_from(
        ["yes", "1_000", "0x1f", "1:30", "<<", "=", "~", "2024-01-01", "1e5", "*a", "a\x85b"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(values)
def test_what_is_written_is_read(data: Any) -> None:
    assert parse(json.dumps(data).encode(), "json") == data
    assert parse(json.dumps(data, ensure_ascii=False).encode(), "json") == data
    assert parse(yaml_text(data).encode(), "yaml") == data
    assert parse(yaml.safe_dump(data).encode(), "yaml") == data


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.text("-?:{}[]&*!|>'\"%@,# \nab<=1.~", max_size=40))
def test_any_text_is_read_or_refused(content: bytes | str) -> None:
    encoded = content if isinstance(content, bytes) else content.encode()
    for format in ("json", "yaml", None):
        try:
            data = parse(encoded, format)
        except DocumentError:
            continue
        assert plain(data) == data
