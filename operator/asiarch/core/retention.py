"""Which finished candidates stay as objects: the live population, the best, the newest, and what people pinned.

Of the others the record is enough, and the archive keeps it. They breed no more, so that what the next proposal
descends from doesn't hang on whether the archive was written a moment earlier or later.
"""

from asiarch.api.base import Instant, instant, seconds, timestamp
from asiarch.core import ranking
from asiarch.core.observation import Observation, Record

CHUNK = 50
"""Candidates that are archived together at most wait for each other, so that a segment isn't rewritten for each."""
LARGEST_DELAY = 3600


def resting(seen: Observation, now: Instant) -> frozenset[str]:
    """Candidates that may not breed: those that are archived, and those that may be at any moment."""
    if seen.traits.keeps_all:
        return frozenset()
    gone = (name for name in seen.records if name not in seen.candidates)
    return frozenset((*gone, *removable(seen, now)))


def removable(seen: Observation, now: Instant) -> tuple[str, ...]:
    """Finished candidates beyond those that are to stay, or older than their time to live, oldest first."""
    policy = seen.search.spec.retention
    ended = _ended(seen)
    surplus = len(ended) - policy.keep_finished
    limit = "" if policy.ttl is None else timestamp(now - seconds(policy.ttl))
    if surplus <= 0 and all(r.finished_at >= limit for r in ended):
        return ()
    kept = _kept(seen)
    oldest = sorted((r for r in ended if r.name not in kept), key=lambda r: (r.finished_at, r.ordinal))
    return tuple(r.name for place, r in enumerate(oldest) if place < surplus or r.finished_at < limit)


def due(seen: Observation, now: Instant) -> tuple[str, ...]:
    """What is to be archived now: nothing until it is worth a write, or its time is well over."""
    if seen.traits.keeps_all:
        return ()
    names = removable(seen, now)
    if len(names) >= max(1, min(CHUNK, seen.search.spec.retention.keep_finished // 10)):
        return names
    patience = _patience(seen)
    late = "" if patience is None else timestamp(now - patience)
    return names if any(seen.records[name].finished_at <= late for name in names) else ()


def wakes_at(seen: Observation, now: Instant) -> Instant | None:
    """When the next candidate's time is well over; one that stays anyway costs no more than a look."""
    patience = _patience(seen)
    if seen.traits.keeps_all or patience is None:
        return None
    moments = (instant(r.finished_at) + patience for r in _ended(seen))
    return min((moment for moment in moments if moment > now), default=None)


def _patience(seen: Observation) -> float | None:
    """Seconds after its end at which a single candidate is reason enough to write the archive."""
    ttl = seen.search.spec.retention.ttl
    return None if ttl is None else seconds(ttl) + min(seconds(ttl) / 10, LARGEST_DELAY)


def _ended(seen: Observation) -> list[Record]:
    return [r for r in seen.records.values() if r.terminal and r.name in seen.candidates]


def _kept(seen: Observation) -> set[str]:
    """Who stays in any case; what live candidates build on, two steps back, as their agents are told of it."""
    spec, records = seen.search.spec, seen.records
    best = ranking.ranked(records.values())[: max(spec.retention.keep_best, spec.selection.pool)]
    kept = {r.name for r in best}
    kept |= {r.name for r in records.values() if r.origin == "Baseline" or r.ordinal == 0 or r.pinned}
    live = [r for r in records.values() if not r.terminal]
    kept |= {name for r in live for name in (*r.parents, *r.references)}
    above = (records[name] for r in live for name in r.parents if name in records)
    return kept | {name for r in above for name in r.parents}
