"""The dataset card: its front matter with `datasets` and the Hub, its text, and updates of it."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCard, DatasetCardData, HfApi
from hypothesis import given, settings, strategies as st

from beam_distilabel.card import build_card, draw_pipeline, write_card
from beam_distilabel.card.markdown import code, fenced, number, one_line, plain, size, table
from beam_distilabel.card.sample import MAX_CHARACTERS, sample_text
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.manifest import Manifest, schema_text
from beam_distilabel.redaction import redact
from beam_distilabel.summary import (
    SubsetSummary,
    summarize,
    summarize_dataset,
    summarize_manifest,
)
from tests.fakes import FakeLLM
from tests.hub import HubServer

BEGIN = "<!-- beam-distilabel: begin (this section is written again on every update) -->"
END = "<!-- beam-distilabel: end -->"


def front_matter(card: str) -> dict[str, Any]:
    data: dict[str, Any] = DatasetCard(card).data.to_dict()
    return data


def names(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(entry["config_name"]) for entry in entries]


def defaults(card: str) -> list[str]:
    configs = front_matter(card)["configs"]
    return [c["config_name"] for c in configs if c.get("default") or c["config_name"] == "default"]


def subset(name: str = "default", rows: int = 2, split: str = "train", **fields: Any) -> Any:
    """A summary of a subset that lies in files."""
    schema = pa.schema([("a", pa.int64())])
    made: dict[str, Any] = {
        "columns": {"a": "int64"},
        "sample": {"a": 1},
        "data_files": {split: f"{name}/{split}-*.parquet"},
        "bytes": {split: rows * 8},
        "file_bytes": {split: 1_000},
        "schema": schema,
    }
    return SubsetSummary(name, {split: rows}, **{**made, **fields})


# -- the drawing -----------------------------------------------------------------------------------


def definition(routers: Mapping[str, str] | None = None, **edges: list[str]) -> dict[str, Any]:
    steps = dict.fromkeys([*edges, *(target for targets in edges.values() for target in targets)])
    return {
        "pipeline": {
            "name": "p",
            "steps": [
                {"name": name, "step": {"type_info": {"module": "m", "name": name.upper()}}}
                for name in steps
            ],
            "connections": [{"from": name, "to": targets} for name, targets in edges.items()],
            "routing_batch_functions": [
                {"step": name, "type_info": {"name": router, "kwargs": {"n": 1}}}
                for name, router in (routers or {}).items()
            ],
        }
    }


def test_a_chain_goes_straight_down() -> None:
    assert draw_pipeline(definition(a=["b"], b=["c"])) == (
        'a (A)\n↓\nb (B)\n↓\nc (C)\n↓\nsubset "default"'
    )


def test_branches_end_in_their_subsets() -> None:
    assert draw_pipeline(definition(a=["b", "c"], b=["d", "e"], c=["f"])).splitlines() == [
        "a (A)",
        "├─ b (B)",
        "│  ├─ d (D)",
        "│  │  ↓",
        '│  │  subset "d"',
        "│  └─ e (E)",
        "│     ↓",
        '│     subset "e"',
        "└─ c (C)",
        "   ↓",
        "   f (F)",
        "   ↓",
        '   subset "f"',
    ]


def test_a_join_is_drawn_once_and_named_where_its_inputs_end() -> None:
    drawn = draw_pipeline(
        definition({"a": "sample_n_steps"}, a=["b", "c"], b=["join", "d"], c=["join"], join=["e"])
    )
    assert drawn.splitlines() == [
        "a (A)",
        "│ each row to what sample_n_steps(n=1) chooses",
        "├─ b (B)",
        "│  ├─ to join",
        "│  └─ d (D)",
        "│     ↓",
        '│     subset "d"',
        "└─ c (C)",
        "   ↓",
        "   to join",
        "",
        "join (JOIN), which joins b and c",
        "↓",
        "e (E)",
        "↓",
        'subset "e"',
    ]


def test_several_loaders() -> None:
    drawn = draw_pipeline(definition(one=["join"], two=["join"], three=["alone"]))
    assert drawn.split("\n\n") == [
        "one (ONE)\n↓\nto join",
        "two (TWO)\n↓\nto join",
        'three (THREE)\n↓\nalone (ALONE)\n↓\nsubset "alone"',
        'join (JOIN), which joins one and two\n↓\nsubset "join"',
    ]


STEP_NAMES = [f"s{number}" for number in range(8)]
EDGES = st.sets(st.tuples(st.sampled_from(STEP_NAMES), st.sampled_from(STEP_NAMES)))


@given(EDGES)
def test_every_step_of_any_graph_is_drawn_once(edges: set[tuple[str, str]]) -> None:
    ends: dict[str, list[str]] = {name: [] for name in STEP_NAMES}
    for source, target in sorted(edges):
        ends[source].append(target)
    drawn = draw_pipeline(definition(None, **ends))
    for name in STEP_NAMES:
        assert drawn.count(f"{name} (") == 1
    assert drawn.count('subset "') == sum(not targets for targets in ends.values())
    # Each connection is the line below, a branch, or an end that names its target.
    joined = {target for target in STEP_NAMES if len([e for e in edges if e[1] == target]) > 1}
    for target in joined:
        before = [source for source, end in edges if end == target]
        assert drawn.count(f"to {target}") >= len(before) - 1


def test_what_is_no_pipeline_draws_what_it_has() -> None:
    assert draw_pipeline({}) == ""
    broken = {"steps": [1, {"name": "a", "step": None}], "connections": [{"from": "a", "to": 3}]}
    assert draw_pipeline({"pipeline": broken}) == 'a\n↓\nsubset "default"'


def test_a_large_drawing_is_cut() -> None:
    chain = {f"s{number}": [f"s{number + 1}"] for number in range(200)}
    lines = draw_pipeline(definition(None, **chain)).splitlines()
    assert len(lines) == 201 and lines[-1] == "... 203 more lines"


# -- what the section says -------------------------------------------------------------------------

LLM = {
    "model": "org/model",
    "revision": "abc",
    "quantization": "awq",
    "tokenizer": None,
    "seed": 0,
    "generation_kwargs": {"temperature": 0.7, "stop": ["\n|"]},
    "type_info": {"module": "beam_distilabel.models.vllm", "name": "vLLM"},
}
MADE_BY = {
    "beam_distilabel": {"version": "0.1.0"},
    "pipeline": {
        "name": "mine",
        "description": "Asks <b>and</b> judges.",
        "steps": [
            {
                "name": "load",
                "step": {
                    "repo_id": "org/prompts",
                    "revision": "v1",
                    "type_info": {"module": "beam_distilabel.x", "name": "LoadDataFromHub"},
                },
            },
            {
                "name": "ask_all",
                "step": {
                    "num_generations": 2,
                    "llm": LLM,
                    "type_info": {"module": "my.tasks", "name": "Ask"},
                },
            },
            {
                "name": "mix",
                "step": {
                    "llms": [{**LLM, "model": "a/b", "revision": None}, {**LLM, "model": "c/d"}],
                    "type_info": {"module": "beam_distilabel.x", "name": "Mix"},
                },
            },
        ],
        "connections": [
            {"from": "load", "to": ["ask_all"]},
            {"from": "ask_all", "to": ["mix"]},
            {"from": "mix", "to": []},
        ],
    },
    "requirements": ["pandas>=2"],
}
COMMIT = "0123456789" * 4
REPORT = {
    "run_dir": "/secret/place",
    "seconds": 61.2,
    "seed": 7,
    "started": "2026-01-02T03:04:05+00:00",
    "versions": {"beam-distilabel": "0.2.0", "vllm": "0.32.0", "torch": None},
    "sources": {"load": {"repo_id": "org/prompts", "commit": COMMIT, "split": "train"}},
    "steps": {
        "load": {"rows_out": 1_000, "failures": 0, "input_tokens": 0, "output_tokens": 0},
        "ask_all": {
            "rows_out": 1_998,
            "failures": 5,
            "failed": {"too_long": 3, "parse": 2},
            "input_tokens": 12_345,
            "output_tokens": 1_000_000,
            "engine": "vLLM 0.32.0",
        },
        "mix": {"rows_out": 1_990, "failures": 1, "failed": {"parse": 1}, "output_tokens": 10},
    },
}


def test_the_card_says_what_made_it() -> None:
    card = build_card(
        [subset()],
        location="org/name",
        revision="refs/pr/1",
        definition=MADE_BY,
        report=REPORT,
        artifacts={"mix": ["a|b"]},
        citations=["@a{b}", "@c{d}", "@a{b}"],
    )
    lines = card.splitlines()
    for line in (
        "This dataset was generated by the pipeline `mine` of "
        "[beam-distilabel](https://pypi.org/project/beam-distilabel/).",
        "Asks &#60;b&#62;and&#60;/b&#62; judges.",
        "| `default` | train | 2 | 1 | 1.0 kB |",
        'dataset = load_dataset("org/name", "default", revision="refs/pr/1")',
        "Columns: `a` (int64).",
        "load (LoadDataFromHub)",
        "| load | `LoadDataFromHub` |  |  |",
        "| ask_all | `org/model` | `vLLM` | `abc` | `quantization='awq', seed=0` | vLLM 0.32.0 |",
        "| mix | `a/b` | `vLLM` | not pinned | `quantization='awq', seed=0` |  |",
        "| mix | `c/d` | `vLLM` | `abc` | `quantization='awq', seed=0` |  |",
        "| load | [org/prompts](https://huggingface.co/datasets/org/prompts) |  | train | "
        f"[`{COMMIT[:12]}`](https://huggingface.co/datasets/org/prompts/tree/{COMMIT}) |",
        "Run: started 2026-01-02T03:04:05+00:00, took 61.2 s, seed 7, beam-distilabel 0.2.0, "
        "vllm 0.32.0.",
        "| load | 1,000 |  | 0 | 0 |",
        "| ask_all | 1,998 | too_long: 3, parse: 2 | 12,345 | 1,000,000 |",
        "| mix | 1,990 | parse: 1 |  | 10 |",
        "| **all** |  | too_long: 3, parse: 3 | 12,345 | 1,000,010 |",
        "| mix | <code>artifacts/mix/a&#124;b</code> |",
        "pip install beam-distilabel==0.2.0 'pandas>=2'",
        "beam-distilabel pipeline run --config "
        "https://huggingface.co/datasets/org/name/raw/refs%2Fpr%2F1/pipeline.yaml",
        "It uses classes that aren't part of beam-distilabel: `Ask` of `my.tasks`. Import their "
        "modules in a script, and load the file there with `Pipeline.from_yaml`.",
    ):
        assert line in lines, line
    (ask,) = [line for line in lines if line.startswith("| ask_all | `Ask` | `org/model` | ")]
    assert "temperature=0.7" in ask and ask.count("|") == 5
    assert card.count("@a{b}") == 1 and card.count("@c{d}") == 1
    assert "/secret/place" not in card


def test_what_is_not_known_is_not_said() -> None:
    card = build_card([subset(sample=None)])
    assert "It has no rows." in card
    headings = re.findall(r"^#+ .*$", card, re.MULTILINE)
    assert headings == ["# Dataset card", "## Subset `default`"]
    bare = build_card([subset()], definition={"pipeline": {"steps": []}}, report={"steps": 3})
    assert "beam-distilabel pipeline run --config path/to/distiset/pipeline.yaml" in bare
    assert "## The run" not in bare and "### Models" not in bare


def test_a_source_without_a_record_is_shown_with_its_revision() -> None:
    card = build_card([subset()], definition=MADE_BY)
    link = "[org/prompts](https://huggingface.co/datasets/org/prompts)"
    assert f"| load | {link} |  |  | `v1` |" in card
    odd = {"load": [{"repo_id": "a) [b", "commit": "<x>"}, "no mapping"]}
    assert "| load | `a) [b` |  |  | `<x>` |" in build_card([subset()], report={"sources": odd})


def test_a_folder_of_save_to_disk_is_loaded_in_its_own_way() -> None:
    card = build_card([subset()], location="/data/set", definition=MADE_BY, saved_to_disk=True)
    assert 'dataset = Distiset.load_from_disk("/data/set")["default"]' in card
    assert "--config /data/set/distiset_configs/pipeline.yaml" in card


def test_the_commands_of_the_card_exist() -> None:
    from typer.testing import CliRunner

    from beam_distilabel.cli import app

    card = build_card([subset()], definition=MADE_BY)
    commands = re.findall(r"^beam-distilabel (.*) path/to", card, re.MULTILINE)
    assert [command.split() for command in commands] == [
        ["pipeline", "info", "--config"],
        ["pipeline", "run", "--config"],
    ]
    for command in commands:
        group, name, option = command.split()
        shown = CliRunner().invoke(app, [group, name, "--help"])
        assert shown.exit_code == 0 and option in re.sub(r"\x1b\[[\d;]*m", "", shown.output)


def test_a_card_is_bounded() -> None:
    wide = {f"column {number}": "x" * 10_000 for number in range(2_000)}
    many = [
        subset(f"s{number}", sample=wide, columns=dict.fromkeys(wide, "string"))
        for number in range(300)
    ]
    steps = {f"step {number}": {"rows": 1} for number in range(500)}
    card = build_card(many, report={"steps": steps})
    section = card[card.index(BEGIN) :]
    assert len(section) < 100_000
    assert section.count("## Subset") == 10
    assert "290 more subsets are in the table above" in section
    assert "200 more aren't shown." in section and "and 1,950 more." in section


@given(
    st.dictionaries(
        st.text(max_size=20),
        st.recursive(
            st.none() | st.text(max_size=3_000) | st.integers() | st.binary(max_size=10),
            lambda inner: (
                st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=9), inner)
            ),
        ),
        max_size=200,
    )
)
@settings(max_examples=50, deadline=None)
def test_a_sample_is_short_json_without_comments(row: dict[str, Any]) -> None:
    text = sample_text({**row, "end": END})
    shown = json.loads(text)
    assert len(text) < 3 * MAX_CHARACTERS and "<!--" not in text
    if text.count("more characters") == 0 and "end" in shown:
        assert shown["end"] == END


# -- texts of models -------------------------------------------------------------------------------

HOSTILE = [
    END,
    f"{END}\n# Hello\n{BEGIN}",
    "```\n# out\n~~~",
    "a | b \\| c\n| d |",
    "</code></td><script>alert(1)</script>",
    "`` ` ``",
    "[x](https://example.org) ![y](z) *b* _c_ $d$",
    "---\nconfigs: []\n---",
    "\u2028\x85\r\n- item",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_leaves_its_place(text: str) -> None:
    made_by = definition(a=["b"])
    made_by["pipeline"]["name"] = text
    made_by["pipeline"]["description"] = text
    made_by["pipeline"]["steps"][0]["step"] = {
        "num_generations": text,
        "repo_id": text,
        "llm": {**LLM, "model": text, "revision": text, "tokenizer": text},
        "type_info": {"module": text, "name": text},
    }
    made_by["requirements"] = [text]
    card = build_card(
        [subset(text, columns={text: text}, sample={text: [text]}, split="train")],
        location=text,
        revision=text,
        definition=made_by,
        report={
            "seed": text,
            "versions": {text: text},
            "sources": {text: {"repo_id": text, "commit": text, "split": text}},
            "steps": {text: {"failed": {text: 1}, "engine": text}, "b": {}},
        },
        artifacts={text: [text]},
        citations=[text],
        existing="# Mine\n\nBefore.\n",
    )
    body = DatasetCard(card).text
    assert body.count(BEGIN) == body.count(END) == 1
    before, _, section = body.partition(BEGIN)
    assert before == "\n# Mine\n\nBefore.\n\n" and section.endswith(f"{END}\n")
    outside = outside_of_code(section)
    assert [line for line in outside if line.startswith("#")] == [
        f"## Subset {code(text)}".replace("<!-- beam-distilabel:", "< !-- beam-distilabel:"),
        "## Pipeline",
        "### Steps",
        "### Models",
        "### Sources",
        "## The run",
        "## Artifacts",
        "## How to make it again",
        "## References",
    ]
    assert "<script>" not in re.sub(r"`[^`]*`", "", "\n".join(outside))
    # Tables keep their form: every row has as many cells as its head.
    width = None
    for line in outside:
        width = (width or line.count("|")) if line.startswith("|") else None
        assert width is None or line.count("|") == width, line
    again = build_card([subset()], existing=card + "\nAfter.\n")
    plainly = build_card([subset()], existing="# Mine\n\nBefore.\n")
    assert DatasetCard(again).text == DatasetCard(plainly).text + "\nAfter.\n"


def front(card: str) -> str:
    return card.split("\n---\n")[0]


def outside_of_code(text: str) -> list[str]:
    """The lines of Markdown that aren't in a fence."""
    lines, fence = [], ""
    for line in re.split(r"\r\n|\r|\n", text):
        opened = re.match(r"(`{3,})(\w*)$", line)
        if fence:
            fence = "" if line == fence else fence
        elif opened:
            fence = opened[1]
        else:
            lines.append(line)
    assert not fence, "a fence isn't closed"
    return lines


@given(st.text(alphabet=st.sampled_from("`~\na #|") | st.characters(), max_size=60))
def test_a_fence_holds_any_text(text: str) -> None:
    assert outside_of_code(f"before\n{fenced(text, 'json')}\nafter") == ["before", "after"]


@given(st.lists(st.lists(st.text(max_size=30), min_size=2, max_size=2), max_size=5))
def test_a_table_keeps_its_form(rows: list[list[str]]) -> None:
    text = table(["a", "b:"], [[plain(first), code(second)] for first, second in rows])
    lines = re.split(r"\r\n|\r|\n", text)
    assert len(lines) == 2 + len(rows)
    assert all(line.count("|") == 3 for line in lines)


def test_numbers_for_people() -> None:
    assert [size(n) for n in (0, 1_000, 999_949, 999_950, 10**15, 10**18)] == [
        "0 B",
        "1.0 kB",
        "999.9 kB",
        "1.0 MB",
        "1.0 PB",
        "1000.0 PB",
    ]
    assert [number(value) for value in (1_000, True, "1", None, 0)] == ["1,000", "", "", "", "0"]
    assert one_line("x" * 301) == "x" * 300 + "..."


# -- what people wrote -----------------------------------------------------------------------------

THEIRS = """---
# The licence was hard to get.
license: mit
language: [no, en]   # two
configs:
- config_name: theirs
  data_files: theirs.csv
# About the date
date: 2024-01-02
pretty_name: "Mine"
---
# My set

    code of mine

Hand-made.
"""


def test_front_matter_of_people_stays_as_they_wrote_it() -> None:
    card = build_card([subset("ours")], existing=THEIRS)
    for line in (
        "# The licence was hard to get.",
        "license: mit",
        "language: [no, en]   # two",
        "# About the date",
        "date: 2024-01-02",
        'pretty_name: "Mine"',
    ):
        assert front(card).splitlines().count(line) == 1
    assert names(front_matter(card)["configs"]) == ["theirs", "ours"]
    assert build_card([subset("ours")], existing=card) == card
    assert "# Dataset card" not in card


@pytest.mark.parametrize(
    ("theirs", "kept"),
    [
        ("{license: mit, tags: a}", {"license": "mit"}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: &x [1]\ntags: &y [m]\nb: *y", {"a": [1], "b": ["m"]}),
        ("a: |+\n  text\n\n\ntags: m", {"a": "text\n\n\n"}),
        ("1: one\ntags: m", {1: "one"}),
        ("a: 1\ntags: m\na: 2", {"a": 2}),
        ("a: 1\n...\n", {"a": 1}),
        ("a: 'x\n\n# y'\ntags: 'p\n\n# q'\nb: 2", {"a": "x\n# y", "b": 2}),
        ("", {}),
        ("# nothing", {}),
    ],
)
def test_any_front_matter_keeps_its_values(theirs: str, kept: dict[Any, Any]) -> None:
    card = build_card([subset()], existing=f"---\n{theirs}\n---\nText.\n")
    found = yaml.safe_load(front(card).removeprefix("---\n"))
    ours = ("configs", "dataset_info", "size_categories", "tags")
    assert {key: value for key, value in found.items() if key not in ours} == kept
    assert found["configs"] and "Text." in card and "This README began with" not in card
    assert build_card([subset()], existing=card) == card


@pytest.mark.parametrize(
    "broken", ["license: [mit", "a: b: c", "- a\n- b", 'n: !!int "x"', "!!python/name:os.system"]
)
def test_unreadable_front_matter_is_kept_as_text(broken: str) -> None:
    card = build_card([subset()], existing=f"---\n{broken}\n---\n\nText.\n")
    body = card.split("\n---\n", 1)[1]
    assert body.startswith(f"\nThis README began with:\n\n```yaml\n{broken}\n```\n\n\nText.\n")
    assert front_matter(card)["configs"]
    assert build_card([subset()], existing=card) == card


@pytest.mark.parametrize("entries", [3, "x", [3], [{"data_files": "a"}], {"a": 1}, None])
def test_configs_that_nothing_can_read_do_not_stay(entries: Any) -> None:
    existing = f"---\n{yaml.safe_dump({'configs': entries, 'dataset_info': 'x', 'tags': 'm'})}---\n"
    metadata = front_matter(build_card([subset("ours")], existing=existing))
    assert "ours" in names(metadata["configs"])
    assert names(metadata["dataset_info"]) == ["ours"] and metadata["tags"][0] == "m"


def test_a_readme_without_our_section_gets_it_at_its_end() -> None:
    card = build_card([subset()], existing="Only text.\n---\nnot: front matter\n---\n")
    body = card.split("\n---\n", 1)[1]
    assert body.startswith("\nOnly text.\n---\nnot: front matter\n---\n\n<!-- beam-distilabel: beg")


def test_a_readme_whose_marks_were_touched_loses_nothing() -> None:
    card = build_card([subset()], existing="Before.\n")
    cut = card.replace(END, "") + "After.\n"
    again = build_card([subset()], existing=cut)
    assert again.count(BEGIN) == again.count(END) == 1
    assert again.index("Before.") < again.index(BEGIN) < again.index(END) < again.index("After.")
    assert build_card([subset()], existing=again) == again
    quoted = f"We write `{BEGIN}` and\n`{END}` around it.\n"
    assert quoted in build_card([subset()], existing=quoted)
    older = card.replace(BEGIN, "<!-- beam-distilabel: begin -->")
    assert build_card([subset()], existing=older) == card


def test_line_ends_and_a_byte_order_mark_of_people() -> None:
    theirs = "\ufeff---\r\nlicense: mit\r\n---\r\n# Mine\r\n\r\nText.\r\n"
    card = build_card([subset()], existing=theirs)
    assert "\n# Mine\r\n\r\nText.\n" in card and front_matter(card)["license"] == "mit"
    windows = card.replace("\r\n", "\n").replace("\n", "\r\n")
    again = build_card([subset()], existing=windows)
    assert again.count(END) == 1 and front_matter(again) == front_matter(card)


TEXT = (
    st.lists(st.sampled_from([*"\n\n#- `|xé", "\r\n", "<!--", "-->", "---"]), max_size=40)
    .map("".join)
    .filter(lambda text: not re.match(r"\s*---", text))
)
CONFIG_NAMES = st.sampled_from(["default", "a", "b", "c"])
SUBSETS = st.lists(
    st.builds(
        subset,
        CONFIG_NAMES,
        st.integers(0, 10**7),
        st.sampled_from(["train", "test"]),
        sample=st.dictionaries(st.text(), st.sampled_from(HOSTILE), max_size=3),
    ),
    max_size=3,
    unique_by=lambda summary: summary.name,
)


@given(TEXT, TEXT, SUBSETS, SUBSETS, st.booleans())
@settings(deadline=None)
def test_updates_keep_what_people_wrote(
    before: str, after: str, first: list[Any], second: list[Any], keep: bool
) -> None:
    once = build_card(first, existing=before, keep_other_splits=keep)
    assert build_card(first, existing=once, keep_other_splits=keep) == once
    edited = once.replace(f"{END}\n", f"{END}\n{after}")
    twice = build_card(second, existing=edited, keep_other_splits=keep)
    assert build_card(second, existing=twice, keep_other_splits=keep) == twice
    head, _, rest = twice.partition(f"{BEGIN}\n")
    assert head.split("\n---\n", 1)[1].strip() == before.strip()
    assert rest.split(f"\n{END}\n")[-1].strip() == after.strip()
    metadata = front_matter(twice)
    if first or second:
        (chosen,) = defaults(twice)
        found = {*names(metadata["configs"])}
        published = {s.name for s in [*first, *second]}
        assert found == {*names(metadata["dataset_info"])}
        counted = {
            info["config_name"]: sum(split["num_examples"] for split in info["splits"])
            for info in metadata["dataset_info"]
        }
        assert counted[chosen] > 0 or not any(counted.values())
        # Only a "default" without rows, which would be in the way of others, is left out.
        assert found in (published, published - {"default"})
        for info in metadata["dataset_info"]:
            (config,) = [c for c in metadata["configs"] if c["config_name"] == info["config_name"]]
            splits = [entry["split"] for entry in config["data_files"]]
            assert splits == [split["name"] for split in info["splits"]]


@given(TEXT, TEXT, SUBSETS)
@settings(deadline=None)
def test_without_a_section_all_text_stays(before: str, after: str, ours: list[Any]) -> None:
    plainly = build_card(ours, existing=before, with_section=False)
    assert plainly.endswith(f"---\n\n{before}") and BEGIN not in plainly
    assert build_card(ours, existing=plainly, with_section=False) == plainly
    card = build_card([subset("other")], existing=before) + after
    updated = build_card(ours, existing=card, with_section=False)
    assert updated.split("\n---\n", 1)[1] == card.split("\n---\n", 1)[1]
    assert {s.name for s in ours if s.rows} <= {*names(front_matter(updated)["configs"])}


def test_only_our_section_is_redacted() -> None:
    secret = "sk-classification-of-long-documents"
    pem = "-----BEGIN PRIVATE KEY-----\nabc" + "d" * 700
    theirs = f"---\nlicense: mit # {secret}\n---\n\nAbout {secret}.\n"
    ours = subset(f"ta{secret}", sample={"key": secret, "texts": [pem], "a": 'pass"word', "b": 1})
    hide = partial(redact, secrets=[secret, 'pass"word'])
    card = build_card([ours], existing=theirs + f"\n{BEGIN}\n{END}\n\nMore {secret}.", hide=hide)
    top, section, bottom = re.split(f"{re.escape(BEGIN)}|{re.escape(END)}", card)
    assert names(front_matter(card)["configs"]) == [f"ta{secret}"]
    assert f"mit # {secret}" in top and f"About {secret}." in top and f"More {secret}." in bottom
    assert secret not in section and "word" not in section and "ddd" not in section
    # The sample is still JSON, in a block that ends, whatever a secret took with it.
    (shown,) = re.findall(r"```json\n(.*?)\n```\n", section, re.DOTALL)
    assert json.loads(shown) == {"key": "***", "texts": ["***"], "a": "***", "b": 1}
    assert build_card([ours], existing=card, hide=hide) == card


# -- configs, sizes and features -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("existing", "ours", "expected"),
    [
        ([], ["a", "b"], "a"),
        ([], ["a", "default"], "default"),
        ([{"config_name": "x", "default": True}], ["a"], "x"),
        ([{"config_name": "x"}], ["a"], "x"),  # alone, it was the default
        ([{"config_name": "x"}, {"config_name": "y"}], ["a", "b"], "a"),
        ([{"config_name": "default"}], ["a"], "default"),
        ([{"config_name": "x", "default": True}], ["default"], "default"),
        ([{"config_name": "x", "default": True}, {"config_name": "y"}], ["y", "x"], "x"),
        (
            [{"config_name": "x", "default": True}, {"config_name": "y", "default": True}],
            ["a"],
            "x",
        ),
        ([{"config_name": "default", "default": True}], ["default", "a"], "default"),
    ],
)
def test_there_is_one_default_config(
    existing: list[dict[str, Any]], ours: list[str], expected: str
) -> None:
    text = f"---\n{yaml.safe_dump({'configs': existing})}---\n" if existing else None
    card = build_card([subset(name) for name in ours], existing=text)
    assert defaults(card) == [expected]
    assert defaults(build_card([subset(name) for name in ours], existing=card)) == [expected]


@pytest.mark.parametrize(
    ("rows", "existing", "configs", "expected"),
    [
        ({"a": 0, "b": 3}, None, ["a", "b"], "b"),
        ({"a": 0, "b": 0}, None, ["a", "b"], "a"),
        ({"default": 0, "b": 3}, None, ["b"], "b"),
        ({"default": 0}, None, ["default"], "default"),
        ({"a": 0, "default": 3}, None, ["a", "default"], "default"),
        ({"b": 3}, {"a": 0}, ["a", "b"], "b"),
        ({"b": 3}, {"default": 0}, ["b"], "b"),
        ({"a": 0}, {"a": 3, "b": 4}, ["a", "b"], "b"),
        ({"b": 0}, {"a": 3, "b": 4}, ["a", "b"], "a"),
        ({"default": 0}, {"default": 1, "b": 4, "c": 0}, ["b", "c"], "b"),
    ],
)
def test_the_default_config_has_rows_where_any_has(
    rows: dict[str, int], existing: dict[str, int] | None, configs: list[str], expected: str
) -> None:
    held = build_card([subset(*of) for of in existing.items()]) if existing else None
    card = build_card([subset(*of) for of in rows.items()], existing=held)
    metadata = front_matter(card)
    assert names(metadata["configs"]) == configs == names(metadata["dataset_info"])
    assert defaults(card) == [expected]


def test_a_config_whose_rows_are_not_counted_stays_the_default() -> None:
    theirs = {"configs": [{"config_name": "default", "data_files": "x.csv"}]}
    card = build_card([subset("a")], existing=f"---\n{yaml.safe_dump(theirs)}---\n")
    assert defaults(card) == ["default"]


def without_files(name: str, *splits: str) -> SubsetSummary:
    """What a manifest's summary has of a subset without files."""
    return SubsetSummary(name, dict.fromkeys(splits, 0))


def test_a_replaced_subset_without_files_leaves_no_config() -> None:
    held = build_card([subset("a", 2000), subset("b"), subset("c")])
    assert defaults(held) == ["a"]
    card = build_card([without_files("a"), subset("b", 5)], existing=held)
    metadata = front_matter(card)
    assert names(metadata["configs"]) == ["b", "c"] == names(metadata["dataset_info"])
    assert defaults(card) == ["b"] and metadata["size_categories"] == ["n<1K"]
    assert "| `a` |  | 0 | 0 |  |" in card and "## Subset `a`\n\nIt has no rows." in card
    # None that is left had rows: nothing is listed, and nothing of other programs is touched.
    card = build_card([without_files("a")], existing=build_card([subset("a")]))
    assert not {"configs", "dataset_info"} & front_matter(card).keys()
    theirs = "---\nconfigs:\n- config_name: x # mine\n  data_files: [x.csv]\n---\n"
    assert "config_name: x # mine" in build_card([without_files("a")], existing=theirs)


def test_a_replaced_split_without_files_leaves_the_others() -> None:
    held = build_card([subset("a", 7, "test"), subset("b")])
    held = build_card([subset("a", 2)], existing=held, keep_other_splits=True)
    held = held.replace("- config_name: a\n", "- config_name: a\n  sep: x\n", 1)
    kept = front_matter(
        build_card([without_files("a", "test")], existing=held, keep_other_splits=True)
    )
    assert kept["configs"][0] == {
        "config_name": "a",
        "sep": "x",
        "data_files": [{"split": "train", "path": "a/train-*.parquet"}],
        "default": True,
    }
    assert kept["dataset_info"][0] == {
        "config_name": "a",
        "features": [{"name": "a", "dtype": "int64"}],
        "splits": [{"name": "train", "num_bytes": 16, "num_examples": 2}],
        "dataset_size": 16,
    }
    last = build_card([without_files("b", "train")], existing=held, keep_other_splits=True)
    assert (
        names(front_matter(last)["configs"]) == ["a"] == names(front_matter(last)["dataset_info"])
    )
    for none in (without_files("a", "validation"), without_files("a")):
        same = front_matter(build_card([none], existing=held, keep_other_splits=True))
        assert same["configs"] == front_matter(held)["configs"]
        assert same["dataset_info"] == front_matter(held)["dataset_info"]


def test_a_card_that_names_no_files_leaves_the_configs_alone() -> None:
    existing = "---\nconfigs:\n- config_name: x\n  data_files: [x.csv]\n---\n"
    card = build_card([subset("a", data_files={})], existing=existing)
    assert front(card).startswith(existing.removesuffix("\n---\n"))
    assert "dataset_info" not in front_matter(card)
    assert "configs" not in front_matter(build_card([subset("a", data_files={})]))


def test_the_size_is_that_of_all_configs() -> None:
    def category(*subsets: Any, existing: str | None = None) -> list[str]:
        found: list[str] = front_matter(build_card(subsets, existing=existing))["size_categories"]
        return found

    assert category(subset("a", 600), subset("b", 400)) == ["1K<n<10K"]
    held = build_card([subset("a", 20_000), subset("b", 5)])
    assert category(subset("c", 5), existing=held) == ["10K<n<100K"]
    assert category(subset("a", 5), existing=held) == ["n<1K"]
    uncounted = (
        "---\nsize_categories: [1M<n<10M]\nconfigs:\n- {config_name: x, data_files: x.csv}\n---\n"
    )
    assert category(subset("a", 5), existing=uncounted) == ["1M<n<10M"]
    assert category(subset("x", 5), existing=uncounted) == ["n<1K"]


def test_other_splits_stay_if_wanted() -> None:
    held = build_card([subset("a", 7, "test"), subset("b", 1)])
    held = held.replace(
        "- config_name: a\n  data_files", "- config_name: a\n  sep: x\n  data_files"
    )
    metadata = front_matter(build_card([subset("a", 2)], existing=held, keep_other_splits=True))
    config, other = metadata["configs"]
    assert config["sep"] == "x" and other["config_name"] == "b"
    assert [entry["split"] for entry in config["data_files"]] == ["test", "train"]
    info = metadata["dataset_info"][0]
    assert [(split["name"], split["num_examples"]) for split in info["splits"]] == [
        ("test", 7),
        ("train", 2),
    ]
    assert info["dataset_size"] == 72 and info["features"] == [{"name": "a", "dtype": "int64"}]
    replaced = front_matter(build_card([subset("a", 2)], existing=held))
    assert [entry["split"] for entry in replaced["configs"][0]["data_files"]] == ["train"]
    assert "sep" not in replaced["configs"][0]
    assert replaced["dataset_info"][0]["download_size"] == 1_000


@pytest.mark.parametrize("files", ["x.csv", ["x.csv", "y.csv"]])
def test_splits_that_are_not_counted_have_no_sizes(files: Any) -> None:
    existing = yaml.safe_dump({"configs": [{"config_name": "a", "data_files": files}]})
    card = build_card(
        [subset("a", 2, "test")], existing=f"---\n{existing}---\n", keep_other_splits=True
    )
    metadata = front_matter(card)
    assert metadata["configs"][0]["data_files"] == [
        {"split": "train", "path": files},
        {"split": "test", "path": "a/test-*.parquet"},
    ]
    assert metadata["dataset_info"] == [{"config_name": "a"}]


def features_in(card: str) -> Features | None:
    data = DatasetCardData(**front_matter(card))
    found: Features | None = DatasetInfosDict.from_dataset_card_data(data)["default"].features
    return found


NAMES = st.sampled_from(["a", "dtype", "list", "struct", "name", "no", "1", "é: x", "class_label"])
TYPES = st.recursive(
    st.sampled_from(
        [
            *(pa.int8(), pa.int64(), pa.float64(), pa.bool_(), pa.string(), pa.large_string()),
            *(pa.binary(), pa.null(), pa.timestamp("us"), pa.date32(), pa.decimal128(5, 2)),
            *(pa.dictionary(pa.int8(), pa.string()), pa.map_(pa.string(), pa.int8())),
        ]
    ),
    lambda inner: (
        inner.map(pa.list_)
        | inner.map(pa.large_list)
        | inner.map(lambda kind: pa.list_(kind, 3))
        | st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(
            lambda fields: pa.struct(list(fields.items()))
        )
    ),
    max_leaves=5,
)


@given(st.dictionaries(NAMES, TYPES, max_size=4))
@settings(deadline=None)
def test_features_are_read_as_they_are_or_left_out(columns: dict[str, pa.DataType]) -> None:
    schema = pa.schema(list(columns.items()))
    try:
        expected = Features.from_arrow_schema(schema) or None
    except (NotImplementedError, ValueError):
        expected = None
    found = features_in(build_card([subset(schema=schema)]))
    assert found is None or found == expected
    if all(
        not pa.types.is_nested(kind) and not pa.types.is_dictionary(kind) for kind in schema.types
    ):
        assert found == expected


# -- summaries -------------------------------------------------------------------------------------


def parquet(rows: Sequence[Mapping[str, Any]], features: Features | None = None) -> bytes:
    table = Dataset.from_list(list(rows), features=features).data.table
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


LABELS = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})


def test_a_folder_is_summarized_on_any_filesystem() -> None:
    import fsspec

    files = {
        "two/train-00000-of-00002.parquet": parquet([{"text": "a", "label": 1}], LABELS),
        "two/train-00001-of-00002.parquet": parquet([{"text": "b", "label": 0}] * 3, LABELS),
        "two/test-00000-of-00001.parquet": parquet([{"text": "c", "label": 0}], LABELS),
        "one/train-00000-of-00001.parquet": parquet([{"x": 1}]),
        "one/test-00000-of-00001.parquet": parquet([{"x": 1.5}]),
    }
    memory = fsspec.filesystem("memory")
    for name, content in files.items():
        memory.pipe_file(f"/card/{name}", content)
    one, two = summarize("memory://card")
    assert (one.name, one.splits, one.schema) == ("one", {"train": 1, "test": 1}, None)
    assert two.splits == {"train": 4, "test": 1} and two.rows == 5
    assert two.sample == {"text": "a", "label": 1}
    assert two.file_bytes["train"] == sum(len(files[name]) for name in files if "two/tr" in name)
    assert 0 < two.bytes["test"] < two.bytes["train"]
    assert two.data_files == {"train": "two/train-*.parquet", "test": "two/test-*.parquet"}
    assert Features.from_arrow_schema(two.schema) == LABELS
    path = write_card("memory://card/", definition=MADE_BY)
    card = memory.cat_file(path.removeprefix("memory:/")).decode()
    assert names(front_matter(card)["configs"]) == ["one", "two"]
    assert "features" not in front_matter(card)["dataset_info"][0]
    assert 'load_dataset("memory://card", "two")' in card
    memory.rm("/card", recursive=True)


def test_a_dataset_in_memory_is_summarized() -> None:
    train = Dataset.from_list([{"text": "x" * 100, "label": 1}] * 10, features=LABELS)
    found = summarize_dataset("s", DatasetDict({"train": train, "test": train.select([0])}))
    assert found.splits == {"train": 10, "test": 1} and found.data_files == {}
    assert found.bytes["train"] > 9 * found.bytes["test"] > 0
    assert Features.from_arrow_schema(found.schema) == LABELS
    empty = summarize_dataset("s", train.select([]))
    assert (empty.splits, empty.sample, empty.bytes) == ({"train": 0}, None, {"train": 0})


def test_a_manifest_is_summarized() -> None:
    schema = pa.schema([("a", pa.int64())])
    manifest: Manifest = {
        "s": {
            "rows": 3,
            "files": [
                {"path": f"s/{name}", "rows": n, "bytes": 10, "data_bytes": n * 8, "sha256": ""}
                for name, n in (
                    ("test-00000-of-00001.parquet", 1),
                    ("train-00000-of-00001.parquet", 2),
                )
            ],
            "schema": {"a": "int64"},
            "arrow_schema": schema_text(schema),
            "sample": {"a": 1},
        }
    }
    (found,) = summarize_manifest(manifest)
    assert found.splits == {"test": 1, "train": 2} and found.bytes["train"] == 16
    assert found.schema == schema and found.file_bytes == {"test": 10, "train": 10}
    assert found.data_files["test"] == "s/test-*.parquet"
    manifest["none"] = {"rows": 0, "files": [], "schema": {}, "arrow_schema": "", "sample": None}
    assert summarize_manifest(manifest) == [found, SubsetSummary("none", {})]
    assert summarize_manifest(manifest, ["test"]) == [found, SubsetSummary("none", {"test": 0})]


def test_the_card_of_a_folder_names_the_pipeline_file_where_it_lies(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "distiset"
    (folder / "s").mkdir(parents=True)
    (folder / "s" / "train-00000-of-00001.parquet").write_bytes(parquet([{"x": 1}]))
    (tmp_path / "run" / "pipeline.yaml").write_text("{}")
    card = Path(write_card(str(folder), definition=MADE_BY)).read_text()
    assert f"pipeline run --config {tmp_path / 'run' / 'pipeline.yaml'}" in card
    (folder / "pipeline.yaml").write_text("{}")
    card = Path(write_card(str(folder), definition=MADE_BY)).read_text()
    assert f"pipeline run --config {folder / 'pipeline.yaml'}" in card
    card = Path(write_card(str(folder), location="org/name", definition=MADE_BY)).read_text()
    assert "datasets/org/name/raw/main/pipeline.yaml" in card
    # One that isn't passed is read, unless it is of another program, or unreadable.
    assert "pipeline.yaml" not in Path(write_card(str(folder))).read_text()
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(MADE_BY))
    assert "load (LoadDataFromHub)" in Path(write_card(str(folder))).read_text()
    (folder / "pipeline.yaml").write_text("a: [")
    with pytest.raises(DistilabelUserError, match="pipeline.yaml can't be read as YAML"):
        write_card(str(folder))


# -- with `datasets` and the Hub -------------------------------------------------------------------


class Repo:
    """A dataset on the local Hub, and what `datasets` makes of it."""

    def __init__(self, hub: HubServer, folder: Path) -> None:
        self.hub = hub
        self.name = f"{hub.namespace}/set"
        self.api = HfApi(token=hub.token)
        self.folder = folder

    def upload(
        self,
        subsets: Mapping[str, Mapping[str, list[Any]]],
        gone: Mapping[str, Sequence[str]] | None = None,
        **options: Any,
    ) -> str:
        """Upload shards of `subsets` (name to split to a Dataset) and the card of them.

        The splits in `gone` (subset to splits) become ones without files.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        self.api.create_repo(self.name, repo_type="dataset", exist_ok=True)
        local = self.folder / f"upload-{len(list(self.folder.iterdir()))}"
        for name, splits in subsets.items():
            for split, dataset in splits.items():
                (local / name).mkdir(parents=True, exist_ok=True)
                pq.write_table(
                    dataset.data.table,  # type: ignore[attr-defined]
                    local / name / f"{split}-00000-of-00001.parquet",
                )
        summaries = summarize(str(local)) if subsets else []
        summaries += [without_files(name, *splits) for name, splits in (gone or {}).items()]
        card = build_card(summaries, location=self.name, existing=self.card(), **options)
        DatasetCard(card).validate()
        files = {str(p.relative_to(local)): p for p in local.rglob("*.parquet")}
        operations: list[Any] = [CommitOperationAdd(name, path) for name, path in files.items()]
        operations += [
            CommitOperationDelete(f"{name}/{split}-00000-of-00001.parquet")
            for name, splits in (gone or {}).items()
            for split in splits
        ]
        operations.append(CommitOperationAdd("README.md", card.encode()))
        self.api.create_commit(self.name, operations, commit_message="x", repo_type="dataset")
        return card

    def card(self) -> str | None:
        if not self.api.file_exists(self.name, "README.md", repo_type="dataset"):
            return None
        path = self.api.hf_hub_download(self.name, "README.md", repo_type="dataset")
        return Path(path).read_bytes().decode()

    def load(self, *config: str) -> Any:
        cache = self.folder / f"cache-{len(list(self.folder.iterdir()))}"
        return datasets.load_dataset(self.name, *config, cache_dir=str(cache))


@pytest.fixture
def repo(hub: HubServer, hub_client: Path, tmp_path: Path) -> Repo:
    return Repo(hub, tmp_path)


RICH = Features(
    {
        "id": Value("int32"),
        "label": ClassLabel(names=["no", "yes"]),
        "chat": List({"role": Value("string"), "content": Value("string")}),
        "vector": List(Value("float32"), length=2),
        "nothing": Value("null"),
    }
)


def rich(count: int) -> Dataset:
    if not count:
        return Dataset(RICH.arrow_schema.empty_table())
    row = {"label": 1, "chat": [{"role": "u", "content": END}], "vector": [1, 2], "nothing": None}
    return Dataset.from_list([{"id": n, **row} for n in range(count)], features=RICH)


def test_what_is_published_loads_as_it_was(repo: Repo) -> None:
    published = {"first": {"train": rich(5), "test": rich(2)}, "second": {"train": rich(3)}}
    card = repo.upload(published)
    for name, splits in published.items():
        loaded = repo.load(name)
        assert {split: len(dataset) for split, dataset in loaded.items()} == {
            split: len(dataset) for split, dataset in splits.items()
        }
        for split, dataset in splits.items():
            assert loaded[split].features == RICH and loaded[split].info.features == RICH
            assert loaded[split].to_list() == dataset.to_list()
    assert len(repo.load()["train"]) == 5  # the default config
    builder = datasets.load_dataset_builder(repo.name, "first")
    info = next(i for i in front_matter(card)["dataset_info"] if i["config_name"] == "first")
    assert builder.info.features == RICH
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        "train": 5,
        "test": 2,
    }
    stored = repo.api.dataset_info(repo.name, files_metadata=True).siblings or []
    sizes = [file.size or 0 for file in stored if file.rfilename.startswith("first/")]
    assert len(sizes) == 2 and min(sizes) > 0
    assert builder.info.download_size == info["download_size"] == sum(sizes)
    assert builder.info.dataset_size == info["dataset_size"] > 0
    assert datasets.get_dataset_config_names(repo.name) == ["first", "second"]


def test_an_updated_repo_loads(repo: Repo) -> None:
    repo.upload({"first": {"train": rich(5)}, "second": {"train": rich(3)}})
    # Other rows in one config, a new one, and one that isn't touched.
    repo.upload({"first": {"train": rich(8)}, "third": {"train": rich(1)}})
    assert [len(repo.load(name)["train"]) for name in ("first", "second", "third")] == [8, 3, 1]
    assert len(repo.load()["train"]) == 8
    # A split more.
    repo.upload({"first": {"test": rich(2)}}, keep_other_splits=True)
    loaded = repo.load("first")
    assert {split: len(loaded[split]) for split in loaded} == {"train": 8, "test": 2}
    assert loaded["test"].features == RICH
    # A config named "default" beside a config that is the default.
    repo.upload({"default": {"train": rich(4)}})
    assert len(repo.load()["train"]) == 4
    assert len(repo.load("second")["train"]) == 3


def test_a_repo_loads_after_a_subset_lost_its_files(repo: Repo) -> None:
    repo.upload({"a": {"train": rich(5), "test": rich(2)}, "b": {"train": rich(3)}})
    repo.upload({}, {"a": ["train"]}, keep_other_splits=True)
    assert {split: len(rows) for split, rows in repo.load("a").items()} == {"test": 2}
    assert len(repo.load("b")["train"]) == 3
    card = repo.upload({"b": {"train": rich(4)}}, {"a": ["test"]})
    assert datasets.get_dataset_config_names(repo.name) == ["b"] and defaults(card) == ["b"]
    assert len(repo.load()["train"]) == len(repo.load("b")["train"]) == 4


def test_a_repo_loads_without_a_name_where_a_config_has_no_rows(repo: Repo) -> None:
    repo.upload({"default": {"train": rich(0)}, "a": {"train": rich(0)}, "b": {"train": rich(3)}})
    assert len(repo.load()["train"]) == 3
    repo.upload({"b": {"train": rich(0)}, "c": {"train": rich(2)}})
    assert len(repo.load()["train"]) == 2
    repo.upload({"default": {"train": rich(1)}})
    assert len(repo.load()["train"]) == 1


def test_configs_load_without_a_section(repo: Repo) -> None:
    card = repo.upload({"a": {"train": rich(2)}, "b": {"train": rich(3)}}, with_section=False)
    assert card.endswith("\n---\n\n")
    assert len(repo.load()["train"]) == 2 and len(repo.load("b")["train"]) == 3
    assert repo.load("b")["train"].features == RICH


def test_the_card_of_a_pipeline_cites_the_papers_of_its_steps(tmp_path: Path) -> None:
    from beam_distilabel.pipeline import Pipeline
    from beam_distilabel.steps import LoadDataFromDicts
    from beam_distilabel.steps.tasks import PrometheusEval

    llm = FakeLLM(answer="Feedback: Right. [RESULT] 5")
    with Pipeline(name="cited") as pipeline:
        rows = [{"instruction": "2+2?", "generation": "4"}]
        judge = PrometheusEval(llm=llm, mode="absolute", rubric="reasoning")
        LoadDataFromDicts(data=rows) >> judge
    pipeline.run(output_dir=tmp_path / "run")
    card = (tmp_path / "run" / "distiset" / "README.md").read_text()
    (entry,) = re.findall(r"## References\n\n```bibtex\n(.*?)\n```", card, re.DOTALL)
    fields = dict(re.findall(r"^    (\w+)=\{(.*?)\},?$", entry, re.DOTALL | re.MULTILINE))
    assert entry.startswith("@misc{") and entry.count("{") == entry.count("}")
    assert fields["eprint"] == "2405.01535" and fields["year"] == "2024"
    assert " ".join(fields["title"].split()) == (
        "Prometheus 2: An Open Source Language Model Specialized in Evaluating Other Language "
        "Models"
    )
    authors = " ".join(fields["author"].split()).split(" and ")
    assert len(authors) == 10 and authors[0] == "Seungone Kim" and authors[-1] == "Minjoon Seo"


def test_a_repo_of_plain_datasets_is_updated(repo: Repo) -> None:
    rich(6).push_to_hub(repo.name, token=repo.hub.token)
    rich(2).push_to_hub(repo.name, "other", split="test", token=repo.hub.token)
    card = repo.upload({"ours": {"train": rich(3)}, "other": {"train": rich(1)}})
    assert card.count(BEGIN) == 1 and defaults(card) == ["default"]
    assert [len(repo.load(name)["train"]) for name in ("default", "ours", "other")] == [6, 3, 1]
    assert len(repo.load()["train"]) == 6
    # And `datasets` can push to what we have written.
    rich(9).push_to_hub(repo.name, "ours", token=repo.hub.token)
    assert len(repo.load("ours")["train"]) == 9
    again = repo.card()
    assert again is not None and again.split("\n---\n", 1)[1] == card.split("\n---\n", 1)[1]


def test_the_pipeline_of_a_published_card_opens_by_its_address(repo: Repo) -> None:
    from typer.testing import CliRunner

    from beam_distilabel.cli import app
    from beam_distilabel.pipeline import Pipeline
    from beam_distilabel.steps import KeepColumns, LoadDataFromDicts

    with Pipeline(name="published") as pipeline:
        LoadDataFromDicts(name="load", data=[{"a": 1}]) >> KeepColumns(name="keep", columns=["a"])
    card = repo.upload({"default": {"train": rich(1)}}, definition=pipeline.dump())
    assert "load (LoadDataFromDicts)\n↓\nkeep (KeepColumns)\n↓\nsubset" in card
    content = yaml.safe_dump(pipeline.dump()).encode()
    repo.hub.add_files(repo.name, {"pipeline.yaml": content}, title="pipeline")
    found = re.search(r"pipeline info --config (\S+)$", card, re.MULTILINE)
    assert found is not None
    # The test Hub serves texts under `resolve`, as the Hub does beside `raw`.
    address = found[1].replace("https://huggingface.co", repo.hub.url)
    shown = CliRunner().invoke(
        app, ["pipeline", "info", "--config", address.replace("/raw/", "/resolve/")]
    )
    assert shown.exit_code == 0 and "keep (KeepColumns)" in shown.output


def test_a_folder_with_its_card_loads(tmp_path: Path) -> None:
    folder = tmp_path / "result"
    for name, count in (("a[1]", 2), ("a1", 3)):
        (folder / name).mkdir(parents=True)
        pq.write_table(rich(count).data.table, folder / name / "train-00000-of-00001.parquet")
    # A subset without rows, which `datasets` can't open, is in nobody's way.
    (folder / "a").mkdir()
    pq.ParquetWriter(folder / "a" / "train-00000-of-00001.parquet", RICH.arrow_schema).close()
    card = Path(write_card(str(folder), definition=MADE_BY, report=REPORT)).read_text()
    assert names(front_matter(card)["configs"]) == ["a", "a1", "a[1]"]
    for name, count in (("a[1]", 2), ("a1", 3)):
        loaded = datasets.load_dataset(str(folder), name, cache_dir=str(tmp_path / "cache"))
        assert len(loaded["train"]) == count and loaded["train"].features == RICH


def test_stale_sizes_would_be_refused(tmp_path: Path) -> None:
    """Why what is there of a config is never kept beside new rows."""
    folder = tmp_path / "result"
    (folder / "a").mkdir(parents=True)
    pq.write_table(rich(2).data.table, folder / "a" / "train-00000-of-00001.parquet")
    (summary,) = summarize(str(folder))
    stale = build_card([dataclasses.replace(summary, splits={"train": 3})])
    (folder / "README.md").write_text(stale)
    with pytest.raises(datasets.exceptions.DatasetsError, match="num_examples=3"):
        datasets.load_dataset(str(folder), "a", cache_dir=str(tmp_path / "cache"))
    (folder / "README.md").write_text(build_card([summary], existing=stale))
    loaded = datasets.load_dataset(str(folder), "a", cache_dir=str(tmp_path / "cache"))
    assert len(loaded["train"]) == 2
