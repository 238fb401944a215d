"""Which GPUs an engine gets, on a host that is made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.models.devices import DeviceLedger, Gpu
from beam_distilabel.models.vllm import memory, placement, vLLM
from beam_distilabel.models.vllm.placement import place_engine

GPUS = (Gpu("0", "GPU-aaaa"), Gpu("1", "GPU-bbbb"))


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeviceLedger:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    ledger = DeviceLedger(tmp_path / "gpus.json")
    monkeypatch.setattr(memory, "runs_on_gpus", lambda: True)
    monkeypatch.setattr(memory, "default_share", lambda: 0.9)
    monkeypatch.setattr(placement, "visible_gpus", lambda: GPUS)
    monkeypatch.setattr(placement, "ledger", ledger)
    return ledger


def environment_of(**fields: Any) -> Any:
    return place_engine(vLLM(model="m", **fields), 0.0).environment.get("CUDA_VISIBLE_DEVICES")


def test_engines_get_a_gpu_each_and_the_third_none(host: DeviceLedger) -> None:
    first = place_engine(vLLM(model="first"), 0.0)
    assert first.environment == {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert environment_of() == "1"
    with pytest.raises(EngineError, match="holds 90% of GPU 0 for vLLM with 'first'"):
        environment_of()
    first.release()
    assert environment_of() == "0"


def test_an_engine_on_two_gpus() -> None:
    assert environment_of(extra_kwargs={"tensor_parallel_size": 2}) == "0,1"


def test_chosen_gpus() -> None:
    assert environment_of(cuda_devices=[1]) == "1"
    with pytest.raises(EngineError, match="on GPU 1"):
        environment_of(cuda_devices=[1])
    with pytest.raises(DistilabelUserError, match="sees 2 GPUs"):
        environment_of(cuda_devices=[2])


def test_without_placement_the_first_are_held_but_nothing_is_set(host: DeviceLedger) -> None:
    assert environment_of(cuda_devices=[1], disable_cuda_device_placement=True) is None
    assert [holder.gpus for holder in host.holders()] == [("GPU-aaaa",)]


def test_where_no_gpu_is_seen_numbers_are_taken_as_they_are(
    host: DeviceLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "runs_on_gpus", lambda: False)
    assert environment_of(cuda_devices=[3]) == "3"
    assert environment_of() is None
    assert host.holders() == []
