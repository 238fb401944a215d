"""Knowledge graphs by a provider's API, by a schema of nodes and edges."""

from distilabel.models import MistralLLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration
from pydantic import BaseModel, Field


class Node(BaseModel):
    id: int
    label: str
    color: str


class Edge(BaseModel):
    source: int
    target: int
    label: str
    color: str = "black"


class KnowledgeGraph(BaseModel):
    nodes: list[Node] = Field(..., default_factory=list)
    edges: list[Edge] = Field(..., default_factory=list)


ROWS = {
    "load": [
        {"system_prompt": "You draw knowledge graphs.", "instruction": "Teach me about rain."},
        {"system_prompt": "You draw knowledge graphs.", "instruction": "Who uses a cat?"},
    ]
}
ANSWERS = {
    "graph": {
        "rain": '{"nodes": [{"id": 1, "label": "cloud", "color": "grey"}], "edges": []}',
        "cat": '{"nodes": [], "edges": []}',
    }
}

with Pipeline(name="knowledge-graph", description="Graphs of knowledge") as pipeline:
    load = LoadDataFromDicts(name="load", data=ROWS["load"])
    graph = TextGeneration(
        name="graph",
        llm=MistralLLM(
            model="open-mixtral-8x22b",
            api_key="none",
            structured_output={"schema": KnowledgeGraph},
        ),
    )
    load >> graph
