"""InstructionResponsePipeline: instructions and answers out of nothing."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from beam_distilabel.distiset import Distiset
from beam_distilabel.models.base import LLM
from beam_distilabel.pipeline.pipeline import Pipeline
from beam_distilabel.transforms.tasks.magpie import MagpieGenerator

MODEL = "meta-llama/Meta-Llama-3.1-8B-Instruct"
"""The model that is asked where no LLM is given, by Hugging Face's Inference Endpoints."""


class InstructionResponsePipeline:
    """A pipeline of one `MagpieGenerator`: a dataset for supervised fine-tuning out of nothing.

    Args:
        llm: an LLM that can write the user's turn; see `Magpie`. Default is Llama 3.1 8B Instruct
            by Inference Endpoints; nothing is asked before the run.
        system_prompt: see `Magpie`.
        hf_token: the key of the default LLM; default is what `InferenceEndpointsLLM` finds, the
            variable `HF_TOKEN` first. Reaches no file and no message.
        n_turns: see `Magpie`.
        num_rows: how many rows are made.
        batch_size: rows per batch of `MagpieGenerator.process`; no matter to `run`.

    Attributes:
        llm: the LLM.
        pipeline: the Pipeline, "sft".

    Source: Xu et al. 2024, https://arxiv.org/abs/2406.08464

    Example:
        >>> template = InstructionResponsePipeline(num_rows=5, n_turns=2)
        >>> template.pipeline.name, template.pipeline.steps[0].num_rows
        ('sft', 5)
    """

    def __init__(
        self,
        llm: LLM | None = None,
        system_prompt: str = "You are a writer with imagination who helps with texts of any kind.",
        hf_token: str | SecretStr | None = None,
        n_turns: int = 1,
        num_rows: int = 10,
        batch_size: int = 1,
    ) -> None:
        self.llm: LLM = _default_llm(hf_token) if llm is None else llm
        with Pipeline(name="sft") as self.pipeline:
            MagpieGenerator(
                llm=self.llm,
                n_turns=n_turns,
                num_rows=num_rows,
                batch_size=batch_size,
                system_prompt=system_prompt,
            )

    def run(self, **kwargs: Any) -> Distiset:
        """Run the pipeline; takes what `Pipeline.run` takes."""
        return self.pipeline.run(**kwargs)


def _default_llm(hf_token: str | SecretStr | None) -> LLM:
    from beam_distilabel.models.inference_endpoints import InferenceEndpointsLLM

    key: dict[str, Any] = {} if hf_token is None else {"api_key": hf_token}
    return InferenceEndpointsLLM(
        model_id=MODEL,
        tokenizer_id=MODEL,
        magpie_pre_query_template="llama3",
        generation_kwargs={
            "temperature": 0.9,
            "do_sample": True,
            "max_new_tokens": 2048,
            # What ends a turn of this model, and what would begin the next one.
            "stop_sequences": ["<|eot_id|>", "<|start_header_id|>"],
        },
        **key,
    )


__all__ = ["MODEL", "InstructionResponsePipeline"]
