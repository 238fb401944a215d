"""Whether vLLM can be imported."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from beam_distilabel.doctor.check import Finding, run_program

_IMPORT = "import vllm; print('vLLM', vllm.__version__)"


def look_at_vllm(seconds: float, wanted: bool) -> Finding:
    """vLLM, imported in a process of its own: what breaks there breaks nothing here.

    Args:
        seconds: in which it has to be imported.
        wanted: whether the LLM that is examined needs it.
    """
    if find_spec("vllm") is None:
        if not wanted:
            return Finding("skipped", "vLLM isn't installed, and not needed")
        return Finding(
            "failed",
            "vLLM isn't installed",
            "pip install 'beam-distilabel[vllm]'; without a GPU its CPU build, see the README.",
        )
    said = run_program([sys.executable, "-c", _IMPORT], seconds)
    if said.code == 0:
        return Finding("ok", said.text.strip().splitlines()[-1])
    late = f"vLLM isn't imported within {seconds:g} s"
    return Finding(
        "failed" if wanted else "warning",
        late if said.code is None else f"vLLM can't be imported: {said.last_lines(3)}",
        "Its packages don't go together, or aren't for this machine: install it anew, in an "
        "environment of its own: pip install 'beam-distilabel[vllm]'.",
    )


__all__ = ["look_at_vllm"]
