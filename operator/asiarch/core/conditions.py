"""Conditions in the form that kubectl wait and kstatus read; their times move only on a flip."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asiarch.api.base import Instant, timestamp
from asiarch.api.candidate import Candidate, CandidateStatus
from asiarch.api.meta import Condition
from asiarch.api.reason import Reason
from asiarch.api.search import SearchStatus
from asiarch.core.lifecycle import UNEXPLAINED
from asiarch.core.observation import Trouble


@dataclass(frozen=True, slots=True)
class State:
    """What one condition says."""

    type: str
    holds: bool
    reason: str
    message: str = ""


def search_conditions(
    status: SearchStatus, troubles: Sequence[Trouble], stake: str, now: Instant
) -> tuple[Condition, ...]:
    """Derive a search's conditions; `stake` says what work and money hang on it."""
    fatal = next((t for t in troubles if t.fatal), None)
    mild = next((t for t in troubles if not t.fatal), None)
    states = [_trouble("Accepted", fatal, status, stake, good=True), *_phases(status)]
    states += [_trouble("Degraded", mild, status, stake, good=False), _ready(status, mild, stake)]
    return _conditions(states, status.conditions, status.observed_generation, now)


def candidate_conditions(candidate: Candidate, now: Instant) -> tuple[Condition, ...]:
    """Derive a candidate's conditions from how far it came; why it came no further is the status's own message.

    A candidate's spec never changes, so that they needn't say which generation they speak of.
    """
    status = candidate.status
    why = str(status.reason or status.phase)
    reached = _reached(status)
    if candidate.spec.origin == "Baseline":
        del reached["Analyzed"]
    states = [State(kind, holds, "Done" if holds else why) for kind, holds in reached.items()]
    return _conditions(states, status.conditions, 0, now)


def _reached(status: CandidateStatus) -> dict[str, bool]:
    explained = status.phase == "Complete" and not status.analysis.startswith(UNEXPLAINED)
    return {
        "Proposed": bool(status.name) and status.phase not in ("Pending", "Proposing"),
        "Built": status.code is not None and status.phase not in ("Proposing", "Building", "Repairing"),
        "Evaluated": status.fitness is not None,
        "Analyzed": explained,
        "Complete": status.phase == "Complete",
    }


def _trouble(kind: str, trouble: Trouble | None, status: SearchStatus, stake: str, *, good: bool) -> State:
    """A condition that is there to tell of a trouble, or of none."""
    if trouble is None:
        return State(kind, good, status.reason)
    return State(kind, not good, trouble.reason, f"{trouble.message} {stake}")


def _phases(status: SearchStatus) -> Iterable[State]:
    """What follows from where the search stands; the message stands where it says something new."""
    exhausted = status.reason == Reason.BUDGET_EXHAUSTED
    rows = (
        ("Progressing", status.phase == "Running", False),
        ("BudgetAvailable", not exhausted, False),
        ("Suspended", status.phase == "Suspended", True),
        ("Stalled", status.phase in ("Blocked", "Failed"), True),
        ("Complete", status.phase == "Complete", True),
        ("Failed", status.phase == "Failed", True),
    )
    return (
        State(kind, holds, status.reason, status.message * (holds == tells)) for kind, holds, tells in rows
    )


def _ready(status: SearchStatus, mild: Trouble | None, stake: str) -> State:
    """The summary: the search runs healthily, or is complete with nothing left undone."""
    cut_short = status.reason == Reason.BUDGET_EXHAUSTED and status.counts.live > 0
    well = status.phase == "Running" or (status.phase == "Complete" and not cut_short)
    if well and mild is not None:
        return State("Ready", holds=False, reason=mild.reason, message=f"{mild.message} {stake}")
    return State("Ready", well, status.reason, status.message)


def _conditions(
    states: Iterable[State], before: Iterable[Condition], generation: int, now: Instant
) -> tuple[Condition, ...]:
    old = {c.type: c for c in before}
    return tuple(_condition(state, old.get(state.type), generation, now) for state in states)


def _condition(state: State, before: Condition | None, generation: int, now: Instant) -> Condition:
    holds = "True" if state.holds else "False"
    flipped = before is None or before.status != holds
    return Condition(
        type=state.type,
        status=holds,
        reason=state.reason,
        message=state.message[:1024],
        observed_generation=generation,
        last_transition_time=timestamp(now) if before is None or flipped else before.last_transition_time,
    )
