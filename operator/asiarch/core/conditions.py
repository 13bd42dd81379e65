"""Conditions in the form that kubectl wait and kstatus read; their times move only on a flip."""

from collections.abc import Mapping

from asiarch.api.base import Instant, timestamp
from asiarch.api.meta import Condition
from asiarch.api.search import SearchPhase, SearchStatus

TYPES: Mapping[str, SearchPhase] = {
    "Progressing": "Running",
    "Suspended": "Suspended",
    "Complete": "Complete",
    "Failed": "Failed",
}
"""The condition that is true in each phase of a search."""


def search_conditions(status: SearchStatus, now: Instant) -> tuple[Condition, ...]:
    """Derive a search's conditions from its phase; a condition that didn't flip keeps its time."""
    before = {c.type: c for c in status.conditions}
    return tuple(_condition(kind, status, before.get(kind), now) for kind in TYPES)


def _condition(kind: str, status: SearchStatus, before: Condition | None, now: Instant) -> Condition:
    holds = "True" if status.phase == TYPES[kind] else "False"
    flipped = before is None or before.status != holds
    return Condition(
        type=kind,
        status=holds,
        reason=status.reason,
        message=status.message,
        observed_generation=status.observed_generation,
        last_transition_time=timestamp(now) if before is None or flipped else before.last_transition_time,
    )
