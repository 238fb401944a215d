"""A worker with other versions says so before it reads anything else."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest
from apache_beam.internal import pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_distilabel import versions
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.step import Step, StepInput
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts


def fails() -> Any:
    raise AssertionError("this was read before the versions were compared")


class Unreadable:
    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return fails, ()


class Holds(Step):
    what: Any

    def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
        yield inputs


@pytest.mark.parametrize("name", versions.VERSIONS)
def test_other_versions_are_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Holds(what=Unreadable())
    here = versions.VERSIONS[name]
    monkeypatch.setitem(versions.VERSIONS, name, "1.0")
    data = [dumps(step) for dumps in (pickle.dumps, pickler.dumps)]
    monkeypatch.setitem(versions.VERSIONS, name, here)
    for one, loads in zip(data, (pickle.loads, pickler.loads), strict=True):
        with pytest.raises(DistilabelUserError, match=rf"has {name} {re.escape(here)}, not 1\.0 "):
            loads(one)
    with pytest.raises(AssertionError, match="before the versions"):
        pickle.loads(pickle.dumps(step))


class Older(FnApiRunner):
    """Sends jobs as another version of this package would."""

    def run_via_runner_api(self, proto: Any, options: PipelineOptions) -> Any:
        here = versions.__version__.encode()
        there = b"9" * len(here)
        changed = 0
        for part in proto.components.transforms.values():
            payload = part.spec.payload
            for found in set(re.findall(rb"QlpoOTFBWSZTW[A-Za-z0-9+/=]+", payload)):
                import base64
                import bz2

                plain = bz2.decompress(base64.b64decode(found))
                if here in plain:
                    changed += 1
                    packed = bz2.compress(plain.replace(here, there))
                    part.spec.payload = _replaced(part, found, base64.b64encode(packed))
        assert changed
        return super().run_via_runner_api(proto, options)


def _replaced(part: Any, old: bytes, new: bytes) -> bytes:
    from apache_beam.portability.api import beam_runner_api_pb2

    payload = beam_runner_api_pb2.ParDoPayload.FromString(part.spec.payload)
    assert payload.do_fn.payload == old
    payload.do_fn.payload = new
    return bytes(payload.SerializeToString())


def test_a_run_ends_with_the_reason(tmp_path: Any) -> None:
    with Pipeline(name="older") as pipeline:
        LoadDataFromDicts(data=[{"a": 1}]) >> KeepColumns(columns=["a"])
    with pytest.raises(Exception, match=r"has beam-distilabel \S+, not 9+ as where") as caught:
        pipeline.run(
            runner=Older(),
            options=PipelineOptions(["--direct_running_mode=multi_processing"]),
            output_dir=tmp_path / "run",
        )
    assert "Install the same versions" in str(caught.value)
