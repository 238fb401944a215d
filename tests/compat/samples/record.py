"""Build one script with distilabel, dump its pipeline, and run it; distilabel's python runs this.

    python -m tests.compat.samples.record NAME FILE

FILE receives, as JSON: ``dump``, the file that distilabel dumps of the pipeline, and ``subsets``.
"""

import json
import os
import pathlib
import sys
import tempfile
from typing import Any

from tests.compat.run_example import Network, prepare
from tests.compat.samples import running


def record(name: str) -> dict[str, Any]:
    """Return what distilabel makes of the script ``name``."""
    prepare("distilabel", Network())
    os.environ.pop("HF_TOKEN", None)  # TransformersLLM would try to dump it
    script = running.load_script(name, "distilabel")
    pipeline = running.pipeline_of(script)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        file = folder / "pipeline.json"
        try:
            pipeline.save(str(file), format="json", overwrite=True)
        except TypeError:  # a pydantic class, for which distilabel has a form in YAML alone
            file = folder / "pipeline.yaml"
            pipeline.save(str(file), format="yaml", overwrite=True)
        dump = {"format": file.suffix, "text": file.read_text(encoding="utf-8")}
        distiset = running.run(script, pipeline, folder)
        return {"dump": dump, "subsets": running.subsets(script, distiset)}


def main() -> int:
    """Record the script that the arguments name."""
    name, file = sys.argv[1:]
    pathlib.Path(file).write_text(json.dumps(record(name)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
