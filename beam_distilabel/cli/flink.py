"""`beam-distilabel flink up|down|status`: a Flink cluster on this machine."""

from __future__ import annotations

import typer
from rich.console import Console

from beam_distilabel.cli.app import app
from beam_distilabel.errors import DistilabelError
from beam_distilabel.host_folder import host_folder
from beam_distilabel.runners.flink_cluster import local_cluster
from beam_distilabel.runners.flink_cluster.rest import ClusterError, look_at

flink_commands = typer.Typer(
    help="A Flink cluster on this machine, for trying what runs on one.", no_args_is_help=True
)
app.add_typer(flink_commands, name="flink")

_FOLDER = "flink"


@flink_commands.command()
def up(
    task_managers: int = typer.Option(2, min=1, max=200, help="How many TaskManagers."),
    slots: int = typer.Option(2, min=1, help="The slots of each of them."),
    port: int = typer.Option(8081, min=0, help="Of its web page; 0 for a free one."),
) -> None:
    """Start a cluster: a JobManager, TaskManagers, a worker pool for each of them.

    It stays until `flink down`. If it is there already, nothing happens.
    """
    folder = host_folder(_FOLDER)
    try:
        cluster = local_cluster.up(folder, task_managers=task_managers, slots=slots, port=port)
    except RuntimeError as error:
        raise DistilabelError(str(error)) from error
    _say(f"Flink: http://{cluster.master}, logs: {folder}")
    _say(
        "Run on it: beam-distilabel pipeline run ... --runner flink "
        f"--runner-option master={cluster.master} "
        f"--runner-option worker_pool={cluster.worker_pool}"
    )


@flink_commands.command()
def down() -> None:
    """End the cluster, and the jobs that run on it."""
    try:
        was_there = local_cluster.down(host_folder(_FOLDER))
    except RuntimeError as error:
        raise DistilabelError(str(error)) from error
    _say("Flink has ended." if was_there else "There is no cluster.")


@flink_commands.command()
def status() -> None:
    """Say whether the cluster is there; exit code 1 if not."""
    cluster = local_cluster.status(host_folder(_FOLDER))
    if cluster is None:
        _say("There is no cluster.")
        raise typer.Exit(1)
    try:
        now = look_at(cluster.master)
    except ClusterError as error:
        raise DistilabelError(str(error)) from error
    _say(
        f"Flink {now.version}: http://{cluster.master}, worker pools: {cluster.worker_pool}\n"
        f"{now.task_managers} of {cluster.task_managers} TaskManagers, {now.free_slots} of "
        f"{now.slots} slots free"
    )


def _say(text: str) -> None:
    Console().print(text, highlight=False, markup=False, soft_wrap=True)
