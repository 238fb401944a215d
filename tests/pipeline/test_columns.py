"""Which columns are read, and of which type the columns of a subset are."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from beam_distilabel.failures import Failure
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.columns import (
    asked_columns,
    columns_to_read,
    described_sources,
    prune_columns,
    sent_schemas,
    source_bytes,
    subset_schemas,
)
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.routing import routing_batch_function, sample_n_steps
from beam_distilabel.row import Row
from beam_distilabel.schema.features import features_of
from beam_distilabel.step import GeneratorStep, GlobalStep, RowStep, Step
from beam_distilabel.transforms.columns.expand_columns import ExpandColumns
from beam_distilabel.transforms.columns.group_columns import GroupColumns
from beam_distilabel.transforms.columns.keep_columns import KeepColumns
from beam_distilabel.transforms.columns.merge_columns import MergeColumns
from beam_distilabel.transforms.columns.truncate_text_column import TruncateTextColumn
from beam_distilabel.transforms.filtering.deita_filtering import DeitaFiltering
from beam_distilabel.transforms.formatting.conversation_template import ConversationTemplate
from beam_distilabel.transforms.formatting.format_text_generation_sft import (
    FormatTextGenerationSFT,
)
from beam_distilabel.transforms.formatting.prepare_examples import PrepareExamples
from beam_distilabel.transforms.sinks.push_to_hub import PushToHub
from beam_distilabel.transforms.sources.load_data_from_dataset import dataset_loader
from beam_distilabel.transforms.sources.load_data_from_dicts import LoadDataFromDicts
from beam_distilabel.transforms.sources.load_data_from_file_system import LoadDataFromFileSystem
from beam_distilabel.transforms.sources.loader import renamed
from beam_distilabel.transforms.tasks.prometheus_eval import PrometheusEval
from beam_distilabel.transforms.tasks.text_generation import TextGeneration
from beam_distilabel.typing import StepInput
from tests.fakes import SeededLLM, new_name
from tests.pipeline.fakes import TaggedEcho
from tests.sources.running import plain, run_graph, run_source

COLUMNS = ("instruction", "generation", "system_prompt", "a", "b")
ROWS: list[Row] = [{name: f"{name} {i}" for name in COLUMNS} for i in range(3)]


class Upper(Step):
    """A Step of a user's own: it says nothing of what it reads."""

    @property
    def outputs(self) -> list[str]:
        return ["upper"]

    def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
        yield [{**row, "upper": row["a"].upper()} for row in inputs]


class KeepLess(KeepColumns):
    """A user's subclass: it may read anything."""


class Makes(GeneratorStep):
    """A generator of a user's own."""

    @property
    def outputs(self) -> list[str]:
        return ["id", "instruction"]

    def process(self, offset: int = 0) -> Any:
        yield [{"id": i, "instruction": "ab"[i % 2]} for i in range(6)], True


class Everything(GlobalStep):
    def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
        yield [{**row, "number": len(inputs)} for row in inputs]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=2)
    return str(path)


def _graph(pipeline: Pipeline) -> Graph:
    graph = pipeline.graph
    return graph.with_steps({name: step.copied() for name, step in graph.steps.items()})


def _read(pipeline: Pipeline) -> frozenset[str] | None:
    (columns,) = columns_to_read(_graph(pipeline)).values()
    return columns


# --- which columns are read -----------------------------------------------------------------------


def test_columns_that_every_path_drops_are_left_out(file: str) -> None:
    with Pipeline("two-branches") as pipeline:
        load = LoadDataFromFileSystem(data_files=file)
        task = TextGeneration(llm=TaggedEcho(), input_mappings={"instruction": "a"})
        load >> task >> KeepColumns(columns=["generation"])
        load >> KeepColumns(columns=["b"])
    # `generation` is written anew, but a row could keep the old one; `instruction` stands in for
    # `a` in rows without it.
    assert _read(pipeline) == {
        "a",
        "b",
        "generation",
        "instruction",
        "system_prompt",
        "distilabel_metadata",
    }


def test_a_leaf_without_keep_columns_needs_all(file: str) -> None:
    with Pipeline("leaf") as pipeline:
        load = LoadDataFromFileSystem(data_files=file)
        load >> [KeepColumns(columns=["a"]), TextGeneration(llm=TaggedEcho())]
    assert _read(pipeline) is None


@pytest.mark.parametrize("step", [Upper, Everything, lambda: KeepLess(columns=["a"])])
def test_code_that_is_not_ours_may_read_all(file: str, step: Any) -> None:
    with Pipeline("before") as pipeline:
        LoadDataFromFileSystem(data_files=file) >> step() >> KeepColumns(columns=["a"])
    assert _read(pipeline) is None
    with Pipeline("after") as pipeline:
        LoadDataFromFileSystem(data_files=file) >> KeepColumns(columns=["a"]) >> step()
    assert _read(pipeline) == {"a", "distilabel_metadata"}


def test_what_is_published_on_the_way_is_read(file: str) -> None:
    with Pipeline("published") as pipeline:
        push = PushToHub(repo_id="someone/rows")
        LoadDataFromFileSystem(data_files=file) >> push >> KeepColumns(columns=["a"])
    assert _read(pipeline) is None


def test_a_user_subclass_of_a_loader_reads_all(file: str) -> None:
    class Mine(LoadDataFromFileSystem):
        pass

    with Pipeline("mine") as pipeline:
        Mine(data_files=file) >> KeepColumns(columns=["a"])
    assert _read(pipeline) is None


def test_renames_are_followed(file: str) -> None:
    with Pipeline("renames") as pipeline:
        load = LoadDataFromFileSystem(data_files=file, output_mappings={"a": "x", "b": "a"})
        keep = KeepColumns(columns=["x"], output_mappings={"x": "y"})
        load >> keep >> KeepColumns(columns=["z"], input_mappings={"z": "y"})
    # Of the columns that rows have, x is the file's a; the file's own x would be called so too.
    assert _read(pipeline) == {"a", "x", "distilabel_metadata"}


def test_a_column_that_a_step_passes_on_under_another_name_is_read(file: str) -> None:
    class Passing(RowStep):
        __module__ = "beam_distilabel.transforms.made_up"

        def transform_row(self, row: Row) -> Row:
            return row

    with Pipeline("passed") as pipeline:
        step = Passing(output_mappings={"a": "x"})
        LoadDataFromFileSystem(data_files=file) >> step >> KeepColumns(columns=["x"])
    assert _read(pipeline) == {"a", "x", "distilabel_metadata"}


def test_steps_that_join_expand_and_filter_read_what_they_declare(file: str) -> None:
    with Pipeline("joined") as pipeline:
        load = LoadDataFromFileSystem(data_files=file)
        merge = MergeColumns(columns=["a", "b"], output_column="a")
        cut = TruncateTextColumn(column="a", max_length=3)
        group = GroupColumns(columns=["a"], output_columns=["as"])
        expand = ExpandColumns(columns={"as": "item"}, split_statistics=True)
        chat = ConversationTemplate(input_mappings={"response": "item"})
        load >> [merge, cut] >> group >> expand >> chat >> KeepColumns(columns=["conversation"])
    # Of the file's five columns; the others are names that Steps between them give.
    read = _read(pipeline)
    assert read is not None and read & {*COLUMNS} == {"a", "b", "instruction"}
    with Pipeline("filtered") as pipeline:
        load = LoadDataFromFileSystem(data_files=file, output_mappings={"a": "embedding"})
        load >> DeitaFiltering(data_budget=1) >> KeepColumns(columns=["b"])
    scores = {"evol_instruction_score", "evol_response_score"}
    assert _read(pipeline) == {"a", "embedding", "b", "distilabel_metadata", *scores}
    with Pipeline("examples") as pipeline:
        load = LoadDataFromFileSystem(data_files=file, output_mappings={"a": "query"})
        load >> PrepareExamples(input_mappings={"answers": "b"})
    assert _read(pipeline) == {"a", "query", "b", "answers", "distilabel_metadata"}


def test_a_pruned_run_with_joins_has_the_same_rows(file: str) -> None:
    @routing_batch_function()
    def first_two(steps: list[str]) -> list[str]:
        return steps[:2]

    def run(prune: bool) -> list[Row]:
        with Pipeline("run") as pipeline:
            load = LoadDataFromFileSystem(name="load", data_files=file)
            cut = TruncateTextColumn(column="a", max_length=1)
            merge = MergeColumns(columns=["b", "generation"], output_column="items")
            group = GroupColumns(columns=["a"], output_columns=["as"])
            load >> first_two >> [cut, merge, KeepColumns(columns=["a"])] >> group
            expand = ExpandColumns(columns=["as"])
            group >> expand >> KeepColumns(columns=["as", "items"])
        graph = _graph(pipeline)
        if prune:
            (columns,) = prune_columns(graph).values()
            assert columns is not None and not columns & {"instruction", "system_prompt"}
        return run_graph(graph)["default"]

    assert run(True) == run(False)
    made = [(item, [f"b {i}", f"generation {i}"]) for i in range(3) for item in ("a", f"a {i}")]
    assert [(row["as"], row["items"]) for row in run(True)] == made


def test_routers_do_not_see_rows(file: str) -> None:
    with Pipeline("routed") as pipeline:
        load = LoadDataFromFileSystem(data_files=file)
        branches = [KeepColumns(columns=["a"]), KeepColumns(columns=["b"])]
        load >> sample_n_steps(1) >> branches
    assert _read(pipeline) == {"a", "b", "distilabel_metadata"}


def test_loaders_of_other_kinds_read_all() -> None:
    with Pipeline("dicts") as pipeline:
        LoadDataFromDicts(data=[{"a": 1, "b": 2}]) >> KeepColumns(columns=["a"])
    assert _read(pipeline) is None
    assert prune_columns(_graph(pipeline)) == {"load_data_from_dicts_0": None}


def test_a_pruned_run_has_the_same_rows_ids_and_totals(file: str) -> None:
    def run(prune: bool) -> tuple[dict[str, list[Row]], int | None]:
        with Pipeline("run") as pipeline:
            load = LoadDataFromFileSystem(name="load", data_files=file, num_examples=2)
            task = TextGeneration(llm=TaggedEcho(), columns="a", template="{{ a }}")
            left, right = KeepColumns(columns=["a"]), KeepColumns(columns=["b", "generation"])
            load >> task >> [left, right]
            [left, right] >> KeepColumns(columns=["a", "b"])
        graph = _graph(pipeline)
        if prune:
            needed = {"a", "b", "generation", "system_prompt", "distilabel_metadata"}
            assert prune_columns(graph) == {"load": needed}
        rows, total = run_graph(graph), graph.steps["load"].count_rows()
        for row in rows["default"]:
            row.pop("distilabel_metadata")
        return rows, total

    whole, pruned = run(False), run(True)
    assert whole == pruned
    assert plain(whole[0]["default"]) == [{k: row[k] for k in ("a", "b")} for row in ROWS[:2]]
    assert whole[1] == 2


def test_read_only_survives_pickling_and_not_the_next_run(file: str) -> None:
    loader = LoadDataFromFileSystem(data_files=file)
    loader.read_only(frozenset({"b"}))
    loader.load()
    assert [row.keys() for row in plain(run_source(pickle.loads(pickle.dumps(loader)))[0])] == [
        {"b"}
    ] * 3
    assert loader.outputs == list(COLUMNS)
    loader.read_only(None)
    assert plain(run_source(loader)[0]) == ROWS


NAMES = st.sampled_from((*COLUMNS, "x", "y"))
MAPPINGS = st.dictionaries(NAMES, NAMES, max_size=2)


@st.composite
def _trees(draw: st.DrawFn) -> Pipeline:
    """A loader, and Steps each of which follows the loader or an earlier Step."""
    with Pipeline("random") as pipeline:
        names = {name: to for name, to in draw(MAPPINGS).items() if name in COLUMNS}
        # Two columns of one name: the file's order decides, which is the same for both runs.
        steps: list[Any] = [LoadDataFromFileSystem(name="load", output_mappings=names)]
        for index in range(draw(st.integers(1, 5))):
            if draw(st.booleans()):
                columns = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
                inputs = {k: v for k, v in draw(MAPPINGS).items() if k in columns}
                outputs = {k: v for k, v in draw(MAPPINGS).items() if k in columns}
                step: Any = KeepColumns(
                    name=f"s{index}",
                    columns=columns,
                    input_mappings=inputs,
                    output_mappings=outputs,
                )
            else:
                column = draw(NAMES)
                wanted = draw(st.none() | NAMES)
                step = TextGeneration(
                    name=f"s{index}",
                    llm=TaggedEcho(),
                    columns="instruction",
                    input_mappings={"instruction": column} if column != "instruction" else {},
                    output_mappings={"generation": wanted} if wanted else {},
                )
            draw(st.sampled_from(steps)).connect(step)
            steps.append(step)
    return pipeline


@given(_trees())
@settings(max_examples=150, deadline=None)
def test_rows_are_the_same_without_the_columns_that_are_left_out(pipeline: Pipeline) -> None:
    graph = pipeline.graph
    needed = columns_to_read(graph)["load"]
    if needed is None:
        assert any(not graph.successors(n) and _keeps_all(graph, n) for n in graph.steps)
    pruned = [{k: v for k, v in row.items() if needed is None or k in needed} for row in ROWS]
    assert _evaluated(graph, pruned) == _evaluated(graph, ROWS)


def _keeps_all(graph: Graph, leaf: str) -> bool:
    """Whether no KeepColumns lies between the loader and `leaf`."""
    while not isinstance(graph.steps[leaf], KeepColumns):
        if not graph.predecessors(leaf):
            return True
        (leaf,) = graph.predecessors(leaf)
    return False


def _evaluated(graph: Graph, rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of every leaf of a tree, without Beam."""
    sent: dict[str, list[Row]] = {}
    for name in graph.in_order():
        step = graph.steps[name]
        if step.is_generator:
            sent[name] = [renamed(row, step.output_mappings) for row in rows]
            continue
        (before,) = graph.predecessors(name)
        sent[name] = [made for row in sent[before] for made in _made(step, row)]
    return {leaf: sent[leaf] for leaf in graph.leaves}


def _made(step: Any, row: Row) -> list[Row]:
    try:
        return [made for batch in step.process_applying_mappings([row]) for made in batch]
    except ValueError as error:  # the prompt is None: the row goes on as it came
        failure = Failure(step.name, "render", str(error), row)
        return list(step._rows_of_failure(row, failure))


# --- of which type they are -----------------------------------------------------------------------


FEATURES = datasets.Features(
    {
        "instruction": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["no", "yes"]),
        "count": datasets.Value("int32"),
    }
)


def _dataset() -> datasets.Dataset:
    return datasets.Dataset.from_dict(
        {"instruction": ["a", "b"], "label": [0, 1], "count": [1, 2]}, features=FEATURES
    )


def _types(schema: pa.Schema) -> dict[str, str]:
    return {field.name: str(field.type) for field in schema}


def _asked_by(*steps: Any, **loader: Any) -> Any:
    with Pipeline(name="asked") as pipeline:
        last: Any = LoadDataFromDicts(name="load", data=ROWS, **loader)
        for make in steps:
            last = last >> make()
    found = asked_columns(pipeline.graph)["load"]
    return found if found is None else found - {"system_prompt"}  # every TextGeneration may read it


def test_what_a_model_is_asked_about_is_followed_to_the_loader() -> None:
    def ask(**fields: Any) -> Any:
        return lambda: TextGeneration(llm=TaggedEcho(), **fields)

    assert _asked_by(ask()) == {"instruction"}
    assert _asked_by(ask(input_mappings={"instruction": "a"})) == {"a"}
    # What the first one makes the second one asks about.
    second = ask(input_mappings={"instruction": "generation"}, output_mappings={"generation": "b"})
    assert _asked_by(ask(), second) == {"instruction"}

    def judge() -> Any:
        return PrometheusEval(llm=TaggedEcho(), mode="absolute", rubric="helpfulness")

    assert _asked_by(ask(), judge) == {"instruction"}
    assert _asked_by(judge) == {"instruction", "generation"}
    assert _asked_by(lambda: KeepColumns(columns=["instruction", "a"]), ask()) == {"instruction"}
    assert _asked_by(Upper) == frozenset()
    assert _asked_by(Upper, ask()) is None
    assert _asked_by(ask(), Upper) == {"instruction"}


@pytest.mark.parametrize("kind", ["dicts", "renamed", "file", "generator"])
def test_rows_that_are_asked_about_alike_are_different_draws(kind: str, tmp_path: Path) -> None:
    rows: list[Row] = [{"id": i, "instruction": "ab"[i % 2]} for i in range(6)]
    with Pipeline(name="alike") as pipeline:
        if kind == "dicts":
            load: Any = LoadDataFromDicts(data=rows)
        elif kind == "renamed":
            own = [{"id": row["id"], "q": row["instruction"]} for row in rows]
            load = LoadDataFromDicts(data=own, output_mappings={"q": "instruction"})
        elif kind == "file":
            path = tmp_path / "rows.parquet"
            pq.write_table(pa.Table.from_pylist(rows), path)
            load = LoadDataFromFileSystem(data_files=str(path), filetype="parquet")
        else:
            load = Makes()
        _ = load >> TextGeneration(llm=SeededLLM(tag=new_name()))
    distiset = pipeline.run(output_dir=tmp_path / "run", logging_handlers=[])
    answers = {row["id"]: row["generation"] for row in distiset["default"]["train"]}
    assert [answers[i][0] for i in range(6)] == ["a", "b"] * 3
    assert len(set(answers.values())) == 6  # each has its own seed


@pytest.mark.parametrize("kind", ["expanded", "renamed", "generations", "own"])
def test_rows_made_of_one_that_are_asked_about_alike_are_different_draws(
    kind: str, tmp_path: Path
) -> None:
    class Repeat(Step):
        def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
            yield [{**row, "id": i} for row in inputs for i in row["ids"]]

    with Pipeline(name="made") as pipeline:
        load = LoadDataFromDicts(data=[{"instruction": "a", "ids": [1, 2, 2, 3]}])
        if kind == "expanded":
            made: Any = ExpandColumns(columns={"ids": "id"})
        elif kind == "renamed":
            made = ExpandColumns(
                columns=["number"],
                input_mappings={"number": "ids"},
                output_mappings={"number": "id"},
            )
        elif kind == "generations":
            made = TextGeneration(
                llm=SeededLLM(tag=new_name()),
                num_generations=4,
                output_mappings={"generation": "id"},
            )
        else:
            made = Repeat()
        _ = load >> made >> TextGeneration(llm=SeededLLM(tag=new_name()))
    distiset = pipeline.run(output_dir=tmp_path / "run", logging_handlers=[])
    answers = [row["generation"] for row in distiset["default"]["train"]]
    assert len(set(answers)) == len(answers) == 4


def test_types_and_features_follow_names_through_steps() -> None:
    with Pipeline("types") as pipeline:
        load = dataset_loader(_dataset(), name="load", output_mappings={"count": "n"})
        task = TextGeneration(name="ask", llm=TaggedEcho(), output_mappings={"generation": "said"})
        grouped = TextGeneration(name="group", llm=TaggedEcho(), group_generations=True)
        keep = KeepColumns(
            name="keep", columns=["said", "label", "n", "no"], output_mappings={"label": "class"}
        )
        load >> task >> keep
        load >> [grouped, Upper(name="user")]
    schemas = subset_schemas(_graph(pipeline))
    assert _types(schemas["keep"]) == {
        "said": "string",
        "class": "int64",
        "n": "int32",
        "no": "null",
        "distilabel_metadata": "null",
    }
    assert features_of(schemas["keep"])["class"]["names"] == ["no", "yes"]
    assert features_of(schemas["keep"])["n"]["dtype"] == "int32"
    assert _types(schemas["group"])["generation"] == "list<item: string>"
    assert _types(schemas["group"])["model_name"] == "string"
    # A Step of a user's own passes columns on, as far as anyone knows.
    assert _types(schemas["user"]) == {
        "instruction": "string",
        "label": "int64",
        "n": "int32",
        "upper": "null",
    }


def test_types_of_steps_that_join_expand_and_format() -> None:
    with Pipeline("types") as pipeline:
        load = dataset_loader(_dataset(), name="load")
        tasks = [TextGeneration(name=tag, llm=TaggedEcho(tag=tag)) for tag in "xy"]
        group = GroupColumns(name="group", columns=["generation"], output_columns=["said"])
        expand = ExpandColumns(name="expand", columns=["said"])
        form = FormatTextGenerationSFT(name="form", input_mappings={"generation": "said"})
        load >> tasks >> group >> expand >> form
        load >> MergeColumns(name="merge", columns=["count", "label"], output_column="label")
    schemas = subset_schemas(_graph(pipeline))
    assert _types(sent_schemas(_graph(pipeline))["group"])["said"] == "list<item: string>"
    found = _types(schemas["form"])
    assert found["messages"] == "list<item: struct<role: string, content: string>>"
    assert {n: found[n] for n in ("instruction", "label", "said", "prompt", "model_name")} == {
        "instruction": "string",
        "label": "int64",
        "said": "string",
        "prompt": "string",
        "model_name": "string",
    }
    assert "generation" not in found  # it was grouped
    assert features_of(schemas["form"])["label"]["names"] == ["no", "yes"]
    assert _types(schemas["merge"]) == {"instruction": "string", "label": "null"}


def test_a_column_that_a_step_makes_anew_is_of_unknown_type() -> None:
    class Relabel(Step):
        @property
        def outputs(self) -> list[str]:
            return ["label"]

        def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
            yield [{**row, "label": str(row["label"])} for row in inputs]

    with Pipeline("anew") as pipeline:
        load = dataset_loader(_dataset(), name="load")
        left, right = Relabel(name="left"), KeepColumns(name="right", columns=["label", "count"])
        load >> [left, right]
        [left, right] >> KeepColumns(name="both", columns=["label", "count", "instruction"])
    (schema,) = subset_schemas(_graph(pipeline)).values()
    assert _types(schema) == {"label": "null", "count": "int32", "instruction": "string"}
    assert set(features_of(schema)) == {"count", "instruction"}


def test_the_judges_results_have_types() -> None:
    with Pipeline("judges") as pipeline:
        load = LoadDataFromDicts(data=[{"instruction": "a", "generation": "b", "generations": []}])
        rubric = "helpfulness"
        score = PrometheusEval(name="s", llm=TaggedEcho(), mode="absolute", rubric=rubric)
        choice = PrometheusEval(name="c", llm=TaggedEcho(), mode="relative", rubric=rubric)
        load >> [score, choice]
    schemas = subset_schemas(_graph(pipeline))
    assert _types(schemas["s"])["result"] == "int64"
    assert _types(schemas["c"])["result"] == "string"
    assert _types(schemas["s"])["feedback"] == "string"
    # Rows in memory tell no type: of an empty subset the columns are known, though.
    assert _types(schemas["s"])["generations"] == "null"


def test_rows_from_outside_may_have_any_column() -> None:
    with Pipeline("outside") as pipeline:
        KeepColumns(columns=["a", "c"], input_mappings={"a": "b"})
    assert _types(subset_schemas(_graph(pipeline))["default"]) == {"b": "null", "c": "null"}


# --- where rows come from -------------------------------------------------------------------------


def test_sources_are_described_without_secrets(file: str, tmp_path: Path) -> None:
    _dataset().save_to_disk(str(tmp_path / "saved"))
    with Pipeline("sources") as pipeline:
        LoadDataFromFileSystem(name="files", data_files=file) >> KeepColumns(columns=["a"])
        LoadDataFromDicts(name="dicts", data=[{"a": 1}]) >> KeepColumns(columns=["a"])
    graph = _graph(pipeline)
    size = Path(file).stat().st_size
    assert described_sources(graph) == {
        "files": {"data_files": file, "split": "train", "files": 1, "bytes": size},
        "dicts": {"rows": 1},
    }
    assert source_bytes(graph) is None
    assert graph.steps["files"].source_bytes() == size
    prune_columns(graph)
    assert graph.steps["files"].source_bytes() is None
