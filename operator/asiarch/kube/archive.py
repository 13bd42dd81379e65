"""Records of candidates whose objects are gone: segments of a thousand, each one ConfigMap, so that lineage resolves.

First the segment, then a look whether it is there, then the object goes: a crash leaves it in both,
never in none.
"""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from asiarch.api.names import MANAGED_BY, PART, SEARCH, archive_name
from asiarch.api.search import ArchitectureSearch
from asiarch.core.observation import Record, archived, record_of
from asiarch.kube.client import CONFIG_MAPS, Kind, Object
from asiarch.kube.store import SearchKey, Store

SEGMENT = 1000
"""Records of one segment."""
_KEY = "records.jsonl.gz"


class Port(Protocol):
    """The part of the API that an archive needs."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Read an object."""

    async def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Create an object."""

    async def replace(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        """Replace an object, fenced by the resource version in `body`."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One ConfigMap of the archive as it was read last."""

    uid: str
    version: int
    records: tuple[Record, ...]


class Archive:
    """The archived records of one search."""

    def __init__(self, api: Port, store: Store[Object], key: SearchKey) -> None:
        """Read nothing yet; `store` says which segments there are."""
        self._api = api
        self._store = store
        self._key = key
        self._segments: dict[str, Segment] = {}

    async def records(self) -> dict[str, Record]:
        """Every archived record by name."""
        held = self._store.of(self._key)
        parts = {
            name: one for name, one in held.items() if one.value["metadata"]["labels"].get(PART) == "archive"
        }
        for name, one in parts.items():
            known = self._segments.get(name)
            if known is None or known.version < one.version:
                await self._load(name)
        return {r.name: r for name in sorted(self._segments) for r in self._segments[name].records}

    async def add(self, search: ArchitectureSearch, records: Sequence[Record]) -> None:
        """Write records down, and verify that they can be read again; those that are there already stay."""
        known = await self.records()
        fresh = [r for r in records if r.name not in known]
        while fresh:
            name, room = self._open(search)
            await self._write(search, name, fresh[:room])
            fresh = fresh[room:]

    def _open(self, search: ArchitectureSearch) -> tuple[str, int]:
        """The segment that has room, and how much."""
        last = len(self._segments) - 1
        name = archive_name(search.name, max(last, 0))
        room = SEGMENT - len(self._segments[name].records) if name in self._segments else SEGMENT
        return (name, room) if room > 0 else (archive_name(search.name, last + 1), SEGMENT)

    async def _write(self, search: ArchitectureSearch, name: str, added: Sequence[Record]) -> None:
        old = self._segments.get(name)
        records = (*(old.records if old else ()), *added)
        body = _segment(search, name, records)
        if old is None:
            written = await self._api.create(CONFIG_MAPS, self._key[0], body)
        else:
            body["metadata"] |= {"resourceVersion": str(old.version), "uid": old.uid}
            written = await self._api.replace(CONFIG_MAPS, self._key[0], name, body)
        self._store.apply(written)
        self._segments[name] = _read(written)
        assert self._segments[name].records == records, f"{name} does not hold what was written"

    async def _load(self, name: str) -> None:
        found = await self._api.get(CONFIG_MAPS, self._key[0], name)
        if found is not None:
            self._segments[name] = _read(found)


def _segment(search: ArchitectureSearch, name: str, records: Sequence[Record]) -> Object:
    lines = "\n".join(json.dumps(archived(r), separators=(",", ":"), sort_keys=True) for r in records)
    owner = {
        "apiVersion": search.api_version,
        "kind": search.kind,
        "name": search.name,
        "uid": search.metadata.uid,
        "controller": True,
    }
    labels = {MANAGED_BY[0]: MANAGED_BY[1], SEARCH: search.name, PART: "archive"}
    packed = base64.b64encode(gzip.compress(lines.encode(), mtime=0)).decode()
    return {
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
        "binaryData": {_KEY: packed},
    }


def _read(found: Object) -> Segment:
    packed: Mapping[str, str] = found.get("binaryData") or {}
    text = gzip.decompress(base64.b64decode(packed[_KEY])).decode() if _KEY in packed else ""
    records = tuple(record_of(json.loads(line)) for line in text.splitlines())
    metadata = found["metadata"]
    return Segment(metadata["uid"], int(metadata["resourceVersion"]), records)
