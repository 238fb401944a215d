"""CombineOutputs under the import path of distilabel 1.5."""

from beam_distilabel.transforms.columns.combine_outputs import CombineOutputs

__all__ = ["CombineOutputs"]
