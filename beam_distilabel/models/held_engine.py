"""`HoldsEngine`: models that keep their engine between `load` and `unload`."""

from __future__ import annotations

from pydantic import PrivateAttr
from typing_extensions import Self

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.base import EngineModel
from beam_distilabel.models.engine import Engine


class HoldsEngine(EngineModel):
    """A model that, once loaded, asks the engine which equal models of its process share."""

    _engine: Engine | None = PrivateAttr(None)

    def load(self) -> None:
        """Start the engine, or join the one that equal models of this process use.

        Raises:
            EngineError: it can't start.
        """
        super().load()
        if self._engine is None:
            self._engine = self.load_model()

    def unload(self) -> None:
        """Leave the engine; the last one to leave ends it."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.release()
        super().unload()

    def copied(self) -> Self:
        """A copy that isn't loaded, whether this one is or not."""
        duplicate = super().copied()
        # One use of the engine can't be given back by two.
        duplicate._engine = None
        return duplicate

    def loaded_engine(self) -> Engine:
        """The engine.

        Raises:
            DistilabelUserError: the model isn't loaded.
        """
        if self._engine is None:
            raise DistilabelUserError(f"Call `load()` of the {type(self).__name__} first.")
        return self._engine
