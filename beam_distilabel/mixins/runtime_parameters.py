"""Runtime parameters under the import path of distilabel 1.5."""

from beam_distilabel.runtime_parameters import RuntimeParameter, RuntimeParametersMixin

__all__ = ["RuntimeParameter", "RuntimeParametersMixin"]
