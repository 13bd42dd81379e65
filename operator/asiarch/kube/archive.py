"""Records of candidates whose objects are gone: segments of a thousand, each one ConfigMap, so that lineage resolves.

First the segment, then a look whether it is there, then the object goes: a crash leaves it in both,
never in none. A segment that somebody deletes is written again from memory, when something is added next. Whoever may
write ConfigMaps may write a segment, so that none is trusted: it is unpacked and read within bounds.
"""

import base64
import gzip
import json
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from asiarch.api.names import MANAGED_BY, PART, SEARCH, archive_name
from asiarch.api.search import ArchitectureSearch
from asiarch.core.observation import Record, archived, record_of
from asiarch.kube.client import CONFIG_MAPS, ApiError, Kind, Object
from asiarch.kube.kept import Part, controller
from asiarch.kube.manifests import owner_of
from asiarch.kube.store import Held, SearchKey, Store

SEGMENT = 1000
"""Records of one segment."""
FULL_BYTES = 700 * 1024
"""Of a segment, packed: it is closed then. A ConfigMap holds 1 MiB, and one record has some kilobytes at most."""
FULL_TEXT = 4 << 20
"""Bytes of a segment, unpacked: it is closed then."""
MOST_TEXT = 2 * FULL_TEXT
"""Bytes of a segment, unpacked, that are still read: a full one and whatever one record may add to it."""
GAPS = 20_000
"""Ordinals of a search that are not in its archive: its objects, and those that somebody deleted unseen."""
MOST_SCORE = 1e12
"""As many digits as our numbers in status have."""
MAX_NAME = 253
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_KEY = "records.jsonl.gz"
_GZIP = 31
"""What zlib calls its largest window with a header of gzip's."""


class ArchiveUnreadableError(Exception):
    """A segment is not as we write them; the message names its ConfigMap and says what was found and wanted."""

    def __init__(self, name: str, fault: str) -> None:
        """Keep the name of the ConfigMap and what is wrong with it."""
        super().__init__(f"ConfigMap {name} (key: {_KEY}) can't be read: {fault}")
        self.name = name


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
    size: int
    """Bytes, packed."""
    text: int
    """Bytes, unpacked."""


class Archive:
    """The archived records of one search."""

    def __init__(self, api: Port, store: Store[Part], key: SearchKey) -> None:
        """Read nothing yet; `store` says which segments there are."""
        self._api = api
        self._store = store
        self._key = key
        self._segments: dict[str, Segment] = {}
        self.owner = ""
        """The search's uid; segments that another one controls are not ours. Empty: whoever's they are."""
        self.fault: ArchiveUnreadableError | None = None
        """Why what `legible` returned last is not all."""

    async def records(self) -> tuple[Record, ...]:
        """Every archived record in the order of writing; raises ArchiveUnreadableError, and ApiError."""
        found = await self.legible()
        if self.fault is not None:
            raise self.fault
        return found

    async def legible(self) -> tuple[Record, ...]:
        """Every archived record that can be read, or could be before; `fault` says what can't. Raises ApiError.

        They are in the order of writing. A name may be there twice: of a candidate that was made again, say.
        """
        self.fault = None
        for name, one in list(self._parts()):
            known = self._segments.get(name)
            if known is None or known.version < one.version:
                await self._load(name)
        found = {name: self._segments[name].records for name in sorted(self._segments)}
        most = GAPS + 2 * sum(map(len, found.values()))
        for name in sorted(found):
            if (highest := max((r.ordinal for r in found[name]), default=0)) > most:
                wanted = f"found the ordinal {highest}, wanted at most {most} beside so few records"
                self.fault = ArchiveUnreadableError(name, wanted)
                del found[name]
        return tuple(chain.from_iterable(found.values()))

    async def add(self, search: ArchitectureSearch, records: Sequence[Record]) -> None:
        """Write records down, and verify that they can be read again; those that are there already stay."""
        known = {(r.name, r.ordinal) for r in await self.records()}
        there = {name for name, _ in self._parts()}
        for name in sorted(self._segments.keys() - there):
            await self._write(search, name, ())
        fresh = [r for r in records if (r.name, r.ordinal) not in known]
        while fresh:
            name = self._open(search)
            room = self._room(name, fresh)
            await self._write(search, name, fresh[:room])
            fresh = fresh[room:]

    def _parts(self) -> Iterator[tuple[str, Held[Part]]]:
        """The segments that there are, of which we know little more than the name."""
        for name, one in self._store.of(self._key).items():
            if one.value.part == "archive" and self._is_ours(one.value.controller):
                yield name, one

    def _is_ours(self, owner: str) -> bool:
        return not self.owner or owner == self.owner

    def _open(self, search: ArchitectureSearch) -> str:
        """The name of the segment that has room."""
        last = max(0, len(self._segments) - 1)
        held = self._segments.get(archive_name(search.name, last))
        full = held is not None and (
            len(held.records) >= SEGMENT or held.size >= FULL_BYTES or held.text >= FULL_TEXT
        )
        return archive_name(search.name, last + 1 if full else last)

    def _room(self, name: str, fresh: Sequence[Record]) -> int:
        """How many more records a segment takes: one at least, which may be more than it should."""
        old = self._segments.get(name)
        held, size, text = (old.records, old.size, old.text) if old else ((), 0, 0)
        most = min(SEGMENT - len(held), len(fresh))
        added = len(_lines(fresh[:most]))
        if size + added <= FULL_BYTES and text + added < FULL_TEXT:
            return most

        def share(count: int) -> float:
            lines = _lines([*held, *fresh[:count]])
            return max(len(_zipped(lines)) / FULL_BYTES, len(lines) / FULL_TEXT)

        return max(1, bisect_right(range(1, most + 1), 1.0, key=share))

    async def _write(self, search: ArchitectureSearch, name: str, added: Sequence[Record]) -> None:
        old = self._segments.get(name)
        records = (*(old.records if old else ()), *added)
        body = _segment(search, name, records)
        if old is None:
            written = await self._api.create(CONFIG_MAPS, self._key[0], body)
        else:
            written = await self._replace(old, body)
        self._store.apply(written)
        self._segments[name] = _read(written)
        assert self._segments[name].records == records, f"{name} does not hold what was written"

    async def _replace(self, old: Segment, body: Object) -> Object:
        """Write a segment in the place of an older state of it, or anew if somebody deleted it."""
        name, fences = body["metadata"]["name"], {"resourceVersion": str(old.version), "uid": old.uid}
        fenced = {**body, "metadata": body["metadata"] | fences}
        try:
            return await self._api.replace(CONFIG_MAPS, self._key[0], name, fenced)
        except ApiError as error:
            if error.status != 404:
                raise
            self._store.forget(self._key[0], name, old.uid)
            return await self._api.create(CONFIG_MAPS, self._key[0], body)

    async def _load(self, name: str) -> None:
        found = await self._api.get(CONFIG_MAPS, self._key[0], name)
        if found is not None and self._is_ours(controller(found)):
            try:
                self._segments[name] = _read(found)
            except ArchiveUnreadableError as error:
                self.fault = error


def _segment(search: ArchitectureSearch, name: str, records: Sequence[Record]) -> Object:
    labels = {MANAGED_BY[0]: MANAGED_BY[1], SEARCH: search.name, PART: "archive"}
    packed = base64.b64encode(_zipped(_lines(records))).decode()
    return {
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner_of(search)]},
        "binaryData": {_KEY: packed},
    }


def _zipped(lines: bytes) -> bytes:
    # Higher levels take several times as long, in which no other search is served, and save little.
    return gzip.compress(lines, compresslevel=6, mtime=0)


def _lines(records: Sequence[Record]) -> bytes:
    lines = "\n".join(json.dumps(archived(r), separators=(",", ":"), sort_keys=True) for r in records)
    return lines.encode()


def _read(found: Object) -> Segment:
    """A segment as its ConfigMap holds it; raises ArchiveUnreadableError."""
    metadata = found["metadata"]
    packed = base64.b64decode((found.get("binaryData") or {}).get(_KEY, ""))
    try:
        text = _unzipped(packed) if packed else b""
        records = tuple(_record(number, line) for number, line in enumerate(_split(text), 1))
    except ValueError as error:
        raise ArchiveUnreadableError(metadata["name"], str(error)) from error
    return Segment(metadata["uid"], int(metadata["resourceVersion"]), records, len(packed), len(text))


def _unzipped(packed: bytes) -> bytes:
    """Unpack no more than a segment of ours can hold: spaces shrink to a thousandth. Raises ValueError."""
    unpacking = zlib.decompressobj(wbits=_GZIP)
    try:
        text = unpacking.decompress(packed, MOST_TEXT + 1)
    except zlib.error as error:
        raise ValueError(f"found what gzip can't unpack ({error}), wanted records") from error
    if len(text) > MOST_TEXT:
        raise ValueError(
            f"found more than {MOST_TEXT} bytes once unpacked, wanted {FULL_TEXT} or little more"
        )
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError(f"found {len(packed)} bytes that are not one whole gzip file, wanted one")
    return text


def _split(text: bytes) -> list[bytes]:
    """The lines of a segment; raises ValueError before more are made than a segment of ours can have."""
    lines = text.rstrip(b"\n")
    count = lines.count(b"\n") + 1
    if count > SEGMENT:
        raise ValueError(f"found {count} lines, wanted {SEGMENT} records at most")
    return lines.split(b"\n") if lines else []


def _record(number: int, line: bytes) -> Record:
    """One line as a record; raises ValueError."""
    try:
        found = record_of(json.loads(line))
    # Pydantic's and JSON's errors are ValueErrors; what is nested too deeply is not.
    except (ValueError, RecursionError) as error:
        kind = type(error).__name__
        raise ValueError(
            f"found a line {number} that is no record ({kind}), wanted one record a line"
        ) from error
    if not _is_possible(found):
        raise ValueError(
            f"found a line {number} that no finished candidate leaves, wanted a name, a phase that is an end, an "
            "ordinal and scores"
        )
    return found


def _is_possible(found: Record) -> bool:
    """Whether a candidate can have left a record: whatever else stands there would be believed, too."""
    numbers = (*found.scores, *([] if found.fitness is None else [found.fitness]))
    named = len(found.name) <= MAX_NAME and _NAME.fullmatch(found.name) is not None
    placed = found.terminal and found.ordinal >= 0 and found.depth == len(found.scores)
    return named and placed and all(abs(one) < MOST_SCORE for one in numbers)
