"""An API server that asks for quiet gets it, for a while, and never at the price of a lease; a crowd is sent away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from kubernetes.aio import client

from asiarch.gateway.cluster import BusyError
from asiarch.kube.client import CONFIG_MAPS, JOBS, LEASES, PODS, Api, ApiError, Kind
from asiarch.kube.gateway import ApiCluster
from asiarch.kube.limits import CrowdedError, Limits
from asiarch.kube.probes import serving

LONGEST = 30.0


class Unwatched:
    """Counts no calls."""

    def api_request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        pass


@asynccontextmanager
async def asked_for_quiet(kind: Kind, retry_after: str, longest: float = float("inf")) -> AsyncIterator[Api]:
    """Calls to a server that has refused one of this kind with a Retry-After, and takes all others."""

    async def answer(request: web.Request) -> web.Response:
        if f"/{kind.plural}/" in request.path:
            return web.json_response({}, status=429, headers={"Retry-After": retry_after})
        return web.json_response({"metadata": {}})

    served = web.Application()
    served.router.add_get("/{rest:.*}", answer)
    async with serving(served, "127.0.0.1", 0) as port:
        configuration = client.Configuration(host=f"http://127.0.0.1:{port}")
        limits = Limits(asyncio.get_running_loop().time, longest=longest)
        async with Api(configuration, limits, Unwatched()) as api:
            with pytest.raises(ApiError) as refusal:
                await api.get(kind, "team", "x")
            assert (refusal.value.status, refusal.value.retry_after) == (
                429,
                min(float(retry_after), LONGEST),
            )
            yield api


async def passes(call: Callable[[], Awaitable[object]]) -> bool:
    try:
        await asyncio.wait_for(call(), 1.5)
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("retry_after", ["5", "900"])
def test_a_lease_does_not_wait_for_the_quiet_that_others_were_asked_for(retry_after: str) -> None:
    async def story() -> None:
        async with asked_for_quiet(JOBS, retry_after) as api:
            assert not await passes(lambda: api.get(PODS, "team", "x"))
            assert await passes(lambda: api.get(LEASES, "team", "x"))

    asyncio.run(story())


def test_a_lease_waits_for_its_own() -> None:
    async def story() -> None:
        async with asked_for_quiet(LEASES, "5") as api:
            assert await passes(lambda: api.get(PODS, "team", "x"))
            assert not await passes(lambda: api.get(LEASES, "team", "x"))

    asyncio.run(story())


class Time:
    """A clock that stands still, so that nothing drips in."""

    def __call__(self) -> float:
        return 0.0


def test_who_stops_waiting_leaves_its_turn_to_the_others() -> None:
    async def story() -> None:
        limits = Limits(Time(), rate=10, burst=1)
        await limits.wait(write=True)
        waiting = [asyncio.create_task(limits.wait(write=True)) for _ in range(1500)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.wait_for(limits.wait(write=True), 0.5)

    asyncio.run(story())


def test_what_would_wait_too_long_is_refused_and_owes_nothing() -> None:
    async def story() -> None:
        limits = Limits(Time(), rate=10, burst=1, longest=0.25)
        waits = await asyncio.gather(*(limits.wait(write=True) for _ in range(50)), return_exceptions=True)
        refused = [wait for wait in waits if isinstance(wait, CrowdedError)]
        assert len(waits) - len(refused) == 3
        assert {round(wait.seconds, 3) for wait in refused} == {0.3}

    asyncio.run(story())


@asynccontextmanager
async def a_server_that_takes_all(limits: Limits) -> AsyncIterator[ApiCluster]:
    """The gateway's calls under these limits, to a server without any."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"metadata": {}, "status": {"authenticated": False}}, status=201)

    served = web.Application()
    served.router.add_post("/{rest:.*}", answer)
    async with serving(served, "127.0.0.1", 0) as port:
        configuration = client.Configuration(host=f"http://127.0.0.1:{port}")
        async with Api(configuration, limits, Unwatched()) as api:
            yield ApiCluster(api)


def test_a_result_does_not_wait_for_the_tokens_that_strangers_have_reviewed() -> None:
    async def story() -> None:
        async with a_server_that_takes_all(Limits(Time(), rate=1, burst=5, longest=0.5)) as cluster:
            reviews = await asyncio.gather(
                *(cluster.review("x", "y") for _ in range(20)), return_exceptions=True
            )
            assert sum(isinstance(review, BusyError) for review in reviews) == 15
            await asyncio.wait_for(cluster.create_config_map("team", {"metadata": {"name": "r"}}), 0.5)

    asyncio.run(story())


def test_a_gateway_that_is_asked_too_much_says_when_to_come_again() -> None:
    async def story() -> None:
        async with a_server_that_takes_all(Limits(Time(), rate=1, burst=1, longest=0.5)) as cluster:
            await cluster.create_config_map("team", {"metadata": {"name": "a"}})
            with pytest.raises(BusyError) as refusal:
                await cluster.create_config_map("team", {"metadata": {"name": "b"}})
            assert refusal.value.retry_after == 1

    asyncio.run(story())


def test_a_read_is_refused_where_the_server_wants_a_long_quiet() -> None:
    async def story() -> None:
        async with asked_for_quiet(JOBS, "5", longest=2.0) as api:
            with pytest.raises(ApiError) as refusal:
                await api.get(CONFIG_MAPS, "team", "x")
            assert refusal.value.status == 429

    asyncio.run(story())
