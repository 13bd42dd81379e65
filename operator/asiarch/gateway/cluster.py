"""The port to the cluster: the three calls that the gateway makes, and since when they work."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from asiarch.api.names import AUDIENCE

Object = dict[str, Any]
"""An API object, or a part of one, as JSON."""

_PROBE_SECONDS = 2.0


class Cluster(Protocol):
    """Exactly what the gateway's role allows: create and get ConfigMaps, create TokenReviews."""

    async def get_config_map(self, namespace: str, name: str) -> Object | None:
        """Read a ConfigMap; none when it isn't there. Raises UnavailableError."""

    async def create_config_map(self, namespace: str, body: Object) -> Object:
        """Create a ConfigMap. Raises AlreadyExistsError, QuotaError and UnavailableError."""

    async def review(self, token: str, audience: str) -> Object:
        """Have a token checked: a TokenReview's status. Raises UnavailableError."""


class AlreadyExistsError(Exception):
    """An object of this name is there already."""


class UnavailableError(Exception):
    """The cluster gave no usable answer; the same call may succeed later."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BusyError(UnavailableError):
    """The cluster is asked more than it can take; those who come later are served."""


class QuotaError(UnavailableError):
    """A quota of the namespace is full; the message is the API server's, which names it."""


class Contact:
    """A cluster that remembers when it last answered."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float]) -> None:
        self._cluster = cluster
        self._clock = clock
        self._last: float | None = None
        self._probing = asyncio.Lock()

    async def get_config_map(self, namespace: str, name: str) -> Object | None:
        found = await self._cluster.get_config_map(namespace, name)
        self._last = self._clock()
        return found

    async def create_config_map(self, namespace: str, body: Object) -> Object:
        made = await self._cluster.create_config_map(namespace, body)
        self._last = self._clock()
        return made

    async def review(self, token: str, audience: str) -> Object:
        status = await self._cluster.review(token, audience)
        self._last = self._clock()
        return status

    async def within(self, seconds: float) -> bool:
        """Whether the cluster answered lately; asks it about a token that is none when nobody else has asked."""
        async with self._probing:
            if not self._fresh(seconds):
                with suppress(UnavailableError, TimeoutError):
                    async with asyncio.timeout(_PROBE_SECONDS):
                        await self.review("are-you-there", AUDIENCE)
            return self._fresh(seconds)

    def _fresh(self, seconds: float) -> bool:
        return self._last is not None and self._clock() - self._last < seconds
