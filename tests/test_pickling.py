"""Pickles have what was there before `load()`."""

import json
import os
import pathlib
import pickle
import subprocess
import sys
import threading
from typing import Any

from pydantic import PrivateAttr

from beam_distilabel.pickling import PicklesUnloaded


class Client(PicklesUnloaded):
    url: str = "here"

    _lock: Any = PrivateAttr(None)
    _pool: list[Any] = PrivateAttr(default_factory=list)
    _chosen: str = PrivateAttr("default")

    def load(self) -> None:
        self._lock = threading.Lock()
        self._pool.append(threading.Lock())


class Better(Client):
    _more: Any = PrivateAttr(None)

    def load(self) -> None:
        self._more = threading.Lock()
        super().load()


class Inherits(Better):
    pass


def test_what_load_made_stays_here() -> None:
    for cls in (Client, Better, Inherits):
        client = cls(url="there")
        client._chosen = "before"
        for _ in range(2):  # loading twice makes no difference
            client.load()
        twin = pickle.loads(pickle.dumps(client))
        assert (twin.url, twin._lock, twin._pool, twin._chosen) == ("there", None, [], "before")
        assert getattr(twin, "_more", None) is None
        assert client._lock is not None
        assert len(client._pool) == 2
        twin.load()
        assert twin._lock is not None
        assert pickle.loads(pickle.dumps(twin))._lock is None


def test_before_load_everything_is_pickled() -> None:
    client = Client()
    client._chosen = "mine"
    client._pool.append(1)
    twin = pickle.loads(pickle.dumps(client))
    assert (twin._chosen, twin._pool) == ("mine", [1])


def test_loading_adds_no_field() -> None:
    client = Client()
    client.load()
    assert client.model_dump() == {"url": "here"}
    assert client == client.model_copy()


SCRIPT = """
import json
import sys
from typing import Annotated, Any

from pydantic import Field, validate_call

from beam_distilabel.models import LLM, AsyncLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration

Times = Annotated[int, Field(ge=0)]


class Sync(LLM):
    @property
    def model_name(self) -> str:
        return "sync"

    @validate_call
    def generate(
        self, inputs: list[Any], num_generations: int = 1, times: Times = 1
    ) -> list[dict[str, Any]]:
        # Names the Pipeline, so that it is pickled with the class.
        text = f"{pipeline.name} {times!r}"
        return [{"generations": [text] * num_generations} for _ in inputs]


class Async(AsyncLLM):
    @property
    def model_name(self) -> str:
        return "async"

    @validate_call(config={"defer_build": True}, validate_return=True)
    async def agenerate(
        self, input: Any, num_generations: int = 1, times: "Times" = 1
    ) -> dict[str, Any]:
        return {"generations": [f"{pipeline.name} {times!r}"] * num_generations}


llms = [llm(generation_kwargs={"times": "3"}) for llm in (Sync, Async)]
with Pipeline(name="script") as pipeline:
    load = LoadDataFromDicts(data=[{"instruction": "a"}, {"instruction": "b"}])
    for llm in llms:
        load >> TextGeneration(
            name=llm.model_name, llm=llm, num_generations=2, group_generations=True
        )

if __name__ == "__main__":
    from apache_beam.internal import pickler

    for llm in llms:
        with open(f"{sys.argv[1]}/{llm.model_name}", "wb") as file:
            file.write(pickler.dumps(llm))
    distiset = pipeline.run(output_dir=sys.argv[1] + "/run")
    rows = [row for llm in llms for row in distiset[llm.model_name]["train"].to_list()]
    print(json.dumps([[row["instruction"], row["generation"], row["model_name"]] for row in rows]))
"""

ELSEWHERE = """
import asyncio
import json
import sys

from apache_beam.internal import pickler
from pydantic import ValidationError


def call(llm, times):
    if hasattr(llm, "agenerate"):
        return asyncio.run(llm.agenerate("x", times=times))
    return llm.generate(["x"], times=times)[0]


found = []
for name in ("sync", "async"):
    with open(f"{sys.argv[1]}/{name}", "rb") as file:
        llm = pickler.loads(file.read())
    try:
        call(llm, -1)
    except ValidationError as error:
        found.append([call(llm, "4")["generations"], error.errors()[0]["type"]])
print(json.dumps(found))
"""


def run_script(path: pathlib.Path, text: str, *arguments: str) -> Any:
    """What the script printed last, as a process of its own."""
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(path), *arguments],
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_validate_call_in_a_script(tmp_path: pathlib.Path) -> None:
    rows = run_script(tmp_path / "script.py", SCRIPT, str(tmp_path))
    assert sorted(rows) == [
        [text, ["script 3"] * 2, name] for text in "ab" for name in ("async", "sync")
    ]
    # The classes went by value: another process, without the script, has them whole.
    elsewhere = run_script(tmp_path / "elsewhere.py", ELSEWHERE, str(tmp_path))
    assert elsewhere == [[["script 4"], "greater_than_equal"]] * 2
