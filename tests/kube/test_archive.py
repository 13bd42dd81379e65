"""The archive keeps the record of every candidate whose object is gone, through restarts and lost answers."""

import asyncio
import base64
import gzip
import json
import math
import random
import re
import tracemalloc
from dataclasses import replace

import pytest

from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Cost
from asiarch.core.observation import Record
from asiarch.kube.archive import (
    FULL_BYTES,
    FULL_TEXT,
    GAPS,
    MOST_TEXT,
    SEGMENT,
    Archive,
    ArchiveUnreadableError,
    _read,
)
from asiarch.kube.client import CONFIG_MAPS, ApiError, Kind
from asiarch.kube.kept import Part, read_part, search_of_label
from asiarch.kube.store import Store
from asiarch.kube.troubles import of_archive
from tests.builders import a_search
from tests.kube.memory import Memory

KEY = ("team", "s")


def search() -> ArchitectureSearch:
    found = a_search()
    metadata = found.metadata.model_copy(update={"name": "s", "namespace": "team", "uid": "uid-s"})
    return found.model_copy(update={"metadata": metadata})


def a_store() -> Store[Part]:
    return Store(CONFIG_MAPS, search_of_label, read_part)


def records(count: int, first: int = 0) -> list[Record]:
    numbers = range(first, first + count)
    return [
        Record(name=f"s-{n:04d}", ordinal=n, origin="Proposed", phase="Failed", cost=Cost(seconds=n))
        for n in numbers
    ]


async def watched(memory: Memory) -> Store[Part]:
    """A store as a new process fills it."""
    store = a_store()
    async for page in memory.pages(CONFIG_MAPS, "team"):
        store.replace(page.items, int(page.resource_version))
    return store


def test_what_was_written_is_read_by_the_next_process() -> None:
    async def scenario() -> None:
        memory = Memory()
        await Archive(memory, a_store(), KEY).add(search(), records(3))
        found = await Archive(memory, await watched(memory), KEY).records()
        assert list(found) == records(3)

    asyncio.run(scenario())


def test_writing_a_record_twice_keeps_it_once() -> None:
    async def scenario() -> None:
        memory = Memory()
        archive = Archive(memory, a_store(), KEY)
        await archive.add(search(), records(2))
        await archive.add(search(), records(3))
        assert list(await archive.records()) == records(3)

    asyncio.run(scenario())


def test_a_segment_holds_a_thousand() -> None:
    async def scenario() -> None:
        memory = Memory()
        archive = Archive(memory, a_store(), KEY)
        await archive.add(search(), records(SEGMENT - 1))
        await archive.add(search(), records(3, first=SEGMENT - 1))
        assert sorted(name for _, _, name in memory.objects) == ["s-archive-0000", "s-archive-0001"]
        assert len(await Archive(memory, await watched(memory), KEY).records()) == SEGMENT + 2

    asyncio.run(scenario())


def test_a_full_segment_of_long_records_fits_into_a_config_map() -> None:
    async def scenario() -> None:
        memory = Memory()
        long = [
            Record(
                name=f"s-{n:04d}",
                ordinal=n,
                origin="Proposed",
                parents=(f"s-{n - 1:04d}",),
                references=tuple(f"s-{n - i:04d}" for i in range(4)),
                phase="Failed",
                scores=(0.123456 + n / 1e6, 0.7),
                depth=2,
                fingerprint=f"{n:064x}",
            )
            for n in range(SEGMENT)
        ]
        await Archive(memory, a_store(), KEY).add(search(), long)
        (segment,) = memory.objects.values()
        assert len(str(segment)) < 1 << 20

    asyncio.run(scenario())


def test_a_call_that_fails_loses_no_record() -> None:
    async def scenario() -> None:
        memory = Memory()
        archive = Archive(memory, await watched(memory), KEY)
        await archive.add(search(), records(1))

        def broken(verb: str, _kind: Kind, _name: str) -> None:
            if verb == "update":
                memory.before = lambda *_: None
                raise ApiError(0, "Unreachable", "reset")

        memory.before = broken
        with pytest.raises(ApiError):
            await archive.add(search(), records(2))
        await archive.add(search(), records(2))
        assert list(await archive.records()) == records(2)

    asyncio.run(scenario())


def test_one_that_was_overtaken_is_refused() -> None:
    async def scenario() -> None:
        memory = Memory()
        ours, theirs = Archive(memory, a_store(), KEY), Archive(memory, a_store(), KEY)
        await ours.add(search(), records(1))
        with pytest.raises(ApiError, match="409"):
            await theirs.add(search(), records(1, first=1))
        assert list(await ours.records()) == records(1)

    asyncio.run(scenario())


def test_a_segment_of_records_in_many_signs_is_closed_before_it_outgrows_a_config_map() -> None:
    async def scenario() -> None:
        memory, draw = Memory(), random.Random(1)
        signs = range(0x4E00, 0x9FFF)
        long = [replace(r, title="".join(map(chr, draw.choices(signs, k=2500)))) for r in records(200)]
        archive = Archive(memory, a_store(), KEY)
        await archive.add(search(), long[:-20])
        await archive.add(search(), long[-20:])
        sizes = [len(base64.b64decode(s["binaryData"]["records.jsonl.gz"])) for s in memory.objects.values()]
        assert len(sizes) == 2
        assert all(size < FULL_BYTES + 8192 for size in sizes)
        found = await Archive(memory, await watched(memory), KEY).records()
        assert list(found) == long

    asyncio.run(scenario())


@pytest.mark.parametrize("seen", [False, True], ids=["unseen", "seen"])
def test_segments_that_somebody_deleted_are_written_again_from_memory(*, seen: bool) -> None:
    async def scenario() -> None:
        memory, store = Memory(), a_store()
        archive = Archive(memory, store, KEY)
        await archive.add(search(), records(SEGMENT + 1))
        for found in memory.of(CONFIG_MAPS):
            metadata = found["metadata"]
            await memory.delete(CONFIG_MAPS, "team", metadata["name"], metadata["uid"])
            if seen:
                store.remove(found)
        await archive.add(search(), records(1, first=SEGMENT + 1))
        there = await Archive(memory, await watched(memory), KEY).records()
        assert list(there) == records(SEGMENT + 2)[0 if seen else SEGMENT :]
        assert list(await archive.records()) == records(SEGMENT + 2)

    asyncio.run(scenario())


def test_a_segment_of_another_search_of_this_name_is_not_ours() -> None:
    async def scenario() -> None:
        memory = Memory()
        await Archive(memory, a_store(), KEY).add(search(), records(1))
        heir = Archive(memory, await watched(memory), KEY)
        heir.owner = "uid-of-the-heir"
        assert await heir.records() == ()
        heir.owner = "uid-s"
        assert list(await heir.records()) == records(1)

    asyncio.run(scenario())


def found(packed: bytes) -> dict[str, str]:
    return {"records.jsonl.gz": base64.b64encode(packed).decode()}


def a_line(**fields: object) -> bytes:
    """A record as anybody could write it."""
    return json.dumps({"name": "x", "ordinal": 1, "origin": "Proposed", **fields}).encode()


BROKEN = {
    "a bomb": (gzip.compress(b" " * (MOST_TEXT + 1)), f"found more than {MOST_TEXT} bytes once unpacked"),
    "a bomb of lines": (gzip.compress(b"\n1" * MOST_TEXT)[:1_000_000], f"more than {MOST_TEXT} bytes"),
    "many lines": (
        gzip.compress(b"1\n" * 2 * SEGMENT),
        f"found {2 * SEGMENT} lines, wanted {SEGMENT} records",
    ),
    "no gzip": (b"records", "found what gzip can't unpack"),
    "half a file": (gzip.compress(b"{}" * 1000)[:-9], "that are not one whole gzip file"),
    "two files": (gzip.compress(b"") * 2, "that are not one whole gzip file"),
    "no JSON": (gzip.compress(b"{"), "found a line 1 that is no record (JSONDecodeError)"),
    "no record": (gzip.compress(b'{"name":1}'), "found a line 1 that is no record (ValidationError)"),
    "a tower": (gzip.compress(b"[" * 100_000), "found a line 1 that is no record (RecursionError)"),
    "nobody's end": (gzip.compress(a_line()), "found a line 1 that no finished candidate leaves"),
    "no number": (gzip.compress(a_line(phase="Failed", ordinal=-1)), "that no finished candidate leaves"),
    "no score": (gzip.compress(a_line(phase="Complete", fitness=math.nan)), "no finished candidate leaves"),
    "a rung too many": (gzip.compress(a_line(phase="Complete", depth=99)), "no finished candidate leaves"),
    "no name": (gzip.compress(a_line(name="A b", phase="Failed")), "no finished candidate leaves"),
    "no digits": (gzip.compress(a_line(phase="Complete", fitness=1e30)), "no finished candidate leaves"),
    "a number too far": (
        gzip.compress(a_line(phase="Failed", ordinal=10**12)),
        f"found the ordinal {10**12}, wanted at most {GAPS + 2}",
    ),
    "no text": (gzip.compress(b"\xff\xfe\xfd"), "found a line 1 that is no record (UnicodeDecodeError)"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_segment_that_is_not_ours_to_read_is_named_and_not_unpacked(what: str) -> None:
    packed, fault = BROKEN[what]

    async def scenario() -> None:
        memory = Memory()
        await Archive(memory, a_store(), KEY).add(search(), records(1))
        (segment,) = memory.objects.values()
        segment["binaryData"] = found(packed)
        archive = Archive(memory, await watched(memory), KEY)
        with pytest.raises(ArchiveUnreadableError, match=re.escape(fault)) as error:
            await archive.records()
        assert str(error.value).startswith("ConfigMap s-archive-0000 (key: records.jsonl.gz) can't be read: ")

    asyncio.run(scenario())


def test_what_can_be_read_or_could_be_before_is_still_there_beside_what_cannot() -> None:
    async def scenario() -> None:
        memory, store = Memory(), a_store()
        archive = Archive(memory, store, KEY)
        await archive.add(search(), records(SEGMENT + 2))
        for segment in memory.objects.values():
            version = int(segment["metadata"]["resourceVersion"]) + 1000
            segment["metadata"]["resourceVersion"] = str(version)
        last = memory.objects["configmaps", "team", "s-archive-0001"]
        whole, last["binaryData"] = last["binaryData"], found(b"records")
        fresh = Archive(memory, await watched(memory), KEY)
        assert list(await fresh.legible()) == records(SEGMENT)
        assert fresh.fault is not None
        with pytest.raises(ArchiveUnreadableError):
            await fresh.add(search(), records(1, first=SEGMENT + 2))
        for one in memory.of(CONFIG_MAPS):
            store.apply(one)
        assert list(await archive.legible()) == records(SEGMENT + 2)
        assert archive.fault is not None
        last["binaryData"] = whole
        assert list(await fresh.records()) == records(SEGMENT + 2)
        assert fresh.fault is None

    asyncio.run(scenario())


def test_a_bomb_takes_no_more_memory_than_a_segment_of_ours() -> None:
    packed = gzip.compress(b" " * 100_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveUnreadableError):
            _read({"metadata": {"name": "s-archive-0000"}, "binaryData": found(packed)})
        assert tracemalloc.get_traced_memory()[1] < 4 * MOST_TEXT
    finally:
        tracemalloc.stop()


def test_the_search_stands_still_and_says_which_segment_and_what_to_do() -> None:
    trouble = of_archive(ArchiveUnreadableError("s-archive-0000", "found x, wanted y"))
    assert (trouble.reason, trouble.fatal) == (Reason.CONFIG_INVALID, True)
    assert (
        "ConfigMap s-archive-0000 (key: records.jsonl.gz) can't be read: found x, wanted y."
        in trouble.message
    )
    assert "Put it back as it was; or delete it" in trouble.message


def test_a_segment_is_closed_before_it_unpacks_to_more_than_is_read() -> None:
    async def scenario() -> None:
        memory = Memory()
        wide = [replace(r, title="x" * 12_000) for r in records(2 * FULL_TEXT // 12_000)]
        archive = Archive(memory, a_store(), KEY)
        for first in range(0, len(wide), 300):
            await archive.add(search(), wide[first : first + 300])
        packed = [base64.b64decode(s["binaryData"]["records.jsonl.gz"]) for s in memory.objects.values()]
        assert len(packed) == 3
        assert all(len(gzip.decompress(one)) < FULL_TEXT + 13_000 for one in packed)
        there = await Archive(memory, await watched(memory), KEY).records()
        assert list(there) == wide

    asyncio.run(scenario())


def test_a_segment_that_was_unpacked_and_packed_by_hand_is_read() -> None:
    async def scenario() -> None:
        memory = Memory()
        await Archive(memory, a_store(), KEY).add(search(), records(2))
        (segment,) = memory.objects.values()
        text = gzip.decompress(base64.b64decode(segment["binaryData"]["records.jsonl.gz"]))
        segment["binaryData"] = found(gzip.compress(text + b"\n"))
        there = await Archive(memory, await watched(memory), KEY).records()
        assert list(there) == records(2)

    asyncio.run(scenario())
