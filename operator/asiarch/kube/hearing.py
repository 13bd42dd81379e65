"""Which watches are dead: full lists bring what they should have brought, and they bring nothing.

A watch that is silent may have nothing to say, so that silence alone proves nothing; and a list that is a little ahead
of its watch proves nothing either, since the watch brings the same a moment later.
"""

from dataclasses import dataclass

from asiarch.api.base import Instant
from asiarch.kube.reach import EVERYWHERE, Place

SILENCE_SECONDS = 30.0
"""A watch that brought something since is late, at worst."""
HEALING_SECONDS = 100.0
"""In which the framework itself begins a broken watch anew: 70 s without a sign, then half a minute of backoff."""


@dataclass(slots=True)
class _Watch:
    """One watch since it brought something last."""

    heard: Instant
    missed: Instant | None = None
    """When a list first brought what it hadn't."""
    dead: str = ""


class Hearing:
    """What watches and lists brought, by kind and place."""

    def __init__(self, now: Instant) -> None:
        """Watches begin now."""
        self._begun = now
        self._watches: dict[tuple[str, Place], _Watch] = {}

    def begin(self, now: Instant) -> None:
        """All watches begin anew."""
        self._begun = now
        self._watches.clear()

    def heard(self, kind: str, place: Place, now: Instant) -> None:
        """A watch brought something: whatever it missed, it lives."""
        self._watches[kind, place] = _Watch(now)

    def listed(self, kind: str, place: Place, now: Instant, *, news: bool) -> bool:
        """A full list came; returns whether it brought what a silent watch hadn't."""
        watch = self._watches.setdefault((kind, place), _Watch(self._begun))
        silence = now - watch.heard
        if not news or silence <= SILENCE_SECONDS:
            return False
        if watch.missed is None:
            watch.missed = now
        elif now - watch.missed >= HEALING_SECONDS:
            where = f"in {EVERYWHERE if place is None else place}"
            watch.dead = (
                f"watch of {kind} {where}: brought nothing for {silence:.0f} s, in which two full lists brought news; "
                "is the verb watch granted?"
            )
        return True

    def put_off(self, seconds: float, now: Instant) -> None:
        """For so many seconds nobody could hear anything; they don't count."""
        for watch in self._watches.values():
            watch.heard = min(now, watch.heard + seconds)
            if watch.missed is not None:
                watch.missed = min(now, watch.missed + seconds)

    def dead(self) -> tuple[str, ...]:
        """The watches that only a restart may bring back, in words."""
        return tuple(watch.dead for watch in self._watches.values() if watch.dead)
