"""What the operator knows of one kind: the newest version of each object, replaced as a whole by each full list.

Versions decide what is newer, not the order in which news comes: an event that was delayed, a list from a server that
lags and our own writes' answers may come in any order. An object that was deleted never comes back under its uid; one
that only lost its labels does, as a newer version.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Generic, TypeVar

from asiarch.kube.client import Kind, Object

T = TypeVar("T")

SearchKey = tuple[str, str]
"""Namespace and name of a search."""
ObjectKey = tuple[str, str]
"""Namespace and name of any object."""
_TOMBSTONES = 20_000


@dataclass(frozen=True, slots=True)
class Held(Generic[T]):
    """One object: who it is, how new, whose, and what we keep of it."""

    uid: str
    version: int
    search: SearchKey
    value: T


class Store(Generic[T]):
    """All objects of one kind, by name and by search."""

    def __init__(self, kind: Kind, search: Callable[[Object], str], read: Callable[[Object], T]) -> None:
        """`search` names the search that an object belongs to, `read` picks what is kept of it."""
        self.kind = kind
        self._search = search
        self._read = read
        self._objects: dict[tuple[str, str], Held[T]] = {}
        self._by_search: dict[SearchKey, dict[str, Held[T]]] = {}
        self._gone: OrderedDict[str, float] = OrderedDict()
        self._newest = 0

    def __len__(self) -> int:
        """How many objects there are."""
        return len(self._objects)

    def get(self, namespace: str, name: str) -> Held[T] | None:
        """One object, if it is known."""
        return self._objects.get((namespace, name))

    def of(self, search: SearchKey) -> Mapping[str, Held[T]]:
        """The objects of one search by name, oldest first; a view that may change at the next await."""
        return self._by_search.get(search, {})

    def searches(self) -> tuple[SearchKey, ...]:
        """Every search that has an object here."""
        return tuple(self._by_search)

    @property
    def newest(self) -> int:
        """The newest version that was seen; a list that begins later and is older comes from a server that lags."""
        return self._newest

    def knows(self, found: Object) -> bool:
        """Whether an object is no news: held as new, or deleted since. Its metadata tells."""
        metadata = found["metadata"]
        held = self._objects.get((metadata["namespace"], metadata["name"]))
        old = held is not None and held.version >= int(metadata["resourceVersion"])
        return old or int(metadata["resourceVersion"]) <= self._gone.get(metadata["uid"], -1)

    def apply(self, found: Object) -> SearchKey | None:
        """Take an object if it is newer than what is held; returns whose it is, none when it was no news."""
        if self.knows(found):
            return None
        metadata = found["metadata"]
        key = (intern(metadata["namespace"]), metadata["name"])
        version, uid = int(metadata["resourceVersion"]), metadata["uid"]
        held = self._objects.get(key)
        search = (key[0], self._search(found))
        self._newest = max(self._newest, version)
        if held is not None and held.search != search:
            self._drop(key, held)
        mine = self._by_search.setdefault(search, {})
        if mine:
            # The same key for all: there are thousands.
            search = next(iter(mine.values())).search
        self._objects[key] = mine[key[1]] = Held(uid, version, search, self._read(found))
        return search

    def remove(self, found: Object) -> SearchKey | None:
        """Take note that an object was deleted; returns whose it was, none when that was no news."""
        metadata = found["metadata"]
        version = int(metadata["resourceVersion"])
        return self.forget(metadata["namespace"], metadata["name"], metadata["uid"], version)

    def forget(self, namespace: str, name: str, uid: str, version: float = math.inf) -> SearchKey | None:
        """Take note that the object of this uid is gone, for good or as of a version."""
        self._gone[uid] = max(version, self._gone.get(uid, version))
        while len(self._gone) > _TOMBSTONES:
            self._gone.popitem(last=False)
        held = self._objects.get((namespace, name))
        if held is None or held.uid != uid or held.version > version:
            return None
        self._drop((namespace, name), held)
        return held.search

    def replace(self, found: Iterable[Object], version: int, namespace: str | None = None) -> set[SearchKey]:
        """Take a full list of a namespace as of `version`; what it lacks and is not newer than the list is gone.

        Namespace None is all of them. Returns whose objects changed.
        """
        listed: set[ObjectKey] = set()
        changed = self.take(found, listed)
        return changed | self.end(listed, version, namespace)

    def take(self, page: Iterable[Object], listed: set[ObjectKey], *, whole: bool = True) -> set[SearchKey]:
        """Take a part of a full list; `listed` is told which objects it has. Returns whose objects changed.

        Objects that are not whole are only counted as listed.
        """
        changed = set()
        for one in page:
            listed.add((one["metadata"]["namespace"], one["metadata"]["name"]))
            search = self.apply(one) if whole else None
            if search is not None:
                changed.add(search)
        return changed

    def end(self, listed: Container[ObjectKey], version: int, namespace: str | None = None) -> set[SearchKey]:
        """A full list as of `version` is over: what it lacked is gone. Returns whose objects changed."""
        changed = set()
        for key, held in list(self._objects.items()):
            served = namespace is None or key[0] == namespace
            if served and key not in listed and held.version <= version:
                self.forget(*key, held.uid, version)
                changed.add(held.search)
        return changed

    def _drop(self, key: tuple[str, str], held: Held[T]) -> None:
        del self._objects[key]
        mine = self._by_search[held.search]
        del mine[key[1]]
        if not mine:
            del self._by_search[held.search]
