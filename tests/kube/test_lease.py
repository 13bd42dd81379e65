"""Who holds the lease acts, by clocks that are never compared, and by fenced writes."""

import asyncio
from itertools import count

import pytest

from asiarch.kube.client import LEASES, ApiError, Kind, Object
from asiarch.kube.lease import Claim, Clocks, Lease, LeaseLostError
from tests.builders import T0
from tests.kube.memory import Memory
from tests.kube.patience import run

PLACE = ("leases", "ops", "asiarch")


def a_lease(api: Memory, identity: str = "one", ahead: float = 0.0) -> Lease:
    """A claim of a process whose clocks are `ahead` of the others'."""
    loop = asyncio.get_running_loop()
    clocks = Clocks(lambda: loop.time() + ahead, lambda: T0 + loop.time() + ahead)
    return Lease(api, Claim("ops", "asiarch", identity), clocks)


def record(api: Memory) -> Object:
    spec: Object = api.objects[PLACE]["spec"]
    return spec


def unreachable(_verb: str, _kind: Kind, _name: str) -> None:
    raise ApiError(0, "Unreachable", "connection reset")


async def seconds_of(work: asyncio.Future[None] | asyncio.Task[None]) -> float:
    """How long it takes from now to its end, whatever the end is."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await asyncio.wait([work])
    return loop.time() - begun


def test_the_first_one_gets_it_at_once() -> None:
    async def story() -> None:
        api = Memory()
        await a_lease(api).acquire()
        assert record(api)["holderIdentity"] == "one"
        assert record(api)["leaseDurationSeconds"] == 15
        assert record(api)["renewTime"].endswith("000Z")

    run(story())


def test_the_second_one_waits_as_long_as_the_first_renews() -> None:
    async def story() -> None:
        api = Memory()
        first, second = a_lease(api, "one"), a_lease(api, "two")
        await first.acquire()
        keeping, waiting = asyncio.create_task(first.keep()), asyncio.create_task(second.acquire())
        await asyncio.sleep(3600)
        assert record(api)["holderIdentity"] == "one"
        assert not keeping.done()
        keeping.cancel()
        waiting.cancel()

    run(story())


@pytest.mark.parametrize("ahead", [-86_400.0, 0.0, 86_400.0])
def test_a_silent_holder_is_followed_after_the_duration_whatever_the_clocks_say(ahead: float) -> None:
    async def story() -> None:
        api = Memory()
        await a_lease(api, "one").acquire()
        second = a_lease(api, "two", ahead)
        waited = await seconds_of(asyncio.create_task(second.acquire()))
        assert 15 <= waited <= 18
        assert record(api)["holderIdentity"] == "two"
        assert record(api)["leaseTransitions"] == 1

    run(story())


def test_who_cannot_renew_gives_up_before_another_may_take_it() -> None:
    async def story() -> None:
        api = Memory()
        first = a_lease(api, "one")
        await first.acquire()
        api.before = unreachable
        keeping = asyncio.create_task(first.keep())
        assert await seconds_of(keeping) == pytest.approx(10)
        assert isinstance(keeping.exception(), LeaseLostError)

    run(story())


def test_a_call_that_never_returns_does_not_outlast_the_deadline() -> None:
    class BlackHole(Memory):
        async def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
            if self.objects:
                await asyncio.sleep(10_000)
            return await super().get(kind, namespace, name)

    async def story() -> None:
        first = a_lease(BlackHole(), "one")
        await first.acquire()
        keeping = asyncio.create_task(first.keep())
        assert await seconds_of(keeping) == pytest.approx(10)
        assert isinstance(keeping.exception(), LeaseLostError)

    run(story())


def test_a_short_outage_costs_nothing() -> None:
    async def story() -> None:
        api = Memory()
        first = a_lease(api, "one")
        await first.acquire()
        keeping = asyncio.create_task(first.keep())
        api.before = unreachable
        await asyncio.sleep(7)
        api.before = lambda _verb, _kind, _name: None
        await asyncio.sleep(100)
        assert not keeping.done()
        keeping.cancel()

    run(story())


def test_who_was_stopped_and_woken_after_a_take_over_writes_nothing() -> None:
    async def story() -> None:
        api = Memory()
        first = a_lease(api, "one")
        await first.acquire()
        await a_lease(api, "two").acquire()
        before = api.objects[PLACE]
        with pytest.raises(LeaseLostError, match="could not be renewed"):
            await first.keep()
        assert api.objects[PLACE] == before

    run(story())


def test_who_sees_another_holder_is_lost_at_once() -> None:
    async def story() -> None:
        api = Memory()
        first = a_lease(api, "one")
        await first.acquire()
        api.objects[PLACE]["spec"] |= {"holderIdentity": "two"}
        keeping = asyncio.create_task(first.keep())
        assert await seconds_of(keeping) == pytest.approx(2)
        with pytest.raises(LeaseLostError, match="taken by two"):
            keeping.result()

    run(story())


def test_of_two_that_reach_for_it_at_once_one_gets_it() -> None:
    async def story() -> None:
        api = Memory()
        leases = [a_lease(api, f"process-{i}") for i in range(5)]
        waiting = {asyncio.create_task(lease.acquire()) for lease in leases}
        done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(3)
        assert len(done) == 1
        assert not any(task.done() for task in rest)
        for task in rest:
            task.cancel()

    run(story())


def test_a_write_that_was_overtaken_is_refused_and_not_repeated() -> None:
    async def story() -> None:
        api = Memory()
        numbers = count()

        def overtake(verb: str, _kind: Kind, _name: str) -> None:
            if verb == "update" and next(numbers) == 0:
                meta = api.objects[PLACE]["metadata"]
                api.objects[PLACE] = {**api.objects[PLACE], "metadata": {**meta, "resourceVersion": "999"}}
                api.objects[PLACE]["spec"] = {**record(api), "holderIdentity": "two"}

        first = a_lease(api, "one")
        await first.acquire()
        api.before = overtake
        with pytest.raises(LeaseLostError, match="taken by two"):
            await first.keep()
        assert record(api)["holderIdentity"] == "two"

    run(story())


def test_a_lease_given_back_is_free_at_once() -> None:
    async def story() -> None:
        api = Memory()
        first = a_lease(api, "one")
        await first.acquire()
        await first.release()
        assert await seconds_of(asyncio.create_task(a_lease(api, "two").acquire())) == 0

    run(story())


def test_only_the_holder_gives_it_back() -> None:
    async def story() -> None:
        api = Memory()
        await a_lease(api, "one").acquire()
        await a_lease(api, "two").release()
        assert record(api)["holderIdentity"] == "one"

    run(story())


def test_giving_back_may_fail() -> None:
    async def story() -> None:
        api = Memory()
        first = a_lease(api, "one")
        await first.acquire()
        api.before = unreachable
        await first.release()
        assert record(api)["holderIdentity"] == "one"

    run(story())


def test_a_deleted_lease_is_made_anew() -> None:
    async def story() -> None:
        api = Memory()
        first = a_lease(api, "one")
        await first.acquire()
        keeping = asyncio.create_task(first.keep())
        await api.delete(LEASES, "ops", "asiarch", api.objects[PLACE]["metadata"]["uid"])
        await asyncio.sleep(5)
        assert record(api)["holderIdentity"] == "one"
        assert not keeping.done()
        keeping.cancel()

    run(story())


@pytest.mark.parametrize("claimed", [None, 0, -5, 10**9, "soon"])
def test_a_duration_that_makes_no_sense_is_replaced_by_ours(claimed: object) -> None:
    async def story() -> None:
        api = Memory()
        await a_lease(api, "one").acquire()
        api.objects[PLACE]["spec"]["leaseDurationSeconds"] = claimed
        assert 15 <= await seconds_of(asyncio.create_task(a_lease(api, "two").acquire())) <= 18

    run(story())
