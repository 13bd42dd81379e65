"""Remembers how collections changed, so that a list can be answered from an earlier moment."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientSession

from tests.cluster.faults.watch import lines_of

_MEMORY = 2000
"""Changes of one collection that are remembered."""
_RETRY = 0.2
Object = dict[str, Any]


def _identity(item: Object) -> str:
    return str(item["metadata"]["uid"])


def _version(item: Object) -> str:
    return str(item["metadata"]["resourceVersion"])


@dataclass
class Collection:
    """One list as it was at first, and each change since."""

    head: Object
    """The list's own kind, version and metadata."""
    first: dict[str, Object]
    changes: list[tuple[str, Object]] = field(default_factory=list)
    """Event type and object; the object's resourceVersion is the moment."""

    def change(self, kind: str, item: Object) -> None:
        """Remember a change; the oldest one becomes part of the beginning."""
        self.changes.append((kind, item))
        if len(self.changes) > _MEMORY:
            self.head["metadata"]["resourceVersion"] = _version(self.changes[0][1])
            _apply(self.first, *self.changes.pop(0))

    def before(self, back: int) -> Object:
        """The list as it was `back` changes ago, or at the first moment that is known."""
        upto = max(0, len(self.changes) - back)
        items = dict(self.first)
        for kind, item in self.changes[:upto]:
            _apply(items, kind, item)
        moment = _version(self.changes[upto - 1][1]) if upto else self.head["metadata"]["resourceVersion"]
        bare = [{k: v for k, v in item.items() if k not in {"kind", "apiVersion"}} for item in items.values()]
        return {**self.head, "metadata": {"resourceVersion": moment}, "items": bare}


def _apply(items: dict[str, Object], kind: str, item: Object) -> None:
    if kind == "DELETED":
        items.pop(_identity(item), None)
    else:
        items[_identity(item)] = item


class Recorder:
    """Follows each collection that a client has listed, on a watch of its own that no fault reaches."""

    def __init__(self, session: ClientSession, upstream: str) -> None:
        self._session = session
        self._upstream = upstream
        self._collections: dict[str, Collection] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.on = False

    def follow(self, path: str, query: Mapping[str, str], authorization: str) -> None:
        """Start to remember a collection, as the client is allowed to see it."""
        key = collection_key(path, query)
        if self.on and key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._record(key, path, query, authorization))

    def before(self, path: str, query: Mapping[str, str], back: int) -> Object | None:
        """An earlier state, if the collection is being remembered."""
        collection = self._collections.get(collection_key(path, query))
        return None if collection is None else collection.before(back)

    def totals(self) -> dict[str, int]:
        """How many changes of each collection are remembered."""
        return {key: len(collection.changes) for key, collection in self._collections.items()}

    def stop(self) -> None:
        """Forget everything."""
        self.on = False
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
        self._collections.clear()

    async def _record(self, key: str, path: str, query: Mapping[str, str], authorization: str) -> None:
        params = _selectors(query)
        headers = {
            "Accept": "application/json",
            **({"Authorization": authorization} if authorization else {}),
        }
        while True:
            try:
                async with self._session.get(self._upstream + path, params=params, headers=headers) as reply:
                    reply.raise_for_status()
                    listed = json.loads(await reply.read())
                collection = _collection(listed)
                self._collections[key] = collection
                since = collection.head["metadata"]["resourceVersion"]
                params_of_watch = {**params, "watch": "1", "resourceVersion": since}
                async with self._session.get(
                    self._upstream + path, params=params_of_watch, headers=headers
                ) as reply:
                    async for line in lines_of(reply.content.iter_any()):
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            break
                        collection.change(event["type"], event["object"])
            except ClientError:
                # The API server is away; what comes after is a new beginning.
                await asyncio.sleep(_RETRY)


def _collection(listed: Object) -> Collection:
    kind, version = listed["kind"].removesuffix("List"), listed["apiVersion"]
    items = {_identity(i): {"kind": kind, "apiVersion": version, **i} for i in listed["items"]}
    return Collection({k: v for k, v in listed.items() if k != "items"}, items)


def _selectors(query: Mapping[str, str]) -> dict[str, str]:
    return {name: query[name] for name in ("fieldSelector", "labelSelector") if name in query}


def collection_key(path: str, query: Mapping[str, str]) -> str:
    """What tells two collections apart: where they are, and what is selected."""
    return " ".join([path, *(f"{k}={v}" for k, v in sorted(_selectors(query).items()))])
