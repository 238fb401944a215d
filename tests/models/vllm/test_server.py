"""Engine servers: shared, never left behind, started anew; with real processes, without vLLM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from beam_distilabel.errors import (
    DistilabelError,
    DistilabelUserError,
    EngineError,
    GenerationError,
    PromptTooLongError,
)
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.vllm import server, server_process, vLLM
from beam_distilabel.models.vllm.server import VLLMServerEngine, server_spec
from beam_distilabel.models.vllm.server_process import ServerSpec, members
from tests.models.vllm.echo_server import spec

LLM = vLLM(model="echo", engine="server")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The servers' folder of this test; not pytest's, whose path is too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="bd") as path:
        monkeypatch.setattr(tempfile, "tempdir", path)
        yield Path(path) / f"beam-distilabel-{os.getuid()}"
        for record in set(Path(path).glob("*/*.json")) - set(Path(path).glob("*/gpus.json")):
            # One that has closed its connections may still be about to end.
            assert gone(processes_of(record)), "a server is left"


def processes_of(record: Path) -> list[psutil.Process]:
    found = json.loads(record.read_text(encoding="utf-8"))
    return members(found["pid"], found["mark"])


@contextlib.contextmanager
def engine(**fields: Any) -> Iterator[VLLMServerEngine]:
    one = VLLMServerEngine(LLM, spec(**fields))
    one.open()
    try:
        yield one
    finally:
        one.close()


def ask(one: VLLMServerEngine, prompt: Any = "hi", n: int = 1, **kwargs: Any) -> Any:
    return one.call(one.generate(GenerateRequest(prompt, n, kwargs, 5)))


def pid_of(one: VLLMServerEngine) -> int:
    return int(ask(one)["generations"][0])


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=30)
    return all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


def test_equal_engines_share_a_server_and_the_last_one_ends_it(folder: Path) -> None:
    with engine() as one:
        (record,) = folder.glob("*.json")
        with engine() as two, engine(other=True) as other:
            assert pid_of(one) == pid_of(two) != pid_of(other)
            assert one.max_in_flight == 7 and "server" in one.description
            output = ask(two, ([{"role": "user"}], {"format": "regex"}), 2, top_k=3)
            assert len(output["generations"]) == 2
            assert output["request"] == [[[{"role": "user"}], {"format": "regex"}], {"top_k": 3}, 5]
            assert output["logprobs"][0][0][0]["logprob"] == -float("inf")
            assert folder.stat().st_mode & 0o777 == 0o700
        processes = processes_of(record)
        assert [process.pid for process in processes] == [pid_of(one)] == one.process_ids()
        (process,) = processes
        assert os.getpgid(process.pid) == process.pid
        assert not any("fields" in part for part in process.cmdline())
    # Gone when `close` returns, so that another engine may have its memory.
    assert gone(processes) and not list(folder.glob("*.sock"))


def test_engines_started_at_once_share_a_server() -> None:
    ones = [VLLMServerEngine(LLM, spec()) for _ in range(3)]
    threads = [threading.Thread(target=one.open) for one in ones]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({pid_of(one) for one in ones}) == 1
    for one in ones:
        one.close()


def test_users_are_told_the_load() -> None:
    async def told(one: VLLMServerEngine) -> dict[str, Any]:
        while not one.statistics or not one.statistics.running:
            await asyncio.sleep(0.01)
        return one.statistics.summary()

    with engine() as one, engine() as two:
        ask(one)
        for user in (one, two):
            summary = user.call(asyncio.wait_for(told(user), 30))
            assert (summary["running"], summary["waiting"]) == (3, 1)
            assert summary["peak_kv_cache_usage"] == 0.5
        # One engine, whoever tells of it.
        assert one.statistics and two.statistics and one.statistics.name == two.statistics.name


def test_a_request_fails_alone() -> None:
    failures: list[tuple[Any, type[Exception], str]] = [
        ("too long", PromptTooLongError, "9 tokens"),
        ("refuse", GenerationError, "top_p"),
        ("wrong", DistilabelUserError, "max_new_token"),
        ("no template", EngineError, "no chat template"),
        ("bug", GenerationError, "KeyError"),
        ("lone \ud800", GenerationError, "could not be made"),
        ({1j}, GenerationError, "can't be sent"),
    ]
    with engine() as one:
        before = pid_of(one)
        for prompt, error, message in failures:
            with pytest.raises(error, match=message) as failure:
                ask(one, prompt)
            assert type(failure.value) is error
            if prompt == "refuse":
                assert failure.value.kind == "refused"  # type: ignore[attr-defined]
        assert pid_of(one) == before


def test_a_cancelled_request_is_cancelled_at_the_server() -> None:
    with engine() as one:

        async def scenario() -> list[str]:
            waiting = asyncio.ensure_future(one.generate(GenerateRequest("wait")))
            seen = []
            for wanted in ("1", "0"):
                while True:
                    output: Any = await one.generate(GenerateRequest("how many wait"))
                    if output["generations"] == [wanted]:
                        break
                seen.append(wanted)
                waiting.cancel()
            return seen

        assert one.call(scenario()) == ["1", "0"]


# -- deaths --------------------------------------------------------------------------------------


def test_a_killed_server_is_started_anew_for_all_its_users(tmp_path: Path) -> None:
    once = {"once": str(tmp_path / "once")}
    with engine(**once) as one, engine(**once) as two:
        first = pid_of(one)
        pending = one.submit(one.generate(GenerateRequest("once")))
        while not (tmp_path / "once").exists():
            ask(two)
        os.kill(first, signal.SIGKILL)
        second = int(pending.result()["generations"][0] or "")
        assert second != first
        assert pid_of(two) == pid_of(one) == second


def test_a_server_is_started_anew_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "MAX_RESTARTS", 0)
    with engine() as one:
        os.kill(pid_of(one), signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(EngineError, match="'echo' died 1 times"):
                ask(one)


def test_a_dead_engine_ends_its_server(folder: Path) -> None:
    with engine() as one:
        (record,) = folder.glob("*.json")
        processes = processes_of(record)
        for _ in range(2):
            with pytest.raises(EngineError, match="died 4 times"):
                ask(one, "die")
        assert gone(processes)
        with engine() as two:
            assert pid_of(two) != processes[0].pid


def run_user(code: str, tmp_path: Path) -> subprocess.Popen[str]:
    script = tmp_path / "user.py"
    script.write_text(
        "import sys, tempfile, time\n"
        "from tests.models.vllm.test_server import LLM, pid_of, spec\n"
        "from beam_distilabel.models.vllm.server import VLLMServerEngine\n" + code,
        encoding="utf-8",
    )
    return subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TMPDIR": str(tempfile.tempdir),
        },
    )


def test_a_server_ends_when_its_only_user_is_killed(tmp_path: Path) -> None:
    code = "one = VLLMServerEngine(LLM, spec()); one.open(); print(pid_of(one), flush=True)\n"
    with run_user(code + "time.sleep(600)\n", tmp_path) as user:
        assert user.stdout is not None
        process = psutil.Process(int(user.stdout.readline()))
        assert process.is_running()
        user.kill()
    assert gone([process])


def test_a_server_outlives_its_launcher_while_it_has_users(tmp_path: Path) -> None:
    code = "one = VLLMServerEngine(LLM, spec()); one.open(); print(pid_of(one), flush=True)\n"
    with run_user(code + "time.sleep(600)\n", tmp_path) as user:
        assert user.stdout is not None
        first = int(user.stdout.readline())
        with engine() as one:
            assert pid_of(one) == first
            user.kill()
            user.wait()
            assert pid_of(one) == first
    assert gone([psutil.Process(first)] if psutil.pid_exists(first) else [])


def test_a_server_ends_when_its_launcher_is_killed_meanwhile(tmp_path: Path, folder: Path) -> None:
    code = "VLLMServerEngine(LLM, spec(start='never')).open()\n"
    with run_user(code, tmp_path) as user:
        processes: list[psutil.Process] = []
        while not processes:
            assert user.poll() is None
            processes = [one for record in folder.glob("*.json") for one in processes_of(record)]
        user.kill()
    assert gone(processes)


def test_orphans_are_reaped(folder: Path) -> None:
    with engine(start="with a child") as one:
        (record,) = folder.glob("*.json")
        processes = processes_of(record)
        assert len(processes) == 2
        one._stopped = True  # it doesn't start another one
        os.kill(pid := processes[0].pid, signal.SIGKILL)
        assert gone([psutil.Process(pid)])
        (orphan,) = processes_of(record)
        # A record whose number is another process' by now harms nobody.
        old, other = record.with_name(f"{'0' * 20}.json"), record.with_name("gpus.json")
        for file in (old, other):
            file.write_text(json.dumps({"pid": os.getsid(0), "mark": "0"}), encoding="utf-8")
        with engine():
            assert gone([orphan])
        assert not record.exists() and not old.exists() and other.exists()


def test_files_of_servers_that_are_gone_are_removed(folder: Path) -> None:
    with engine(old=True):
        pass
    (lock,), (log,) = folder.glob("*.lock"), folder.glob("*.log")
    with engine() as one:
        # The log may be wanted; the lock is made anew where it is needed.
        assert not lock.exists() and log.exists()
        with engine(old=True) as other:
            assert pid_of(other) != pid_of(one)
    day_before_yesterday = time.time() - 2 * 24 * 3600
    os.utime(log, (day_before_yesterday, day_before_yesterday))
    with engine():
        assert not log.exists()
        assert len(list(folder.iterdir())) == 4, "one server's lock, log, record and socket"


# -- what can't start ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("error", EngineError, "no memory for the cache"),
        ("wrong", DistilabelUserError, "'max_model_length'"),
        (
            "crash",
            EngineError,
            r"'echo' ended before.*exit status 3(?s:.*)the engine starts: crash",
        ),
    ],
)
def test_a_server_that_cannot_start_says_why(
    how: str, error: type[Exception], message: str, folder: Path
) -> None:
    with pytest.raises(error, match=message), engine(start=how):
        pass
    assert not list(folder.glob("*.json"))


def test_a_server_has_to_be_ready_in_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "pipeline.log"
    log.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("BEAM_DISTILABEL_ENGINE_LOG", str(log))
    monkeypatch.setenv("BEAM_DISTILABEL_ENGINE_READY_SECONDS", "3")
    # Its imports alone could take as long on a busy host.
    code = "import time; print('the engine starts', flush=True); time.sleep(600)"
    with pytest.raises(EngineError, match="not ready after 3 s") as failure:
        VLLMServerEngine(LLM, ServerSpec("echo", {}, code)).open()
    assert "the engine starts" in str(failure.value)
    assert "before" not in str(failure.value)
    assert log.read_text(encoding="utf-8").startswith("before\nthe engine starts")
    assert not list(folder.glob("*.json"))


def test_the_folder_is_nobody_elses(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    with pytest.raises(DistilabelError, match="0700"), engine():
        pass
    folder.rmdir()
    folder.symlink_to("/")
    with pytest.raises(DistilabelError, match="0700"), engine():
        pass
    folder.unlink()


def test_a_path_that_is_too_long_for_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with pytest.raises(EngineError, match="TMPDIR"), engine():
        pass


# -- which server --------------------------------------------------------------------------------


def test_what_goes_with_requests_needs_no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(**fields: Any) -> str:
        return server_spec(vLLM(model="m", engine="server", **fields)).key()

    same = key(generation_kwargs={"top_k": 1}, structured_output={"format": "regex", "schema": "a"})
    assert same == key() != key(extra_kwargs={"tensor_parallel_size": 2})
    before = key()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert key() != before
    assert isinstance(server_spec(vLLM(model="m")), ServerSpec)
    with pytest.raises(DistilabelUserError, match="can't send extra_kwargs"):
        key(extra_kwargs={"logits_processors": [int]})


def test_the_log_end_is_short(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(map(str, range(1000))), encoding="utf-8")
    lines = server_process.log_end(str(log)).splitlines()
    assert len(lines) == 32 and lines[-1].strip() == "999"
    assert server_process.log_end(str(tmp_path / "none")) == ""
