"""The same rows are asked about with the same prompts and seeds, however a run goes about it."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_distilabel.models.vllm import vLLM
from beam_distilabel.pipeline import Pipeline, routing_batch_function, sample_n_steps
from beam_distilabel.row import fingerprint
from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer
from beam_distilabel.step import Step, StepInput
from beam_distilabel.steps import LoadDataFromFileSystem
from beam_distilabel.steps.tasks import PrometheusEval, TextGeneration
from beam_distilabel.typing import StepOutput
from tests.chaos.counting_server import JUDGE, WRITER, CountingServer
from tests.pipeline.running import rows_of

FILES = 3
# Some instructions are in a file several times, and some in several files.
INSTRUCTIONS = [[f"question {(n * n + file) % 17}" for n in range(20)] for file in range(FILES)]

Requests = set[tuple[str, str, int]]
Rows = Counter[str]


@routing_batch_function
def by_chance(steps: list[str]) -> list[str]:
    """A draft for a third of the rows, a whole text for all."""
    return steps if random.random() < 1 / 3 else steps[:1]


class Sample(Step):
    """Leaves a fifth of the rows out, by what is in them."""

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield [row for row in inputs if int(fingerprint(row["generation"]), 16) % 5]


def write_files(folder: Path, order: random.Random | None) -> Path:
    """Write the rows; in another order where one is given, of the files as well."""
    folder.mkdir()
    for number, instructions in enumerate(INSTRUCTIONS):
        name = number if order is None else FILES - number
        rows = instructions if order is None else order.sample(instructions, len(instructions))
        pq.write_table(pa.table({"instruction": rows}), folder / f"{name}.parquet")
    return folder


def asked_and_made(
    server: CountingServer, data: Path, folder: Path, **arguments: Any
) -> tuple[Requests, dict[str, Rows]]:
    """What the models were asked, with which seeds, and the rows of every subset."""

    def llm(model: str) -> vLLM:
        return vLLM(model=model, engine="url", base_url=server.url, api_key=server.key)

    with Pipeline(name="sampled") as pipeline:
        load = LoadDataFromFileSystem(name="load", data_files=str(data))
        write = TextGeneration(name="write", llm=llm(WRITER), num_generations=2)
        draft = TextGeneration(name="draft", llm=llm(WRITER))
        sample = Sample(name="sample", input_batch_size=7)
        judges = [
            PrometheusEval(name=name, llm=llm(JUDGE), mode="absolute", rubric="helpfulness")
            for name in ("a", "b", "c")
        ]
        load >> by_chance >> [write, draft]
        write >> sample >> sample_n_steps(2) >> judges
    server.forget()
    distiset = pipeline.run(output_dir=folder, logging_handlers=[], **arguments)
    # No multiset: equal rows of several files share an answer, which one that comes late finds.
    requests = {
        (str(one.body["model"]), one.prompt, int(one.body["seed"])) for one in server.received
    }
    return requests, {
        name: Counter(repr(sorted(row.items())) for row in rows_of(distiset, name))
        for name in distiset
    }


@pytest.fixture(scope="module")
def expected(
    server: CountingServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Requests, dict[str, Rows]]:
    """What one worker thread asks and makes."""
    folder = tmp_path_factory.mktemp("expected")
    requests, rows = asked_and_made(server, write_files(folder / "data", None), folder / "run")
    assert {model for model, _, _ in requests} == {WRITER, JUDGE}
    # Two generations, and every occurrence in a file, are asked with seeds of their own.
    seeds = Counter((model, prompt) for model, prompt, _ in requests)
    most = max(Counter(INSTRUCTIONS[0]).values())
    assert max(times for (model, _), times in seeds.items() if model == WRITER) >= 2 * most
    assert set(rows) == {"draft", "a", "b", "c"} and all(rows.values())
    return requests, rows


@pytest.mark.parametrize(
    "arguments",
    [{}, {"options": {"parallelism": 8}}, {"load_groups": "sequential_step_execution"}],
    ids=["one thread", "8 threads", "a job per Step"],
)
def test_any_order_and_any_number_of_workers(
    server: CountingServer, expected: Any, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    data = write_files(tmp_path / "data", random.Random(5))
    assert asked_and_made(server, data, tmp_path / "run", **arguments) == expected


@pytest.mark.flink
def test_flink(
    server: CountingServer, expected: Any, tmp_path: Path, flink: FlinkJobServer
) -> None:
    data = write_files(tmp_path / "data", random.Random(6))
    options = flink.options()
    assert asked_and_made(server, data, tmp_path / "run", options=options) == expected
