"""GenerateEmbeddings under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.generate_embeddings import GenerateEmbeddings

__all__ = ["GenerateEmbeddings"]
