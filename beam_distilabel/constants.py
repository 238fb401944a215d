"""Constants under the import path of distilabel 1.5."""

from beam_distilabel.distiset.disk import CONFIGS_FOLDER as DISTISET_CONFIG_FOLDER
from beam_distilabel.layout import (
    ARTIFACTS_FOLDER as DISTISET_ARTIFACTS_FOLDER,
    LOG_FILE as PIPELINE_LOG_FILENAME,
    PIPELINE_FILE as PIPELINE_CONFIG_FILENAME,
)
from beam_distilabel.metadata import METADATA as DISTILABEL_METADATA_KEY

__all__ = [
    "DISTILABEL_METADATA_KEY",
    "DISTISET_ARTIFACTS_FOLDER",
    "DISTISET_CONFIG_FOLDER",
    "PIPELINE_CONFIG_FILENAME",
    "PIPELINE_LOG_FILENAME",
]
