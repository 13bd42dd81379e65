"""A work queue of keys: each once, one at a time, the failed ones later; the doorbell rings here.

The same semantics as client-go's: a key that is added while it is worked on is worked on once more afterwards.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

FIRST_RETRY, LAST_RETRY = 1.0, 300.0
"""Seconds to the first retry of a failed key, doubled at each further one up to the last."""
LAST_RETRY_OF_OUTAGE = 15.0
"""The same for a failure that befalls all keys alike, and ends without a word to any of them."""
_MOST_DOUBLINGS = 10
"""Enough to exceed the last retry; failures in a row are without limit, and a float isn't."""
REST, LONGEST_REST = 4.0, 0.1
"""After its work a key rests for so many times the work's seconds, so that one that never ends to ring leaves room for
others, and several events are one piece of work."""


NEW_ONES = 4
"""So many keys that come for the first time are taken in a row while others wait: whoever has just asked for something
gets a first answer soon, and nobody can keep the others from their turns by asking for ever more."""


class WorkQueue(Generic[Key]):
    """Keys in the order in which they came, so that no search waits for another's backlog; new ones before others."""

    def __init__(self, clock: Callable[[], float], jitter: Callable[[], float] = random.random) -> None:
        """`clock` is monotonic; `jitter` draws from [0, 1)."""
        self._clock = clock
        self._jitter = jitter
        self._ready: dict[Key, float] = {}
        self._new: dict[Key, float] = {}
        self._in_a_row = 0
        self._working: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._later: list[tuple[float, int, Key]] = []
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._rests: dict[Key, float] = {}
        self._count = 0
        self._changed = asyncio.Event()
        self._closed = False
        self.adds = 0
        self.retries = 0

    def add(self, key: Key, *, new: bool = False) -> None:
        """Have a key worked on as soon as may be; one that is new goes before those that are not."""
        self.adds += 1
        self._admit(key, new=new)

    def add_after(self, key: Key, seconds: float) -> None:
        """Have a key worked on in so many seconds, at the latest; an earlier appointment stands."""
        due = self._clock() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._count += 1
            heapq.heappush(self._later, (due, self._count, key))
            self._changed.set()

    def retry(self, key: Key, *, progressed: bool, outage: bool = False) -> float:
        """Try a failed key again with growing distance, from the start when it got somewhere; returns the seconds."""
        self.retries += 1
        failures = 0 if progressed else self._failures.get(key, 0)
        self._failures[key] = failures + 1
        most = LAST_RETRY_OF_OUTAGE if outage else LAST_RETRY
        doubled = FIRST_RETRY * 2.0 ** min(failures, _MOST_DOUBLINGS)
        wait = min(most, doubled) * (0.5 + 0.5 * self._jitter())
        self.add_after(key, wait)
        return wait

    def succeed(self, key: Key) -> None:
        """Forget that a key ever failed."""
        self._failures.pop(key, None)

    def forget(self, key: Key) -> None:
        """Drop what is kept of a key that will not come again."""
        self._failures.pop(key, None)
        self._rests.pop(key, None)
        self._due.pop(key, None)

    async def get(self) -> tuple[Key, float]:
        """Take the key that waited longest; returns it with the seconds that it waited. `done` gives it back."""
        while True:
            self._ripen()
            if self.depth and not self._closed:
                line = self._line()
                key = next(iter(line))
                since = line.pop(key)
                self._working[key] = now = self._clock()
                return key, now - since
            self._changed.clear()
            left = self._later[0][0] - self._clock() if self._later else None
            try:
                # Unlike `wait_for`, this makes no task, which the framework would cancel when it stops.
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: Key) -> float:
        """Give a key back; returns the seconds of work. One that was added meanwhile comes again after its rest."""
        now = self._clock()
        seconds = now - self._working.pop(key)
        self._rests[key] = now + min(LONGEST_REST, REST * seconds)
        if key in self._again:
            self._again.discard(key)
            self._admit(key)
        if self._closed:
            self._changed.set()
        return seconds

    async def drain(self) -> None:
        """Hand out no key any more, and wait until those that are worked on have been given back."""
        self._closed = True
        while self._working:
            self._changed.clear()
            await self._changed.wait()

    @property
    def depth(self) -> int:
        """How many keys are ready and wait for a worker."""
        return len(self._ready) + len(self._new)

    @property
    def unfinished(self) -> tuple[float, ...]:
        """Seconds of work of each key that is worked on."""
        now = self._clock()
        return tuple(now - since for since in self._working.values())

    def _line(self) -> dict[Key, float]:
        """From which of both lines the next key comes."""
        if self._new and (not self._ready or self._in_a_row < NEW_ONES):
            self._in_a_row += 1
            return self._new
        self._in_a_row = 0
        return self._ready

    def _admit(self, key: Key, *, new: bool = False) -> None:
        """Put a key where it belongs: at the end of its line, or after its work or its rest."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._ready and key not in self._new:
            now = self._clock()
            rest = self._rests.pop(key, now) - now
            if rest > 0:
                self._rests[key] = now + rest
                self.add_after(key, rest)
            else:
                (self._new if new else self._ready)[key] = now
                self._changed.set()

    def _ripen(self) -> None:
        """Move appointments whose time has come to the ready ones; replaced ones are dropped."""
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            due, _, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                del self._due[key]
                self._admit(key)
