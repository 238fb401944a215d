"""What a Flink cluster tells of itself over its REST API."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any, NamedTuple

_SECONDS = 30.0
_NO_RESTARTS = ("none", "off", "disable")  # RestartStrategyOptions.RestartStrategyType
# Java's programs don't go through a proxy that the environment names either.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ClusterError(RuntimeError):
    """A cluster doesn't answer, or can't do what a run needs."""


class Cluster(NamedTuple):
    """A cluster, now.

    Attributes:
        version: of Flink, such as "1.19".
        task_managers: how many there are.
        slots: of all of them.
        free_slots: those without work.
    """

    version: str
    task_managers: int
    slots: int
    free_slots: int


def ask(master: str, path: str) -> Any:
    """The answer of a cluster's REST server.

    Args:
        master: host and port, with or without `http://`.
        path: such as "/overview", see
            https://nightlies.apache.org/flink/flink-docs-release-1.19/docs/ops/rest_api/.

    Raises:
        ClusterError: it doesn't answer, or not as Flink does.
    """
    url = master if "://" in master else f"http://{master}"
    try:
        with _opener.open(f"{url.rstrip('/')}{path}", timeout=_SECONDS) as answer:
            return json.load(answer)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise ClusterError(
            f"the Flink cluster at {master!r} doesn't answer: {reason}. Its master is the address "
            "of its REST server and web page, such as 'localhost:8081'; `beam-distilabel flink "
            "up` starts a cluster on this machine."
        ) from None


def look_at(master: str) -> Cluster:
    """What a cluster is now.

    Raises:
        ClusterError: it doesn't answer, or not as Flink does.
    """
    overview = ask(master, "/overview")
    try:
        return Cluster(
            ".".join(overview["flink-version"].split(".")[:2]),
            overview["taskmanagers"],
            overview["slots-total"],
            overview["slots-available"],
        )
    except (KeyError, TypeError, AttributeError):
        raise ClusterError(f"what answers at {master!r} is no Flink cluster: {overview}") from None


def restart_strategy(master: str) -> str:
    """How a cluster starts batch jobs again that have failed: the name that Flink has for it.

    Returns:
        Such as "fixed-delay"; "none" where a batch job that fails has ended.

    Raises:
        ClusterError: it doesn't answer, or doesn't tell its configuration.
    """
    try:
        found = {one["key"]: str(one["value"]) for one in ask(master, "/jobmanager/config")}
    except (KeyError, TypeError):
        raise ClusterError(f"the cluster at {master!r} doesn't tell its configuration") from None
    # The second is the name that Flink had for it before 1.18 (RestartStrategyOptions).
    name = found.get("restart-strategy.type") or found.get("restart-strategy") or "none"
    return "none" if name.lower() in _NO_RESTARTS else name
