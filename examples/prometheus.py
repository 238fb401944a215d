"""Judge the answers of a dataset with Prometheus 2, and publish the result.

With a real judge (a GPU with 16 GB or more):

    python examples/prometheus.py --push-to my-org/my-dataset

With the demonstration judge and instructions beside this script, on any machine:

    python examples/prometheus.py --demo
"""

import argparse
import json
import os
import sys
from pathlib import Path

from beam_distilabel.llms import vLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import KeepColumns, LoadDataFromHub
from beam_distilabel.steps.tasks import PrometheusEval

DEMO = Path(__file__).resolve().parent / "demo"


def build(arguments: argparse.Namespace) -> Pipeline:
    """The pipeline: load, judge, keep columns."""
    with Pipeline(name="prometheus") as pipeline:
        load_dataset = LoadDataFromHub(
            name="load_dataset",
            repo_id=arguments.repo_id,
            split="test",
            num_examples=arguments.num_examples,
            output_mappings={"prompt": "instruction", "completion": "generation"},
        )
        task = PrometheusEval(
            name="task",
            llm=vLLM(
                model=arguments.model,
                chat_template="[INST] {{ messages[0]['content'] }}\n{{ messages[1]['content'] }}"
                "[/INST]",
            ),
            mode="absolute",
            rubric="factual-validity",
            reference=False,
            num_generations=1,
            group_generations=False,
        )
        keep_columns = KeepColumns(
            name="keep_columns",
            columns=["instruction", "generation", "feedback", "result", "model_name"],
        )
        load_dataset >> task >> keep_columns
    return pipeline


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", action="store_true", help="use the judge and data shipped here")
    parser.add_argument("--repo-id", default="HuggingFaceH4/instruction-dataset")
    parser.add_argument("--model", default="prometheus-eval/prometheus-7b-v2.0")
    parser.add_argument("--num-examples", type=int, help="how many rows; all by default")
    parser.add_argument("--max-new-tokens", type=int, default=1024)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--output-dir", help="the run directory")
    parser.add_argument("--push-to", help="the dataset to publish to, such as my-org/my-dataset")
    arguments = parser.parse_args(argv)
    if arguments.demo:
        arguments.repo_id = str(DEMO / "instructions")
        arguments.model = str(DEMO / "judge")
        arguments.output_dir = arguments.output_dir or "runs/prometheus-demo"
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the pipeline; the exit code."""
    arguments = parse(argv)
    pipeline = build(arguments)
    generation_kwargs = {
        "max_new_tokens": arguments.max_new_tokens,
        "temperature": arguments.temperature,
    }
    run = pipeline.submit(
        parameters={"task": {"llm": {"generation_kwargs": generation_kwargs}}},
        output_dir=arguments.output_dir,
    )
    distiset = run.distiset()
    rows = distiset["default"]["train"]
    graded = sum(result is not None for result in rows["result"])
    for row in rows.select(range(min(1, len(rows)))):
        sample = {name: row[name] for name in ("instruction", "generation", "feedback", "result")}
        print(json.dumps(sample, indent=2, ensure_ascii=False))
    print(f"{graded} of {len(rows)} rows have a result.")
    print(f"The Distiset is in {run.run_dir}/distiset.")
    if arguments.push_to:
        distiset.push_to_hub(
            arguments.push_to,
            commit_message="Initial commit",
            private=False,
            token=os.getenv("HF_TOKEN"),
        )
    return check_demo(run.report, graded, len(rows)) if arguments.demo else 0


def check_demo(report: dict, graded: int, rows: int) -> int:
    """Say what the demonstration was, and whether a real engine did it."""
    print(
        "\nThe judge was a demonstration: a model of a few MB that has learned to grade this kind "
        "of instruction only.\nWith a real model:\n"
        f"    {os.path.relpath(sys.executable)} examples/prometheus.py "
        "--model prometheus-eval/prometheus-7b-v2.0"
    )
    engines = [engine for engine in report["engines"] if engine.startswith("vllm ")]
    if not engines or not report["output_tokens"]:
        print(f"No vLLM engine answered: {report['engines']}", file=sys.stderr)
        return 1
    print(f"Engine: {engines[0]}, {report['output_tokens']:,} tokens generated.")
    if graded < 0.95 * rows:
        print(f"Only {graded} of {rows} rows have a result.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
