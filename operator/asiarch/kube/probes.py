"""Answers the kubelet's and Prometheus' questions on one port: /livez, /readyz and /metrics.

Alive is who still hears. A kind of which neither a watch nor a full list brought anything for two and a half resyncs is
dead, and so is a watch that brings nothing while full lists bring news (`hearing`): only a restart cures that. The time
in which the API server answers nobody, or refuses every list, doesn't count, since no restart cures that. Ready is who
has seen everything once, as far as namespaces can be listed, and reaches the API server.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from aiohttp import web

from asiarch.api.base import Instant
from asiarch.api.fault import Fault, ManifestError
from asiarch.kube.hearing import Hearing
from asiarch.kube.reach import Place

BEAT_SECONDS = 30.0
"""The event loop's heart may stand still for so long."""
UNREACHABLE_SECONDS = 15.0
"""Calls to the API server may go unanswered for so long."""
RESYNCS = 2.5


class Health:
    """What the process knows of its own state; others tell it, in any clock as long as it is one."""

    def __init__(self, kinds: Iterable[str], resync: float, now: Instant) -> None:
        """`resync` is the longest time in seconds between two full lists of a kind."""
        self._limit = RESYNCS * resync
        self._heard: dict[str, Instant] = dict.fromkeys(kinds, now)
        self._unlisted = set(self._heard)
        self._beat = now
        self._unanswered_since: Instant | None = None
        self._working = True
        self._cut_off: tuple[str, ...] = ()
        self.hearing = Hearing(now)
        """What lists and watches of each place brought."""

    def stand_by(self) -> None:
        """Another process acts: nothing is watched, and that is as it should be."""
        self._working = False

    def begin(self, now: Instant) -> None:
        """From now on everything is watched."""
        self._working = True
        self._heard = dict.fromkeys(self._heard, now)
        self.hearing.begin(now)

    def listed(self, kind: str, now: Instant) -> None:
        """A full list of this kind, from every place that can be listed, is in the store."""
        self._unlisted.discard(kind)
        self._heard[kind] = now

    def event(self, kind: str, place: Place, now: Instant) -> None:
        """The watch of this kind in this place brought something."""
        self._heard[kind] = now
        self.hearing.heard(kind, place, now)

    def cut_off(self, why: tuple[str, ...]) -> None:
        """Every place refuses to be listed, each for its reason; none when that isn't so."""
        self._cut_off = why

    def beat(self, now: Instant) -> None:
        """The event loop came round."""
        self._beat = now

    def called(self, now: Instant, *, answered: bool) -> None:
        """A call to the API server was answered, by whatever code, or not at all."""
        if answered:
            outage = self._outage(now)
            if outage:
                self._heard = {kind: min(now, heard + outage) for kind, heard in self._heard.items()}
                self.hearing.put_off(outage, now)
            self._unanswered_since = None
        elif self._unanswered_since is None:
            self._unanswered_since = now

    def dead(self, now: Instant) -> tuple[str, ...]:
        """What only a restart can cure; nothing when all is well."""
        silences = {kind: now - heard - self._outage(now) for kind, heard in self._heard.items()}
        faults = [
            f"watch of {kind}: nothing heard for {silence:.0f} s, the limit is {self._limit:.0f} s"
            for kind, silence in silences.items()
            if self._working and not self._cut_off and silence > self._limit
        ]
        faults += self.hearing.dead() if self._working else ()
        if now - self._beat > BEAT_SECONDS:
            faults.append(
                f"event loop: stood still for {now - self._beat:.0f} s, the limit is {BEAT_SECONDS:.0f} s"
            )
        return tuple(faults)

    def unready(self, now: Instant) -> tuple[str, ...]:
        """What keeps us from working now; nothing when all is well."""
        faults = [f"store of {kind}: not listed yet" for kind in sorted(self._unlisted) if self._working]
        faults += self._cut_off if self._working else ()
        since = self._unanswered_since
        if since is not None and now - since > UNREACHABLE_SECONDS:
            faults.append(f"API server: no answer for {now - since:.0f} s")
        return tuple(faults)

    def _outage(self, now: Instant) -> float:
        """For how many seconds no call has been answered."""
        return 0.0 if self._unanswered_since is None else now - self._unanswered_since


Exposition = Callable[[str], tuple[bytes, str]]
"""Metrics in the format that an Accept header asks for, and their content type."""


def application(health: Health, exposition: Exposition, clock: Callable[[], Instant]) -> web.Application:
    """The three pages; a probe's body says what is wrong, one line each."""

    async def livez(_: web.Request) -> web.Response:
        return _verdict(health.dead(clock()))

    async def readyz(_: web.Request) -> web.Response:
        return _verdict(health.unready(clock()))

    async def metrics(request: web.Request) -> web.Response:
        body, content_type = exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    served = web.Application()
    served.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return served


async def listen(runner: web.AppRunner, host: str | None, port: int, option: str = "--port") -> None:
    """Serve on a port, of every address if there is no host; raises ManifestError when it can't be had."""
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        found = f"{port}, where nothing can be served ({error.strerror or error})"
        raise ManifestError([Fault(option, found, "a port that is free", "name another one")]) from error


@asynccontextmanager
async def serving(served: web.Application, host: str | None, port: int) -> AsyncIterator[int]:
    """Serve as long as the context lasts; yields the port, which port 0 leaves to the system."""
    runner = web.AppRunner(served, access_log=None)
    await runner.setup()
    try:
        await listen(runner, host, port)
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _verdict(faults: tuple[str, ...]) -> web.Response:
    return web.Response(status=503 if faults else 200, text="\n".join(faults or ("ok",)) + "\n")
