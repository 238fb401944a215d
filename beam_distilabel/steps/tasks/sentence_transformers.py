"""GenerateSentencePair under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.generate_sentence_pair import GenerateSentencePair

__all__ = ["GenerateSentencePair"]
