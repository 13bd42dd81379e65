"""An API server that asks for quiet gets it, for a while, and never at the price of a lease."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from kubernetes.aio import client

from asiarch.kube.client import JOBS, LEASES, PODS, Api, ApiError, Kind
from asiarch.kube.limits import Limits
from asiarch.kube.probes import serving

LONGEST = 30.0


class Unwatched:
    """Counts no calls."""

    def api_request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        pass


@asynccontextmanager
async def asked_for_quiet(kind: Kind, retry_after: str) -> AsyncIterator[Api]:
    """Calls to a server that has refused one of this kind with a Retry-After, and takes all others."""

    async def answer(request: web.Request) -> web.Response:
        if f"/{kind.plural}/" in request.path:
            return web.json_response({}, status=429, headers={"Retry-After": retry_after})
        return web.json_response({"metadata": {}})

    served = web.Application()
    served.router.add_get("/{rest:.*}", answer)
    async with serving(served, "127.0.0.1", 0) as port:
        configuration = client.Configuration(host=f"http://127.0.0.1:{port}")
        async with Api(configuration, Limits(asyncio.get_running_loop().time), Unwatched()) as api:
            with pytest.raises(ApiError) as refusal:
                await api.get(kind, "team", "x")
            assert (refusal.value.status, refusal.value.retry_after) == (
                429,
                min(float(retry_after), LONGEST),
            )
            yield api


async def passes(call: Callable[[], Awaitable[object]]) -> bool:
    try:
        await asyncio.wait_for(call(), 0.3)
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
