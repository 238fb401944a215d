"""Holds a session cluster until it is told to end: `python -m ...keeper FOLDER ...`.

What ends of the cluster meanwhile is started again. All of it ends with this process, however that
ends.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from beam_distilabel.runners.flink_cluster.local_cluster import (
    STATE_FILE,
    ClusterState,
    held,
)
from beam_distilabel.runners.flink_cluster.session_cluster import SessionCluster

_LOOK_SECONDS = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--task-managers", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    known = parser.parse_args(arguments)
    over = threading.Event()

    def end(*_: Any) -> None:
        over.set()
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    state_file = known.folder / STATE_FILE
    try:
        with held(known.folder):
            state_file.unlink(missing_ok=True)  # of one that was killed
            cluster = SessionCluster(
                known.folder,
                task_managers=known.task_managers,
                slots=known.slots,
                port=known.port,
            )
            with cluster:
                state = ClusterState(
                    os.getpid(),
                    cluster.master,
                    cluster.worker_pool,
                    known.task_managers,
                    known.slots,
                )
                part = state_file.with_suffix(".part")
                part.write_text(json.dumps(state._asdict()))
                part.replace(state_file)
                try:
                    while not over.wait(_LOOK_SECONDS):
                        for name in cluster.ended():
                            print(f"{name} has ended and is started again", flush=True)
                        cluster.mend()
                finally:
                    state_file.unlink(missing_ok=True)
    except BlockingIOError:
        print("another process holds a cluster in this folder, or starts one", file=sys.stderr)
        return 1
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
