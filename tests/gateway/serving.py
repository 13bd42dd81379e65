"""The gateway on a real port of this machine, over a cluster in memory."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from aiohttp import web

from asiarch.api.code import digest
from asiarch.api.context import Context, Experiment
from asiarch.api.names import CANDIDATE, MANAGED_BY, PART, SEARCH, code_name, context_name, object_name
from asiarch.gateway.limits import Limits, Rate
from asiarch.gateway.metrics import Metrics, page
from asiarch.gateway.provider import Grammar, Provider
from asiarch.gateway.server import app, runner
from tests.gateway.memory import MemoryCluster

GENEROUS = Limits(pod=Rate(1e9, 1e9), stranger=Rate(1e9, 1e9))


@dataclass
class Clock:
    """The real time, which a test may move on."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Served:
    """A running gateway."""

    clock: Clock = field(default_factory=Clock)
    metrics: Metrics = field(default_factory=Metrics)
    url: str = ""
    metrics_url: str = ""

    def __post_init__(self) -> None:
        self.cluster = MemoryCluster(self.clock)

    def ask(
        self, method: str, path: str, token: str | None = None, content: bytes | None = None
    ) -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.request(method, self.url + path, headers=headers, content=content, trust_env=False)

    def stored(self, order: str = "s-0001-propose-a1") -> str:
        """The result that is kept of an order."""
        return str(self.cluster.objects["team", f"{object_name(order)}-result"]["data"]["result.json"])


@contextmanager
def gateway(limits: Limits = GENEROUS, provider: Provider | None = None) -> Iterator[Served]:
    """Serve in a thread of its own until the block ends."""
    served = Served()
    made = app(served.cluster, provider or Grammar(), served.metrics, limits, served.clock)
    loop, started = asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        runners = [runner(made), runner(page(served.metrics))]
        for one in runners:
            await one.setup()
            await web.TCPSite(one, "127.0.0.1", 0).start()
        served.url, served.metrics_url = (f"http://127.0.0.1:{one.addresses[0][1]}" for one in runners)
        started.set()
        await stop.wait()
        for one in runners:
            await one.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(10)
        yield served
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def ordered(served: Served, context: Context, pod: str = "x7k2p") -> str:
    """Do the operator's part: context and code as ConfigMaps, a pod; returns the pod's token."""
    cluster, name, search = served.cluster, context.order.name, context.order.search

    def by_digest(seen: Experiment | None) -> Experiment | None:
        if seen is None or not seen.code:
            return seen
        cluster.put(
            code_name(search, digest(seen.code)), {"candidate.py": seen.code}, **_labels(context, "code")
        )
        return seen.model_copy(update={"code": f"sha256:{digest(seen.code)}"})

    alone = {role: by_digest(getattr(context, role)) for role in ("me", "parent", "grandparent")}
    many = {role: tuple(map(by_digest, getattr(context, role))) for role in ("references", "siblings")}
    text = context.model_copy(update=alone | many).model_dump_json(by_alias=True)
    cluster.put(context_name(name), {"context.json": text}, **_labels(context, "context"))
    return cluster.issue(f"{object_name(name)}-{pod}", f"uid-{pod}")


def _labels(context: Context, part: str) -> dict[str, str]:
    order = context.order
    return {MANAGED_BY[0]: MANAGED_BY[1], SEARCH: order.search, CANDIDATE: order.candidate, PART: part}
