"""How long does a run take that has everything to do behind it, and how much memory?

A checkpoint of finished answers is written as a run leaves it: segments of 1,000 answers, with the
keys that the run has. Then the pipeline (Parquet >> TextGeneration) is run over it, each time in a
process of its own. An answer that has to be asked for is an error.

- first: what was killed before its segments were merged; this run merges them.
- again: the run after that.
- slow: the same with a new host's empty temporary folder, and a filesystem that takes 20 ms longer
  for every read: the whole run directory is on it.

`peak` is the largest memory of the process. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem
from instant_llm import InstantLLM

SEGMENT_ROWS = 1_000
FILE_ROWS = 50_000
ROW_BYTES = 1_000
READ_SECONDS = 0.02
SECONDS_WANTED = 150
MEGABYTES_WANTED = 2_048

WORDS = [f"{random.Random(i).randrange(16**7):x}" for i in range(5_000)]


class SlowFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """`slow:///path`: the local filesystem with `READ_SECONDS` more for every read or listing."""

    protocol = "slow"
    root_marker = "/"
    reads = 0
    _lock = threading.Lock()
    _disk = LocalFileSystem(auto_mkdir=True)

    @classmethod
    def wait(cls) -> None:
        """Take the time of a read, and count it."""
        with cls._lock:
            cls.reads += 1
        time.sleep(READ_SECONDS)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        self.wait()
        return self._disk.ls(path, detail=detail, **kwargs)

    def info(self, path: str, **kwargs: Any) -> Any:
        self.wait()
        return self._disk.info(path, **kwargs)

    def _open(self, path: str, mode: str = "rb", *args: Any, **kwargs: Any) -> Any:
        file = self._disk.open(path, mode)
        return _SlowFile(file) if mode == "rb" else file

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self._disk.makedirs(path, exist_ok=exist_ok)

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        self._disk.mkdir(path, create_parents=create_parents)

    def mv(self, path1: str, path2: str, *args: Any, **kwargs: Any) -> None:
        self._disk.mv(self._strip_protocol(path1), self._strip_protocol(path2), *args, **kwargs)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        self._disk.cp_file(path1, path2)

    def rm_file(self, path: str) -> None:
        self._disk.rm_file(self._strip_protocol(path))

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        self._disk.rm(self._strip_protocol(path), recursive)

    def rmdir(self, path: str) -> None:
        self._disk.rmdir(path)

    def modified(self, path: str) -> Any:
        return self._disk.modified(path)


class _SlowFile:
    """A file whose reads take longer."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _SlowFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def read(self, *args: Any) -> Any:
        SlowFileSystem.wait()
        return self._file.read(*args)


fsspec.register_implementation("slow", SlowFileSystem)


def make_pipeline(data: str) -> Any:
    """The pipeline, and its Task."""
    from beam_distilabel.pipeline import Pipeline
    from beam_distilabel.steps import LoadDataFromFileSystem
    from beam_distilabel.steps.tasks import TextGeneration

    with Pipeline(name="resume") as pipeline:
        load = LoadDataFromFileSystem(name="load", data_files=data, filetype="parquet")
        task = TextGeneration(name="generate", llm=InstantLLM(answer="asked"))
        load >> task
    return pipeline, task


def build(folder: Path, count: int) -> float:
    """Write the data and the checkpoint; returns the seconds that the checkpoint took."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from beam_distilabel.checkpoint.documents import seal
    from beam_distilabel.checkpoint.segments import segment_name, write_segment
    from beam_distilabel.pipeline.run_directory import RunDirectory
    from beam_distilabel.rollouts import task_key
    from beam_distilabel.row import fingerprint

    data = folder / "data"
    data.mkdir()
    _, task = make_pipeline(str(data))
    key = task_key(task)
    run = RunDirectory(str(folder / "run"))
    run.make()
    run.claim("resume", {"state": "running"})  # as a run leaves it that was killed
    rng = random.Random(0)
    seconds = 0.0
    for first in range(0, count, FILE_ROWS):
        rows = [
            {"instruction": f"Question {i}: {' '.join(rng.choices(WORDS, k=12))}?"}
            for i in range(first, min(first + FILE_ROWS, count))
        ]
        pq.write_table(pa.Table.from_pylist(rows), data / f"{first:09d}.parquet")
        for start in range(0, len(rows), SEGMENT_ROWS):
            answers = {}
            for row in rows[start : start + SEGMENT_ROWS]:
                asked = fingerprint(key, task._format_input(row), 0, {})
                text = " ".join(rng.choices(WORDS, k=ROW_BYTES // 8))
                answers[bytes.fromhex(asked)] = {
                    "generations": [text],
                    "statistics": {"input_tokens": [20], "output_tokens": [200]},
                }
            began = time.perf_counter()
            sealed = [seal(asked, answer) for asked, answer in answers.items()]
            write_segment(
                str(folder / "run/checkpoint/generate"), segment_name(), list(answers), sealed
            )
            seconds += time.perf_counter() - began
    return seconds


def measure(folder: Path, count: int, slow: bool) -> dict[str, Any]:
    """Run the pipeline in this process."""
    pipeline, _ = make_pipeline(str(folder / "data"))
    segments = len(list((folder / "run/checkpoint/generate").iterdir()))
    wall, cpu = time.perf_counter(), time.process_time()
    handle = pipeline.submit(output_dir=f"slow://{folder}/run" if slow else str(folder / "run"))
    if handle.wait() != "done":
        raise RuntimeError(f"the run {handle.state}") from handle._control.error
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rows = handle.report["subsets"]["default"]["rows"]
    reused = handle.progress()["generate"]["reused"]
    if not rows == reused == count:
        raise RuntimeError(f"{rows} rows came out, {reused} were reused, {count} went in")
    return {
        "rows": count,
        "segments": segments,
        "seconds": round(wall, 1),
        "rows_per_second": round(count / wall),
        "cpu_us_per_row": round(cpu / count * 1e6, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "reads": SlowFileSystem.reads,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", choices=["plain", "slow"], help="measure in this process")
    parser.add_argument("--folder", type=Path, help="with --only")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.folder, options.rows, options.only == "slow")))
        return
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        seconds = build(folder, options.rows)
        size = sum(file.stat().st_size for file in (folder / "run").rglob("*.parquet"))
        print(f"checkpoint: {size / 2**20:,.0f} MiB, written in {seconds:.1f} s", flush=True)
        for name, way, host in (
            ("first", "plain", "host"),
            ("again", "plain", "host"),
            ("slow", "slow", "other host"),
        ):
            temporary = folder / host
            temporary.mkdir(exist_ok=True)
            command = [sys.executable, __file__, "--only", way, "--folder", place]
            done = subprocess.run(
                [*command, "--rows", str(options.rows)],
                capture_output=True,
                text=True,
                env={**os.environ, "TMPDIR": str(temporary)},
                check=False,
            )
            if done.returncode:
                raise RuntimeError(f"{name} failed:\n{done.stderr[-5_000:]}")
            result = results[name] = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{name}: {result['seconds']} s, {result['rows_per_second']:,} rows/s, "
                f"{result['cpu_us_per_row']} us cpu/row, peak {result['peak_mb']:,} MB, "
                f"{result['segments']} segments, {result['reads']} slow reads",
                flush=True,
            )
    print(f"Wanted of a million rows: {SECONDS_WANTED} s, {MEGABYTES_WANTED:,} MB at most.")
    print(
        json.dumps(
            {
                "cpus": os.cpu_count(),
                "load_average": round(os.getloadavg()[0], 2),
                "seconds_wanted": SECONDS_WANTED,
                "megabytes_wanted": MEGABYTES_WANTED,
                "checkpoint_bytes": size,
                "runs": results,
            }
        )
    )


if __name__ == "__main__":
    main()
