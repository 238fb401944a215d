"""Beam in a notebook, with the pandas that `datasets` brings.

Applying anything in IPython, Beam imports its interactive package, to number labels by cells. That
package needs a pandas older than 3 (`apache_beam.dataframe` decorates `DataFrame.first`, which is
gone), and without one no pipeline could be built in a notebook. There, labels go unnumbered.
"""

from __future__ import annotations

import functools
import importlib
import logging
from typing import Any

import apache_beam.pipeline
from apache_beam.utils.interactive_utils import alter_label_if_ipython, is_in_ipython

logger = logging.getLogger(__name__)


def alter_label(transform: Any, pvalueish: Any) -> None:
    """What Beam does with the label of a transform that is applied in IPython, where it can."""
    if is_in_ipython() and can_number_labels():
        alter_label_if_ipython(transform, pvalueish)


@functools.cache
def can_number_labels() -> bool:
    """Whether Beam's interactive package can be imported."""
    try:
        importlib.import_module("apache_beam.runners.interactive.interactive_environment")
    except (AttributeError, ImportError) as error:
        logger.info("Labels aren't numbered by cells: Beam's interactive package: %r", error)
        return False
    return True


apache_beam.pipeline.alter_label_if_ipython = alter_label
