"""DataSampler under the import path of distilabel 1.5."""

from beam_distilabel.transforms.sources.data_sampler import DataSampler

__all__ = ["DataSampler"]
