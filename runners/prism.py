"""Prism: Beam's own runner for one machine, which keeps to Beam's model more strictly than others.

It is one program, written in Go, that is not a part of Beam's Python package. Beam's `PrismRunner`
downloads it where nobody says where it is; these settings never do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.version import __version__ as beam_version
from typing_extensions import Self

from beam_distilabel.runners.flink_cluster.guarded_process import GuardedProcess
from beam_distilabel.runners.flink_cluster.jars import MissingTool
from beam_distilabel.runners.settings import RunnerSettings, parse_flags

VARIABLE = "BEAM_DISTILABEL_PRISM"
"""The environment variable that names Prism's program."""

PACKAGE = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam_version}"
"""What `go install` builds Prism of, in the version of Beam that is installed."""

_START_SECONDS = 60.0


class PrismSettings(RunnerSettings):
    """Settings of Prism.

    What they lead to, and why:

    - `environment_type=LOOPBACK`: rows are processed in threads of this process, so that code,
      models and secrets needn't be sent anywhere
      (https://beam.apache.org/documentation/runners/prism/).
    - `job_endpoint`: where `started` has started Prism. Beam's `PrismRunner` would do that itself,
      but only in the main thread, since it sets a handler of Ctrl-C (`StopOnExitJobServer` in
      apache_beam/runners/portability/job_server.py), and a run has a thread of its own.
    - `prism_location`: that program and no other. Without it Beam downloads one
      (`PrismJobServer` in apache_beam/runners/portability/prism_runner.py).

    There is no parallelism to set: Prism works on eight bundles at a time at most
    (`executePipeline` in sdks/go/pkg/beam/runners/prism/internal/execute.go). It holds all rows
    between two shuffles in memory, as the local runner does.

    Attributes:
        location: Prism's program. If it isn't given, it is what the environment variable
            `BEAM_DISTILABEL_PRISM` names, or `prism` on PATH.
        job_endpoint: `host:port` of a Prism on this machine that runs already; nothing is started
            then.

    Example:
        >>> settings = PrismSettings(job_endpoint="localhost:8073")
        >>> settings.pipeline_options().get_all_options(drop_default=True)["environment_type"]
        'LOOPBACK'
    """

    location: Path | None = None
    job_endpoint: str | None = None

    @property
    def shares_process(self) -> bool:
        return parse_flags(self.flags).get("environment_type") in (None, "LOOPBACK")

    def program(self) -> str:
        """The path of Prism's program.

        Raises:
            MissingTool: there is none; says how to get it.
        """
        named = str(self.location) if self.location is not None else os.environ.get(VARIABLE)
        found = shutil.which(named or "prism")
        if found is not None:
            return found
        where = "there is no `prism` on PATH" if named is None else f"{named} is no program"
        raise MissingTool(
            f"Prism isn't installed: {where}. Build it with Go, `go install {PACKAGE}`, and name "
            f"it: by the setting `location`, by the environment variable {VARIABLE}, or on PATH."
        )

    def check(self) -> None:
        if self.job_endpoint is None:
            self.program()

    def runner(self) -> PrismRunner:
        return PrismRunner()

    def preset(self) -> Mapping[str, Any]:
        if self.job_endpoint is not None:
            return {"environment_type": "LOOPBACK", "job_endpoint": self.job_endpoint}
        return {"environment_type": "LOOPBACK", "prism_location": self.program()}

    @contextlib.contextmanager
    def started(self) -> Iterator[Self]:
        """Start Prism, which ends with the block, or with this process however that ends.

        Raises:
            MissingTool: there is no program.
            RuntimeError: it doesn't start; has its log.
        """
        if self.job_endpoint is not None:
            yield self
            return
        command = [self.program(), "--job_port", "0", "--serve_http=false", "--log_kind", "text"]
        with tempfile.TemporaryDirectory(prefix="beam-distilabel-prism-") as folder:
            log = Path(folder) / "prism.log"
            server = GuardedProcess(command, log, env=os.environ, cwd=Path(folder))
            try:
                ready = server.wait_for(r"endpoint=(\S+:\d+)", _START_SECONDS)
                yield self.model_copy(update={"job_endpoint": ready[1]})
            finally:
                server.close()
