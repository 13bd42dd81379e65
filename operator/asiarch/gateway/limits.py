"""Whose pods may ask, and how much one may."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_KEPT = 10_000
"""Callers that are remembered; who is forgotten starts with a full bucket."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests at once, and so many a second in the long run."""

    burst: float
    per_second: float


@dataclass(frozen=True, slots=True)
class Limits:
    """Who is served, and what is too much."""

    account: str = "asiarch-agent"
    """The service account of agents' pods; no other may ask anything."""
    body: int = 300 * 1024
    """Bytes of a request's body; a file of 200 KiB as JSON fits."""
    body_seconds: float = 10.0
    seconds: float = 20.0
    """Of a whole request, until the answer is known."""
    pod: Rate = Rate(burst=30, per_second=2)
    stranger: Rate = Rate(burst=20, per_second=1)
    """Tokens of one address that the API server is asked about and that turn out to be of no use: those of agents are
    given back, and so bound only how many are looked at at once."""
    reviews: int = 8
    """Tokens of all addresses that the API server is asked about at once."""
    review_seconds: float = 2.0
    """That a request may wait for its turn to be reviewed."""


class Buckets:
    """One token bucket for each caller."""

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._filled: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Take from a caller's bucket if anything is in it; otherwise returns the seconds until there will be."""
        now = self._clock()
        level, since = self._filled.pop(caller, (self._rate.burst, now))
        level = min(self._rate.burst, level + max(0.0, now - since) * self._rate.per_second)
        wait = 0.0 if level >= 1 else (1 - level) / self._rate.per_second
        self._filled[caller] = (level if wait else level - 1, now)
        if len(self._filled) > _KEPT:
            self._filled.popitem(last=False)
        return wait

    def give_back(self, caller: str) -> None:
        """Put into a caller's bucket again what was taken for nothing."""
        if caller in self._filled:
            level, since = self._filled[caller]
            self._filled[caller] = (min(self._rate.burst, level + 1), since)
