"""Pickles have what was there before `load()`."""

import pickle
import threading
from typing import Any

from pydantic import PrivateAttr

from beam_distilabel.pickling import PicklesUnloaded


class Client(PicklesUnloaded):
    url: str = "here"

    _lock: Any = PrivateAttr(None)
    _pool: list[Any] = PrivateAttr(default_factory=list)
    _chosen: str = PrivateAttr("default")

    def load(self) -> None:
        self._lock = threading.Lock()
        self._pool.append(threading.Lock())


class Better(Client):
    _more: Any = PrivateAttr(None)

    def load(self) -> None:
        self._more = threading.Lock()
        super().load()


class Inherits(Better):
    pass


def test_what_load_made_stays_here() -> None:
    for cls in (Client, Better, Inherits):
        client = cls(url="there")
        client._chosen = "before"
        for _ in range(2):  # loading twice makes no difference
            client.load()
        twin = pickle.loads(pickle.dumps(client))
        assert (twin.url, twin._lock, twin._pool, twin._chosen) == ("there", None, [], "before")
        assert getattr(twin, "_more", None) is None
        assert client._lock is not None
        assert len(client._pool) == 2
        twin.load()
        assert twin._lock is not None
        assert pickle.loads(pickle.dumps(twin))._lock is None


def test_before_load_everything_is_pickled() -> None:
    client = Client()
    client._chosen = "mine"
    client._pool.append(1)
    twin = pickle.loads(pickle.dumps(client))
    assert (twin._chosen, twin._pool) == ("mine", [1])


def test_loading_adds_no_field() -> None:
    client = Client()
    client.load()
    assert client.model_dump() == {"url": "here"}
    assert client == client.model_copy()
