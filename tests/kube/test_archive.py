"""The archive keeps the record of every candidate whose object is gone, through restarts and lost answers."""

import asyncio
import base64
import random
from dataclasses import replace

import pytest

from asiarch.api.search import ArchitectureSearch, Cost
from asiarch.core.observation import Record
from asiarch.kube.archive import FULL_BYTES, SEGMENT, Archive
from asiarch.kube.client import CONFIG_MAPS, ApiError, Kind, Object
from asiarch.kube.kept import read_result, search_of_label
from asiarch.kube.store import Store
from tests.builders import a_search
from tests.kube.memory import Memory

KEY = ("team", "s")


def search() -> ArchitectureSearch:
    found = a_search()
    metadata = found.metadata.model_copy(update={"name": "s", "namespace": "team", "uid": "uid-s"})
    return found.model_copy(update={"metadata": metadata})


def a_store() -> Store[Object]:
    return Store(CONFIG_MAPS, search_of_label, read_result)


def records(count: int, first: int = 0) -> list[Record]:
    numbers = range(first, first + count)
    return [Record(name=f"s-{n:04d}", ordinal=n, origin="Proposed", cost=Cost(seconds=n)) for n in numbers]


async def watched(memory: Memory) -> Store[Object]:
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
        assert list(found.values()) == records(3)

    asyncio.run(scenario())


def test_writing_a_record_twice_keeps_it_once() -> None:
    async def scenario() -> None:
        memory = Memory()
        archive = Archive(memory, a_store(), KEY)
        await archive.add(search(), records(2))
        await archive.add(search(), records(3))
        assert list((await archive.records()).values()) == records(3)

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
                scores=(0.123456 + n / 1e6, 0.7),
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
        assert list((await archive.records()).values()) == records(2)

    asyncio.run(scenario())


def test_one_that_was_overtaken_is_refused() -> None:
    async def scenario() -> None:
        memory = Memory()
        ours, theirs = Archive(memory, a_store(), KEY), Archive(memory, a_store(), KEY)
        await ours.add(search(), records(1))
        with pytest.raises(ApiError, match="409"):
            await theirs.add(search(), records(1, first=1))
        assert list((await ours.records()).values()) == records(1)

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
        assert list(found.values()) == long

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
        assert list(there.values()) == records(SEGMENT + 2)[0 if seen else SEGMENT :]
        assert list((await archive.records()).values()) == records(SEGMENT + 2)

    asyncio.run(scenario())


def test_a_segment_of_another_search_of_this_name_is_not_ours() -> None:
    async def scenario() -> None:
        memory = Memory()
        await Archive(memory, a_store(), KEY).add(search(), records(1))
        heir = Archive(memory, await watched(memory), KEY)
        heir.owner = "uid-of-the-heir"
        assert await heir.records() == {}
        heir.owner = "uid-s"
        assert list((await heir.records()).values()) == records(1)

    asyncio.run(scenario())
