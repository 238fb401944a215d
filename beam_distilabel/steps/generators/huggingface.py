"""Steps that load datasets under the import path of distilabel 1.5."""

from beam_distilabel.transforms.sources.load_data_from_disk import LoadDataFromDisk
from beam_distilabel.transforms.sources.load_data_from_file_system import LoadDataFromFileSystem
from beam_distilabel.transforms.sources.load_data_from_hub import LoadDataFromHub

__all__ = ["LoadDataFromDisk", "LoadDataFromFileSystem", "LoadDataFromHub"]
