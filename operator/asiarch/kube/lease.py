"""Standby through a coordination.k8s.io Lease: who holds it acts, the others wait; safety never rests on it.

client-go's rules. A lease is free when its record hasn't changed for its duration as measured by *our* monotonic
clock; times in the record are for people, and clocks of two machines are never compared. Every write is fenced by the
resource version. A holder that couldn't renew for the deadline, which is shorter than the duration, is no holder any
more, and its process has to end.

`kubernetes.aio.leaderelection` (37.0) is not used. It measures by the wall clock, so that a step of the clock makes two
holders. It catches the server's refusals but not a broken connection, upon which the elector dies while the work that
it started runs on. It puts no limit on a call, so that a black hole outlasts the deadline. It writes local time as UTC.
"""

import asyncio
import logging
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Protocol

from asiarch.api.base import Instant
from asiarch.kube.client import LEASES, ApiError, Kind, Object
from asiarch.kube.microtime import micro_time

_LONGEST = 3600
"""Seconds; who claims a longer duration is believed no further."""
_log = logging.getLogger(__name__)


class LeaseLostError(Exception):
    """We may not act any more; the process has to end at once."""


class Port(Protocol):
    """The part of the API that a lease needs."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Read an object."""

    async def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Create an object."""

    async def replace(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        """Replace an object, fenced by the resource version in `body`."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, each well below the one before."""

    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0


CLIENT_GO = Timing()
"""What every controller of Kubernetes itself uses."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Which lease, and who wants it; no two processes ever share an identity."""

    namespace: str
    name: str
    identity: str


@dataclass(frozen=True, slots=True)
class Clocks:
    """The monotonic clock that decides, and the wall clock that records show to people."""

    monotonic: Callable[[], float]
    wall: Callable[[], Instant]


class Lease:
    """One process's claim to a lease."""

    def __init__(self, port: Port, claim: Claim, clocks: Clocks, timing: Timing = CLIENT_GO) -> None:
        self._port = port
        self._claim = claim
        self._clocks = clocks
        self._timing = timing
        self._seen: Object | None = None
        self._changed = 0.0
        self._renewed: float | None = None

    async def acquire(self) -> None:
        """Wait until the lease is ours."""
        # Nobody can ring a bell when another process lets go.
        while not await self._attempt(self._timing.deadline):  # noqa: ASYNC110
            await asyncio.sleep(self._timing.retry)
        _log.info("Lease %s is ours (%s)", self._claim.name, self._claim.identity)

    async def keep(self) -> None:
        """Renew the lease for ever; raises LeaseLostError when it isn't ours any more."""
        while True:
            await asyncio.sleep(max(0.0, min(self._timing.retry, self._left())))
            left = self._left()
            if left <= 0:
                raise LeaseLostError(
                    f"Lease {self._claim.name} could not be renewed for {self._timing.deadline:.0f} s."
                )
            if not await self._attempt(left) and (holder := self._holder()) != self._claim.identity:
                raise LeaseLostError(f"Lease {self._claim.name} was taken by {holder or 'nobody'}.")

    async def release(self) -> None:
        """Give the lease back, so that the next one needn't wait; that this fails harms nobody."""
        if self._renewed is None or self._seen is None or self._holder() != self._claim.identity:
            return
        self._renewed = None
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._write(self._seen, spec)
        except ApiError as error:
            _log.warning("Lease %s was not given back: %s", self._claim.name, error)

    def _left(self) -> float:
        """Seconds until the deadline, counted from when the last good renewal was sent."""
        assert self._renewed is not None, "a lease is acquired before it is kept"
        return self._renewed + self._timing.deadline - self._clocks.monotonic()

    async def _attempt(self, seconds: float) -> bool:
        """Try to take or renew the lease within so many seconds."""
        begun = self._clocks.monotonic()
        try:
            async with asyncio.timeout(seconds):
                taken = await self._take()
        except (ApiError, TimeoutError) as error:
            _log.warning("Lease %s: %s", self._claim.name, str(error) or "no answer in time")
            return False
        if taken:
            self._renewed = begun
        return taken

    async def _take(self) -> bool:
        found = await self._port.get(LEASES, self._claim.namespace, self._claim.name)
        if found is None:
            body = {"metadata": {"name": self._claim.name}, "spec": self._record(transitions=0)}
            self._observe(await self._port.create(LEASES, self._claim.namespace, body))
            return True
        self._observe(found)
        spec = found.get("spec") or {}
        ours = self._holder() == self._claim.identity
        if not ours and not self._expired(spec):
            return False
        record = self._record(transitions=int(spec.get("leaseTransitions") or 0) + (not ours))
        if ours:
            record["acquireTime"] = spec.get("acquireTime") or record["acquireTime"]
        await self._write(found, record)
        return True

    def _observe(self, found: Object) -> None:
        """Take note of the record, and by our clock of when it was first seen so."""
        if self._seen is None or self._seen.get("spec") != found.get("spec"):
            self._changed = self._clocks.monotonic()
        self._seen = found

    def _holder(self) -> str:
        spec = (self._seen or {}).get("spec") or {}
        return str(spec.get("holderIdentity") or "")

    def _expired(self, spec: Object) -> bool:
        """Whether nobody holds it, or its holder has let it stand for its whole duration while we looked on."""
        if not self._holder():
            return True
        claimed = spec.get("leaseDurationSeconds")
        duration = claimed if isinstance(claimed, int) and 0 < claimed <= _LONGEST else self._timing.duration
        return self._clocks.monotonic() - self._changed >= duration

    def _record(self, transitions: int) -> Object:
        now = micro_time(self._clocks.wall())
        return {
            "holderIdentity": self._claim.identity,
            "leaseDurationSeconds": max(1, round(self._timing.duration)),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }

    async def _write(self, found: Object, spec: Object) -> None:
        body = deepcopy(found)
        body["spec"] = {**(found.get("spec") or {}), **spec}
        self._observe(await self._port.replace(LEASES, self._claim.namespace, self._claim.name, body))
