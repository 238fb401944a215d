"""`make_generator_step` under the import path of distilabel 1.5."""

from beam_distilabel.transforms.sources.load_data_from_dataset import make_generator_step

__all__ = ["make_generator_step"]
