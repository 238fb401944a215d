"""LoadDataFromDicts under the import path of distilabel 1.5."""

from beam_distilabel.transforms.sources.load_data_from_dicts import LoadDataFromDicts

__all__ = ["LoadDataFromDicts"]
