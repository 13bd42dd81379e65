"""Politeness towards the API server: a ceiling on writes, and silence for as long as it asked for."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field


class CrowdedError(Exception):
    """A call would have to wait for longer than its caller wants to; nothing was asked."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:.1f} s to wait")
        self.seconds = seconds


@dataclass
class Limits:
    """A token bucket for writes, and the moment until which the server wants to hear nothing.

    Rates are per second; `clock` is monotonic. What would have to wait for longer than `longest` seconds is refused.
    """

    clock: Callable[[], float]
    rate: float = 50.0
    burst: float = 100.0
    longest: float = float("inf")
    _tokens: float = field(init=False)
    _filled: float = field(init=False)
    _quiet_until: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Start full."""
        self._tokens, self._filled = self.burst, self.clock()

    def be_quiet(self, seconds: float) -> None:
        """Ask nothing for so long: a Retry-After is a floor for every call under these limits, not only for its own."""
        self._quiet_until = max(self._quiet_until, self.clock() + seconds)

    async def wait(self, *, write: bool) -> None:
        """Wait until a call may be made. Raises CrowdedError."""
        left = self._quiet_until - self.clock()
        if left > self.longest:
            raise CrowdedError(left)
        if left > 0:
            # Whoever was told meanwhile to wait longer is told so again by the server.
            await asyncio.sleep(left)
        if write:
            await self._drip()

    async def _drip(self) -> None:
        """Take a token, which may still have to drip in; who doesn't wait for it leaves it to the others."""
        now = self.clock()
        self._tokens = min(self.burst, self._tokens + (now - self._filled) * self.rate)
        self._filled = now
        seconds = max(0.0, (1 - self._tokens) / self.rate)
        if seconds > self.longest:
            raise CrowdedError(seconds)
        self._tokens -= 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self._tokens += 1
            raise
