"""The work queue: each key once, one at a time, failed ones later and later."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from asiarch.kube.limits import Limits
from asiarch.kube.queue import (
    FIRST_RETRY,
    LAST_RETRY,
    LAST_RETRY_OF_OUTAGE,
    LONGEST_REST,
    NEW_ONES,
    REST,
    WorkQueue,
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


async def taken(queue: WorkQueue[str]) -> str:
    return (await asyncio.wait_for(queue.get(), 1.0))[0]


async def is_empty(queue: WorkQueue[str]) -> bool:
    try:
        await asyncio.wait_for(queue.get(), 0.02)
    except TimeoutError:
        return True
    return False


def test_a_key_that_is_added_twice_is_worked_on_once() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(Clock())
        queue.add("a")
        queue.add("a")
        assert await taken(queue) == "a"
        queue.done("a")
        assert await is_empty(queue)

    run(scenario())


def test_a_new_key_goes_before_others_and_others_are_never_forgotten() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(Clock())
        for number in range(2):
            queue.add(f"old-{number}")
        for number in range(NEW_ONES + 1):
            queue.add(f"new-{number}", new=True)
        queue.add("old-0", new=True)
        assert queue.depth == NEW_ONES + 3
        found = [await taken(queue) for _ in range(queue.depth)]
        assert found == [*(f"new-{n}" for n in range(NEW_ONES)), "old-0", f"new-{NEW_ONES}", "old-1"]

    run(scenario())


def test_a_key_is_never_worked_on_twice_at_once_and_never_forgotten() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(Clock())
        queue.add("a")
        assert await taken(queue) == "a"
        queue.add("a")
        assert await is_empty(queue)
        queue.done("a")
        assert await taken(queue) == "a"

    run(scenario())


def test_a_key_rests_after_its_work_however_often_it_is_added() -> None:
    async def scenario() -> None:
        clock = Clock()
        queue: WorkQueue[str] = WorkQueue(clock)
        queue.add("a")
        assert await taken(queue) == "a"
        queue.add("a")
        clock.now += 0.01
        queue.done("a")
        queue.add("a")
        assert await is_empty(queue)
        clock.now += 0.011 * REST
        assert await taken(queue) == "a"

    run(scenario())


def test_no_rest_is_long() -> None:
    async def scenario() -> None:
        clock = Clock()
        queue: WorkQueue[str] = WorkQueue(clock)
        queue.add("a")
        assert await taken(queue) == "a"
        clock.now += 60
        queue.done("a")
        queue.add("a")
        clock.now += 1.1 * LONGEST_REST
        assert await taken(queue) == "a"

    run(scenario())


def test_a_noisy_search_waits_behind_the_others() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(Clock())
        queue.add("noisy")
        assert await taken(queue) == "noisy"
        queue.add("quiet")
        queue.add("noisy")
        queue.done("noisy")
        assert [await taken(queue), await taken(queue)] == ["quiet", "noisy"]

    run(scenario())


def test_the_earliest_appointment_stands() -> None:
    async def scenario() -> None:
        clock = Clock()
        queue: WorkQueue[str] = WorkQueue(clock)
        queue.add_after("a", 5.0)
        queue.add_after("a", 9.0)
        queue.add_after("a", 2.0)
        clock.now += 2.0
        assert await taken(queue) == "a"
        queue.done("a")
        clock.now += 10.0
        assert await is_empty(queue)

    run(scenario())


def test_retries_grow_further_apart_until_it_gets_somewhere() -> None:
    queue: WorkQueue[str] = WorkQueue(Clock(), jitter=lambda: 1.0)
    waits = [queue.retry("a", progressed=False) for _ in range(12)]
    assert waits[:3] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
    assert waits[-1] == LAST_RETRY
    assert queue.retry("a", progressed=True) == FIRST_RETRY
    queue.succeed("a")
    assert queue.retry("a", progressed=False) == FIRST_RETRY


def test_an_outage_is_over_soon_for_a_key_that_failed_all_through_it() -> None:
    queue: WorkQueue[str] = WorkQueue(Clock(), jitter=lambda: 1.0)
    waits = [queue.retry("a", progressed=False, outage=True) for _ in range(12)]
    assert waits[:3] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
    assert waits[-1] == LAST_RETRY_OF_OUTAGE


def test_a_key_may_fail_as_often_as_it_likes() -> None:
    queue: WorkQueue[str] = WorkQueue(Clock(), jitter=lambda: 1.0)
    waits = [queue.retry("a", progressed=False) for _ in range(1100)]
    assert waits[-1] == LAST_RETRY


def test_a_worker_that_waits_is_woken_by_an_appointment() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(asyncio.get_running_loop().time)
        queue.add_after("a", 0.01)
        assert await taken(queue) == "a"

    run(scenario())


def test_a_closed_queue_hands_out_nothing_and_waits_for_what_it_handed_out() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(Clock())
        queue.add("a")
        assert await taken(queue) == "a"
        draining = asyncio.ensure_future(queue.drain())
        await asyncio.sleep(0)
        queue.add("a")
        queue.add("b")
        assert await is_empty(queue)
        assert not draining.done()
        queue.done("a")
        await asyncio.wait_for(draining, 1.0)
        assert await is_empty(queue)

    run(scenario())


def test_a_queue_that_works_on_nothing_is_drained_at_once() -> None:
    run(WorkQueue(Clock()).drain())


@pytest.mark.parametrize(("writes", "least"), [(2, 0.0), (4, 0.2)])
def test_writes_over_the_burst_drip(writes: int, least: float) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        limits = Limits(loop.time, rate=10, burst=2)
        begun = loop.time()
        for _ in range(writes):
            await limits.wait(write=True)
        assert loop.time() - begun >= least * 0.99

    run(scenario())


def test_nothing_is_asked_while_the_server_wants_quiet() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        limits = Limits(loop.time)
        limits.be_quiet(0.1)
        begun = loop.time()
        await limits.wait(write=False)
        assert loop.time() - begun >= 0.1

    run(scenario())
