"""A call reaches the API server once, whatever becomes of the connection."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from kubernetes.aio import client

from asiarch.kube.client import JOBS, Api, ApiError
from asiarch.kube.limits import Limits
from tests.kube.test_limits import Unwatched

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Breaking:
    """A server that answers the first request of each connection, reads the second one and hangs up."""

    def __init__(self, *, reset: bool) -> None:
        self.arrived: Counter[str] = Counter()
        self._reset = reset

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client."""
        try:
            await self._read(reader)
            writer.write(ANSWER)
            await self._read(reader)
        except asyncio.IncompleteReadError:
            pass
        if self._reset:
            writer.transport.abort()
        writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lengths = [line for line in head.splitlines() if line.lower().startswith("content-length:")]
        await reader.readexactly(int(lengths[0].split(":")[1]) if lengths else 0)
        self.arrived[head.split()[0]] += 1


@asynccontextmanager
async def calls_to(server: Breaking) -> AsyncIterator[Api]:
    """Calls over one connection that has been used before."""
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as served:
        configuration = client.Configuration(host=f"http://127.0.0.1:{served.sockets[0].getsockname()[1]}")
        limits = Limits(asyncio.get_running_loop().time)
        async with Api(configuration, limits, Unwatched()) as api:
            await api.patch(JOBS, "team", "before", {})
            yield api


CALLS: dict[str, Callable[[Api], Awaitable[object]]] = {
    "GET": lambda api: api.get(JOBS, "team", "x"),
    "PUT": lambda api: api.replace(JOBS, "team", "x", {}),
    "POST": lambda api: api.create(JOBS, "team", {}),
    "DELETE": lambda api: api.delete(JOBS, "team", "x", "uid"),
}


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
def test_a_call_whose_connection_breaks_arrives_once(method: str, *, reset: bool) -> None:
    server = Breaking(reset=reset)

    async def story() -> ApiError:
        async with calls_to(server) as api:
            with pytest.raises(ApiError) as refusal:
                await CALLS[method](api)
            return refusal.value

    refusal = asyncio.run(story())
    assert server.arrived == {"PATCH": 1, method: 1}
    assert (refusal.status, refusal.reason) == (0, "Unreachable")
    assert f"{method} /apis/batch/v1/namespaces/team/jobs" in refusal.message
