"""Posts events to events.k8s.io/v1: few, repeats counted in one object, and never in the way of a turn.

A repeat of the same reason about the same object within ten minutes raises the count of its series. Each object may
post 25 events at once and one more every five minutes, all objects together 100 and one a second. What is over that, or
can't be posted, is counted and dropped: events are news, the truth stands in the status.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from asiarch.api.base import Instant
from asiarch.kube.client import EVENTS, ApiError, Kind, Object
from asiarch.kube.events import Event, note
from asiarch.kube.metrics import Fate
from asiarch.kube.microtime import micro_time

SERIES_SECONDS = 600.0
REFRESH_SECONDS = 60.0
"""A series is written when its count reaches a power of two, or if it hasn't been written for so long."""
MOST_WAITING = 500
CONTROLLER = "asiarch.dev/operator"

_log = logging.getLogger(__name__)


class Poster(Protocol):
    """The part of the API that a recorder needs."""

    async def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Create an object."""

    async def patch(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        """Merge a patch into an object."""


@dataclass(slots=True)
class Bucket:
    """A token bucket: full at first, and one token more every `period` seconds."""

    size: float
    period: float
    tokens: float
    filled: Instant

    def take(self, now: Instant) -> bool:
        """Take a token if there is one."""
        self.tokens = min(self.size, self.tokens + max(0.0, now - self.filled) / self.period)
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class _Series:
    """One event with its repeats."""

    event: Event
    name: str
    first: Instant
    last: Instant
    count: int = 0
    posted: Instant | None = None
    waiting: bool = False


class Recorder:
    """Takes events without delay, and posts them in the background by `run`."""

    def __init__(self, api: Poster, instance: str, count: Callable[[Fate], None]) -> None:
        """`instance` is the name of this pod; `count` is told what became of each event."""
        self._api = api
        self._instance = instance[:128]
        self._count = count
        self._series: dict[tuple[str, str], _Series] = {}
        self._objects: dict[str, Bucket] = {}
        self._all: Bucket | None = None
        self._swept: Instant = 0.0
        self._waiting: deque[_Series] = deque()
        self._ring = asyncio.Event()

    def record(self, event: Event, now: Instant) -> None:
        """Take note of an event; returns at once, whatever the API server does."""
        self._sweep(now)
        key = event.subject.uid, event.reason
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series(event, _name(event, now), now, now)
        series.count += 1
        series.last = now
        if series.waiting or not _worth_a_write(series, now):
            return
        if len(self._waiting) >= MOST_WAITING:
            self._count("dropped")
        elif not self._allowed(event.subject.uid, now):
            self._count("limited")
        else:
            series.waiting = True
            self._waiting.append(series)
            self._ring.set()

    async def run(self) -> None:
        """Post what waits, for ever."""
        while True:
            await self._ring.wait()
            self._ring.clear()
            await self.flush()

    async def flush(self) -> None:
        """Post what waits now."""
        while self._waiting:
            series = self._waiting.popleft()
            series.waiting = False
            try:
                await self._post(series)
            except ApiError as error:
                event = series.event
                _log.warning("Event %s about %s was not posted: %s", event.reason, event.subject.name, error)
                self._count("failed")
            else:
                series.posted = series.last
                self._count("posted")

    async def _post(self, series: _Series) -> None:
        namespace = series.event.subject.namespace
        if series.posted is not None:
            try:
                await self._api.patch(EVENTS, namespace, series.name, {"series": _repeats(series)})
            except ApiError as error:
                if error.status != 404:
                    raise
            else:
                return
        try:
            await self._api.create(EVENTS, namespace, _body(series, self._instance))
        except ApiError as error:
            # The name is the series' own: an answer that got lost had created it.
            if error.status != 409:
                raise

    def _allowed(self, uid: str, now: Instant) -> bool:
        if self._all is None:
            self._all = Bucket(100, 1.0, 100, now)
        bucket = self._objects.get(uid)
        if bucket is None:
            bucket = self._objects[uid] = Bucket(25, 300.0, 25, now)
        return bucket.take(now) and self._all.take(now)

    def _sweep(self, now: Instant) -> None:
        """Forget series that have ended, and buckets that are full again."""
        if now - self._swept < REFRESH_SECONDS:
            return
        self._swept = now
        ended = [key for key, s in self._series.items() if now - s.last >= SERIES_SECONDS and not s.waiting]
        for key in ended:
            del self._series[key]
        full = [u for u, b in self._objects.items() if b.tokens + (now - b.filled) / b.period >= b.size]
        for uid in full:
            del self._objects[uid]


def _worth_a_write(series: _Series, now: Instant) -> bool:
    if series.posted is None or now - series.posted >= REFRESH_SECONDS:
        return True
    return series.count & (series.count - 1) == 0


def _name(event: Event, now: Instant) -> str:
    """Deterministic: the same event of the same moment has the same name."""
    digest = sha256(f"{event.subject.uid}/{event.reason}/{now:.6f}".encode()).hexdigest()[:16]
    return f"{event.subject.name}.{digest}"


def _repeats(series: _Series) -> Object:
    return {"count": series.count, "lastObservedTime": micro_time(series.last)}


def _body(series: _Series, instance: str) -> Object:
    event, subject = series.event, series.event.subject
    body: Object = {
        "metadata": {"name": series.name, "namespace": subject.namespace},
        "eventTime": micro_time(series.first),
        "type": event.type,
        "reason": event.reason,
        "action": event.action,
        "note": note(event.note),
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
        "regarding": {
            "apiVersion": subject.kind.api_version,
            "kind": subject.kind.kind,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
        },
    }
    return body | ({"series": _repeats(series)} if series.count > 1 else {})
