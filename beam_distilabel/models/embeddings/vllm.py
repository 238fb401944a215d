"""vLLMEmbeddings under the import path of distilabel 1.5."""

from beam_distilabel.models.vllm.embeddings import vLLMEmbeddings

__all__ = ["vLLMEmbeddings"]
