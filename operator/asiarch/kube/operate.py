"""Runs the operator: list everything, watch, take turns, until told to stop; whatever breaks ends the process.

A process that ends is cheap: the next one lists everything and goes on. One that lives on half broken is not.
"""

import asyncio
import gc
import logging
import os
import platform
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from asiarch import __version__
from asiarch.core.actions import Plan
from asiarch.core.observation import Observation
from asiarch.kube import events, handlers
from asiarch.kube.client import Api, ApiError, Kind, Object, configured
from asiarch.kube.cluster import SELECTORS, Cluster, spread
from asiarch.kube.deployment import Deployment
from asiarch.kube.kept import Leaving
from asiarch.kube.lease import Claim, Clocks, Lease
from asiarch.kube.limits import Limits
from asiarch.kube.metrics import Build, Metrics
from asiarch.kube.probes import Health, application, serving
from asiarch.kube.reach import EVERYWHERE, RETRY_SECONDS
from asiarch.kube.recorder import Recorder
from asiarch.kube.store import SearchKey
from asiarch.kube.worker import Worker, heartbeat

_log = logging.getLogger(__name__)

STOP_SECONDS = 5.0
"""What turns under way are given to end, before the process does."""
_BEAT = 0.5
_DEEPEST = 25_000
"""Levels of recursion: JSON as the API server takes it has up to 10,000, each of which may count twice."""
_YOUNG = 20_000
"""Objects between two looks for garbage: most of ours are JSON, which has no cycles, and goes by itself."""
_RETRY_LIST = 2.0
_PACE = 0.2
"""Seconds between two pages of a list that nobody waits for; a list of 100,000 objects takes three minutes then."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the operator is deployed."""

    deployment: Deployment
    namespaces: tuple[str, ...] = ()
    """Which are served; none is all of them."""
    kubeconfig: str | None = None
    host: str | None = None
    """Where probes and metrics are served; none is every address, of whichever family the cluster has."""
    port: int = 8080
    lease: str | None = None
    """The namespace of the Lease by which replicas stand by for each other; without one, none is needed."""
    workers: int = 8
    writes: float = 100.0
    """Writes to the API server per second."""
    resync: float = 300.0
    """Seconds between two full lists, more or less."""


class Operator:
    """One process's parts, each told by the others what it needs to know."""

    def __init__(self, settings: Settings, api: Api, metrics: Metrics, health: Health) -> None:
        self._settings = settings
        self._api = api
        self._metrics = metrics
        self._health = health
        self._cluster = Cluster(
            api, settings.deployment, settings.namespaces or None, time.monotonic, metrics
        )
        self._recorder = Recorder(api, socket.gethostname(), metrics.event)
        self._worker = Worker(self._cluster, metrics, self, api.now)
        self._rung: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._told = asyncio.Event()

    def obey(self) -> None:
        """Take SIGTERM and SIGINT as the word to stop, whoever took them before."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._told.set)

    async def stopped(self) -> None:
        """Return once told to stop, and when the turns under way have ended or had their time."""
        await self._told.wait()
        _log.info("Told to stop; turns under way are given %.0f s", STOP_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._worker.queue.drain()

    async def run(self) -> None:
        """Work for ever; raises what broke."""
        await self._list_all()
        _tidy()
        watch = handlers.watch(self._ring, self._api.configuration, self._cluster.namespaces, self.obey)
        turns = [self._worker.work() for _ in range(self._settings.workers)]
        self._worker.look_at_all()
        await _first(watch, self._resync(), self._ask_again(), self._recorder.run(), self._broken(), *turns)

    def took_turn(self, key: SearchKey, seen: Observation, plan: Plan) -> None:
        """Tell people and Prometheus what a turn saw and planned."""
        self._metrics.see(seen, key[0])
        for event in events.due(seen, plan):
            self._recorder.record(event, self._api.now())

    def gone(self, key: SearchKey, leaving: Leaving | None) -> None:
        """Forget a search that is no more; say what its object still waits for."""
        self._metrics.forget(*key)
        event = None if leaving is None else events.of_leaving(key, leaving)
        if event is not None:
            self._recorder.record(event, self._api.now())

    def _ring(self, kind: Kind, event: str | None, found: Object) -> None:
        """Take an event; an error of ours ends the process instead of being swallowed by the framework."""
        place = found["metadata"]["namespace"] if self._cluster.namespaces else None
        self._health.event(kind.plural, place, time.monotonic())
        self._metrics.watch_event(kind.plural, time.time())
        try:
            self._worker.ring(kind, event, found)
        except Exception as error:
            if not self._rung.done():
                self._rung.set_exception(error)
            raise

    async def _broken(self) -> None:
        await self._rung

    async def _list_all(self) -> None:
        """Fill the stores before anything is decided; what isn't there yet, API server or rights, is waited for."""
        for kind in SELECTORS:
            while True:
                try:
                    await self._list(kind)
                    break
                except ApiError as error:
                    _log.warning("Can't list %s: %s; again in %.0f s", kind.plural, error, _RETRY_LIST)
                    await asyncio.sleep(_RETRY_LIST)
        while self._cluster.reach.cut_off:
            await asyncio.sleep(_RETRY_LIST)
            await self._reach_out()

    async def _list(self, kind: Kind, pause: float = 0.0) -> None:
        lists = await self._cluster.list(kind, pause)
        for place, changed in lists.items():
            for key in changed:
                self._worker.queue.add(key)
            if self._health.hearing.listed(kind.plural, place, time.monotonic(), news=bool(changed)):
                self._metrics.watch_missed(kind.plural)
        if lists:
            self._listed(kind)
        self._tell_of_reach()

    def _listed(self, kind: Kind) -> None:
        self._health.listed(kind.plural, time.monotonic())
        self._metrics.relisted(kind.plural)
        self._metrics.stored(kind.plural, len(self._cluster.stores.of(kind)))

    def _tell_of_reach(self) -> None:
        reach = self._cluster.reach
        refusals = reach.unreachable
        for place in self._cluster.places:
            self._metrics.reaches(place or EVERYWHERE, reachable=place not in refusals)
        self._health.cut_off(reach.cut_off)

    async def _ask_again(self) -> None:
        """Ask namespaces that refused again, for ever."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            await self._reach_out()

    async def _reach_out(self) -> None:
        """Ask namespaces that refused; when one can be listed now, look at every search."""
        before = self._cluster.reach.unreachable
        for place in before:
            try:
                for key in await self._cluster.ask_again(place):
                    self._worker.queue.add(key)
            except ApiError as error:
                _log.warning("Can't list namespace %s: %s; again later", place or EVERYWHERE, error)
        self._tell_of_reach()
        if before.keys() - self._cluster.reach.unreachable.keys():
            for kind in SELECTORS:
                self._listed(kind)
            self._worker.look_at_all()

    async def _resync(self) -> None:
        """List everything anew now and then, and look at every search: what a watch missed costs minutes, no more."""
        while True:
            await asyncio.sleep(spread(self._settings.resync))
            for kind in SELECTORS:
                try:
                    await self._list(kind, _PACE)
                except ApiError as error:
                    _log.warning("Can't list %s: %s; the next resync tries again", kind.plural, error)
            _tidy()
            self._worker.look_at_all()


async def operate(settings: Settings) -> None:
    """Serve searches until SIGTERM; raises what broke."""
    # A field of no fixed form may be nested as deeply as the API server takes it, and kopf reads it as we do.
    sys.setrecursionlimit(_DEEPEST)
    configuration = await configured(settings.kubeconfig)
    metrics = Metrics(
        Build(
            __version__,
            os.environ.get("ASIARCH_REVISION", ""),
            platform.python_version(),
            version("kopf"),
        )
    )
    health = Health((kind.plural for kind in SELECTORS), settings.resync * 1.2, time.monotonic())
    limits = Limits(time.monotonic, settings.writes, settings.writes * 2)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Api(configuration, limits, _Watcher(metrics, health)))
        pages = application(health, metrics.exposition, time.monotonic)
        await stack.enter_async_context(serving(pages, settings.host, settings.port))
        beats = heartbeat(lambda late: _beat(health, metrics, late), _BEAT)
        operator = Operator(settings, api, metrics, health)
        operator.obey()
        await _first(beats, operator.stopped(), _led(settings, api, metrics, health, operator))


def _tidy() -> None:
    """Collect all garbage now, and let collections until the next call look at none of what is held by now.

    Each would look through all objects of the stores again: a tenth of a second and more in which nothing else runs.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _beat(health: Health, metrics: Metrics, late: float) -> None:
    health.beat(time.monotonic())
    metrics.late(late)


async def _led(settings: Settings, api: Api, metrics: Metrics, health: Health, operator: Operator) -> None:
    """Work, once the lease is ours if there is to be one."""
    if settings.lease is None:
        metrics.leads(leader=True)
        await operator.run()
        return
    claim = Claim(
        settings.lease, "asiarch-operator", f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}"
    )
    lease = Lease(api, claim, Clocks(time.monotonic, time.time))
    metrics.leads(leader=False)
    health.stand_by()
    await lease.acquire()
    health.begin(time.monotonic())
    metrics.leads(leader=True)
    try:
        await _first(lease.keep(), operator.run())
    finally:
        await lease.release()


@dataclass(frozen=True, slots=True)
class _Watcher:
    """Tells metrics and health of each call to the API server."""

    metrics: Metrics
    health: Health

    def api_request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Take note of one call."""
        self.metrics.api_request(verb, resource, code, seconds)
        # A proxy in front of an API server that is down answers too.
        self.health.called(time.monotonic(), answered=0 < code < 500)


async def _first(*parts: Coroutine[Any, Any, None]) -> None:
    """Run all parts until the first ends, for whatever reason; the others are cancelled, and given some seconds."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await _ended(tasks)
    for task in done:
        # Another one may have been cancelled with what it waited for, and broke nothing.
        if not task.cancelled():
            task.result()


async def _ended(tasks: Sequence[asyncio.Future[None]]) -> None:
    await asyncio.wait(tasks, timeout=STOP_SECONDS)


def main(settings: Settings) -> None:
    """Run the operator until it is told to stop; whatever breaks it ends the process with an error."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    gc.set_threshold(_YOUNG)
    # kopf would say a line for each event of each object.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    asyncio.run(operate(settings))
