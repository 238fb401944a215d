"""Pictures of pipelines: what is in them, where it is, and that nothing in a name gets out."""

from __future__ import annotations

import io
import socket
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings, strategies as st

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline import Pipeline, Route, routing_batch_function, sample_n_steps
from beam_distilabel.pipeline.drawing import svg_of
from beam_distilabel.pipeline.drawing.colours import COLOURS
from beam_distilabel.pipeline.drawing.layers import Spot, arrange
from beam_distilabel.pipeline.drawing.mermaid import to_mermaid
from beam_distilabel.pipeline.drawing.picture import picture_of
from beam_distilabel.pipeline.drawing.scheme import scheme_of
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts, LoadDataFromHub
from beam_distilabel.steps.tasks import TextGeneration
from tests.fakes import FakeLLM
from tests.pipeline.fakes import Add

SVG = "{http://www.w3.org/2000/svg}"


def diamond(name: str = "diamond") -> Pipeline:
    with Pipeline(name=name) as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"instruction": "Say hi.", "id": 1}])
        asked = [TextGeneration(name=f"ask_{tag}", llm=FakeLLM(tag=tag)) for tag in "ab"]
        keep = KeepColumns(name="keep", columns=["instruction", "generation"])
        _ = load >> sample_n_steps(1) >> asked >> keep
    return pipeline


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


# ---------------------------------------------------------------------------------- what is drawn


def test_steps_routers_subsets_and_columns() -> None:
    svg = diamond()._repr_html_()
    said = texts(svg)
    for text in ("load", "ask_a", "ask_b", "keep", "KeepColumns", "TextGeneration · FakeLLM"):
        assert text in said
    assert said.count("sample_n_steps(n=1)") == 1
    assert (said.count("default"), said.count("subset")) == (1, 1)
    # The columns of the data, of both Tasks, and of KeepColumns.
    assert (said.count("instruction"), said.count("generation"), said.count("id")) == (2, 3, 1)
    scheme = scheme_of(diamond().graph)
    named = {(scheme.nodes[a].title, scheme.nodes[b].title) for a, b in scheme.edges}
    router = "sample_n_steps(n=1)"
    assert named == {
        ("load", router), (router, "ask_a"), (router, "ask_b"), ("ask_a", "keep"),
        ("ask_b", "keep"), ("keep", "default"),
    }  # fmt: skip


def test_a_route() -> None:
    with Pipeline(name="route") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": 1, "kind": "a"}])
        first, rest = Add(name="first"), Add(name="rest")
        _ = load >> Route("kind", to={"a": first}, default=rest, description="By its <kind>.")
    svg = pipeline._repr_html_()
    assert "Route(kind)" in texts(svg)
    assert "By its &lt;kind&gt;." in svg


def test_every_leaf_has_its_subset() -> None:
    with Pipeline(name="leaves") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": 1}])
        _ = load >> [Add(name="one"), Add(name="other")]
    said = texts(pipeline._repr_html_())
    assert (said.count("one"), said.count("other"), said.count("subset")) == (2, 2, 2)


def test_many_columns_are_counted() -> None:
    with Pipeline(name="many") as pipeline:
        LoadDataFromDicts(name="load", data=[{f"column {n}": n for n in range(9)}])
    said = texts(pipeline._repr_html_())
    assert [text for text in said if "column" in text] == ["column 0", "column 1", "column 2"]
    assert "and 6 more" in said
    assert "column 8" in pipeline._repr_html_()  # in the box's title


def test_without_labels(tmp_path: Path) -> None:
    file = diamond().draw(tmp_path / "plain.svg", show_edge_labels=False)
    assert "instruction" not in texts(Path(file).read_text())


def test_no_steps() -> None:
    assert texts(Pipeline(name="nothing")._repr_html_()) == []


def test_a_step_whose_outputs_raise_is_drawn_without_columns() -> None:
    class Broken(Add):
        @property
        def outputs(self) -> list[str]:
            raise RuntimeError("not yet")

    with Pipeline(name="broken") as pipeline:
        _ = LoadDataFromDicts(name="load", data=[{"x": 1}]) >> Broken(name="broken")
    assert "broken" in texts(pipeline._repr_html_())


def test_nothing_is_read_and_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError("a picture needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with Pipeline(name="hub") as pipeline:
        _ = LoadDataFromHub(name="load", repo_id="someone/something") >> Add(name="add")
    assert "LoadDataFromHub" in texts(pipeline._repr_html_())


# ---------------------------------------------------------------------------------------- formats


def test_the_formats(tmp_path: Path) -> None:
    pipeline = diamond()
    svg = pipeline.draw(tmp_path / "a.svg")
    assert svg == str(tmp_path / "a.svg")
    assert Path(svg).read_text() == pipeline._repr_html_()
    mermaid = Path(pipeline.draw(tmp_path / "a.mmd", top_to_bottom=True)).read_text().splitlines()
    assert mermaid[0] == "flowchart TD"
    assert '    n1{{"sample_n_steps(n=1)"}}' in mermaid
    assert "    n1 -.-> n2" in mermaid
    assert '    n2 -->|"generation"| n4' in mermaid
    assert '    n5(["default<br>subset"])' in mermaid
    same = pipeline.draw(tmp_path / "a.txt", top_to_bottom=True, format="mermaid")
    assert Path(same).read_text().splitlines() == mermaid


def test_folders_are_made_and_what_stands_in_their_way_is_told(tmp_path: Path) -> None:
    assert Path(diamond().draw(tmp_path / "new" / "er" / "a.svg")).is_file()
    (tmp_path / "file").touch()
    with pytest.raises(DistilabelUserError, match="file/a.svg' can't be written"):
        diamond().draw(tmp_path / "file" / "a.svg")


@pytest.mark.parametrize("downwards", [False, True])
def test_a_png(tmp_path: Path, downwards: bool) -> None:
    from PIL import Image

    pipeline = diamond()
    image = Image.open(io.BytesIO(Path(pipeline.draw(tmp_path / "a.png", downwards)).read_bytes()))
    picture = picture_of(scheme_of(pipeline.graph), downwards, True)
    assert image.size == (round(picture.width * 4) // 2, round(picture.height * 4) // 2)
    assert (image.width > image.height) is not downwards
    for box in picture.boxes:  # each has its colour, beside the text
        at = (round((box.x - box.width / 2 + 9) * 2), round(box.y * 2))
        fill = COLOURS[box.kind][0]
        assert image.convert("RGB").getpixel(at) == tuple(bytes.fromhex(fill[1:]))


def test_by_default_a_png_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert diamond().draw() == "pipeline.png"
    assert (tmp_path / "pipeline.png").read_bytes()[:4] == b"\x89PNG"


def test_formats_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DistilabelUserError, match=r"says no format.*There are: png, svg"):
        diamond().draw(tmp_path / "a.jpeg")
    with pytest.raises(DistilabelUserError, match="format='svgs' says no .* Did you mean 'svg'"):
        diamond().draw(tmp_path / "a.png", format="svgs")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DistilabelUserError, match=r"pip install 'beam-distilabel\[draw\]'"):
        diamond().draw(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------------------- hostile


@settings(max_examples=60, deadline=None)
@given(
    st.text(
        st.sampled_from("</svg>&\"'#;|]})`\n\x00\ud800\U0001f600") | st.characters(), max_size=30
    )
)
def test_no_text_gets_out_of_its_place(text: str) -> None:
    """Whatever the pipeline, its columns and its routers are called."""

    @routing_batch_function
    def choose(steps: list[str]) -> list[str]:
        return steps

    choose.routing_function.__name__ = text.replace("\x00", "")
    with Pipeline(name="hostile") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{f"<script>{text}": 1, text: 2, "x": 3}])
        _ = load >> choose >> [Add(name="a", column=text), Add(name="b")]
    svg = svg_of(pipeline.graph, text)
    known = {f"{SVG}{tag}" for tag in ("svg", "title", "rect", "path", "polygon", "g", "text")}
    assert {element.tag for element in ElementTree.fromstring(svg).iter()} == known
    for line in to_mermaid(scheme_of(pipeline.graph), False, True).splitlines():
        assert line.count('"') in (0, 2)
        assert "<script" not in line


# ---------------------------------------------------------------------------------------- layout


@st.composite
def graphs(draw: Any) -> tuple[list[Spot], list[tuple[int, int]]]:
    count = draw(st.integers(1, 14))
    size = st.floats(1, 200)
    spots = [Spot(draw(size), draw(size), draw(size)) for _ in range(count)]
    pairs = [(a, b) for b in range(count) for a in range(b)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=30)) if pairs else []
    return spots, edges


@settings(max_examples=80, deadline=None)
@given(graphs())
def test_nothing_is_on_top_of_another(graph: tuple[list[Spot], list[tuple[int, int]]]) -> None:
    spots, edges = graph
    places = arrange(spots, edges, gap=10)
    assert places == arrange(spots, edges, gap=10)
    boxes = sorted(zip(places.nodes, spots, strict=True), key=lambda box: box[0])
    for (place, spot), (other, next_spot) in pairwise(boxes):
        if place.main == other.main:
            assert other.cross - place.cross >= (spot.across + next_spot.across) / 2 + 9.99
        else:
            assert other.main >= place.main + spot.along
    for place, spot in boxes:
        assert spot.across / 2 - 0.01 <= place.cross <= places.breadth - spot.across / 2 + 0.01
        assert 0 <= place.main and place.main + spot.along <= places.length + 0.01
    for (source, target), route in zip(edges, places.routes, strict=True):
        begin, end = places.nodes[source], places.nodes[target]
        assert route[0] == (begin.main + spots[source].along, begin.cross)
        assert route[-1] == (end.main, end.cross)
        assert all(a[0] < b[0] for a, b in pairwise(route[::2]))
        assert all(a[0] <= b[0] for a, b in pairwise(route))


def test_a_chain_is_straight_and_branches_do_not_cross() -> None:
    box = Spot(10, 10, 5)
    chain = arrange([box] * 4, [(0, 1), (1, 2), (2, 3)], gap=5)
    assert {place.cross for place in chain.nodes} == {5.0}
    # 0 feeds 1, 2, 3; 4, 5, 6 hang on them in another order.
    edges = [(0, 1), (0, 2), (0, 3), (3, 4), (1, 5), (2, 6)]
    tree = arrange([box] * 7, edges, gap=5)
    above = sorted((1, 2, 3), key=lambda node: tree.nodes[node].cross)
    below = sorted((4, 5, 6), key=lambda node: tree.nodes[node].cross)
    assert below == [{3: 4, 1: 5, 2: 6}[node] for node in above]
