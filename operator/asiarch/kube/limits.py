"""Politeness towards the API server: a ceiling on writes, and silence for as long as it asked for."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Limits:
    """A token bucket for writes, and the moment until which the server wants to hear nothing.

    Rates are per second; `clock` is monotonic.
    """

    clock: Callable[[], float]
    rate: float = 50.0
    burst: float = 100.0
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
        """Wait until a call may be made."""
        left = self._quiet_until - self.clock()
        if left > 0:
            # Whoever was told meanwhile to wait longer is told so again by the server.
            await asyncio.sleep(left)
        if write:
            await asyncio.sleep(self._take())

    def _take(self) -> float:
        """Take a token, which may still have to drip in; returns the seconds until it has."""
        now = self.clock()
        self._tokens = min(self.burst, self._tokens + (now - self._filled) * self.rate)
        self._filled = now
        self._tokens -= 1
        return max(0.0, -self._tokens / self.rate)
