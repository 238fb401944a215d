"""The search for secrets finds what is planted, in whatever it is wrapped."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import pickle
import urllib.parse
import zlib
from collections.abc import Callable

import apache_beam as beam
from apache_beam.internal import pickler
from hypothesis import assume, given, settings, strategies as st

from beam_distilabel.secrets.search import first_held, holds, layers

WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64encode,
    "urlsafe base64": base64.urlsafe_b64encode,
    "unpadded": lambda data: base64.b64encode(data).rstrip(b"="),
    "bz2": bz2.compress,
    "zlib": zlib.compress,
    "quick zlib": lambda data: zlib.compress(data, 1),
    "small zlib": lambda data: zlib.compress(data, 9),
    "gzip": gzip.compress,
    "pickle": pickle.dumps,
    "beam": lambda data: pickler.dumps({"state": data}),
    "beam, zlib": lambda data: pickler.dumps([data], use_zlib=True),
    "between": lambda data: b"\x0a\x8f\x01A" + data + b"\x12\x00rest",
}
TOKENS = st.text(
    alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+/=.", min_size=8
)


@settings(max_examples=150)
@given(TOKENS, st.lists(st.sampled_from(sorted(WRAPPINGS)), max_size=5), st.binary(max_size=40))
def test_a_planted_token_is_found(token: str, wrappings: list[str], around: bytes) -> None:
    data = around + token.encode() + around
    for name in wrappings:
        data = WRAPPINGS[name](data)
    assert holds(data, token)
    assert first_held(data, ["another-token-altogether", token]) == 1


@settings(max_examples=50)
@given(TOKENS, st.sampled_from(sorted(WRAPPINGS)), st.binary(max_size=200))
def test_what_is_not_there_is_not_found(token: str, wrapping: str, data: bytes) -> None:
    assume(token.encode() not in data)
    other = f"{token}-and-more-that-nobody-wrote"
    assert not holds(WRAPPINGS[wrapping](data), other)


def test_texts_are_found_as_others_write_them() -> None:
    token = 'tökén"/with+all kinds'
    for data in (
        json.dumps({"key": token}).encode(),
        json.dumps({"key": token}, ensure_ascii=False).encode(),
        f"https://host/?key={urllib.parse.quote(token)}".encode(),
        f"https://host/?key={urllib.parse.quote_plus(token)}".encode(),
        token.encode("utf-16"),
        token.encode().hex().encode(),
    ):
        assert holds(data, token), data
        assert holds(base64.b64encode(data), token), data


def test_a_token_in_the_code_of_a_job_is_found() -> None:
    token = "tok-3f9a7c51d2e8"
    job = beam.Pipeline(options=beam.options.pipeline_options.PipelineOptions([]))
    _ = job | beam.Create([1]) | beam.Map(lambda row: (row, token))
    data = job.to_runner_api().SerializeToString()
    assert token.encode() not in data  # it is compressed
    assert holds(data, token)
    assert not holds(data, "tok-3f9a7c51d2e9")


def test_what_only_looks_packed_ends() -> None:
    data = b"BZh91AY&SY" + b"x\x9c" + b"\x1f\x8b\x08" + b"A" * 5000
    assert data in list(layers(data))
    assert not holds(data, "something else")
