"""Which events people get to see: few, derived from the status writes of a plan, so that nothing new says nothing."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, assert_never

from asiarch.api.candidate import Candidate, CandidateStatus
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, SearchPhase, SearchStatus
from asiarch.core import lifecycle
from asiarch.core.actions import CandidateWrite, Plan, SearchWrite
from asiarch.core.observation import TERMINAL, Observation, Trouble
from asiarch.kube.client import CANDIDATES, SEARCHES, Kind
from asiarch.kube.domain import BAD
from asiarch.kube.kept import Leaving
from asiarch.kube.store import SearchKey

EventType = Literal["Normal", "Warning"]
MAX_NOTE_BYTES = 1024
STARTED, NEW_BEST, DELETION_WAITS = "Started", "NewBest", "DeletionWaits"
"""The reasons of events that aren't a `Reason` of the API."""
PHASES: dict[SearchPhase, EventType] = {
    "Running": "Normal",
    "Suspended": "Normal",
    "Blocked": "Warning",
    "Complete": "Normal",
    "Failed": "Warning",
}
"""What kind of news it is that a search has come into this phase."""
INFRASTRUCTURE = lifecycle.LOST
"""Ends of a candidate that somebody who runs the cluster has to look at."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The object that an event is about."""

    kind: Kind
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to an object, worth a line in `kubectl describe`."""

    subject: Subject
    type: EventType
    reason: str
    action: str
    note: str


def due(seen: Observation, plan: Plan) -> tuple[Event, ...]:
    """The events of a plan's status writes; of each object and reason one."""
    events: dict[tuple[str, str], Event] = {}
    for write in plan.statuses:
        match write:
            case SearchWrite(search, status):
                found: Iterable[Event] = _of_search(seen, search, status)
            case CandidateWrite(candidate, status):
                found = (*_lost(seen, candidate, status), *_of_candidate(candidate, status))
            case _:
                assert_never(write)
        for event in found:
            events.setdefault((event.subject.uid, event.reason), event)
    return tuple(events.values())


def of_leaving(key: SearchKey, leaving: Leaving) -> Event | None:
    """Who keeps a search from going, if somebody does."""
    if not leaving.finalizers:
        return None
    holders = ", ".join(leaving.finalizers)
    text = (
        f"Nothing new starts. The deletion waits for the finalizers {holders}, which asiarch neither sets nor removes: "
        "whoever set them has to."
    )
    return Event(Subject(SEARCHES, *key, leaving.uid), "Warning", DELETION_WAITS, "Delete", text)


def note(text: str) -> str:
    """A text as an event's note: one line without characters that steer a terminal, at most 1,024 bytes of UTF-8."""
    visible = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    line = " ".join(visible.split())
    data = line.encode()
    if len(data) <= MAX_NOTE_BYTES:
        return line
    return data[: MAX_NOTE_BYTES - 3].decode(errors="ignore") + "…"


def of_search(search: ArchitectureSearch) -> Subject:
    """A search as an event's subject."""
    return Subject(SEARCHES, search.metadata.namespace, search.name, search.metadata.uid)


def of_candidate(candidate: Candidate) -> Subject:
    """A candidate as an event's subject."""
    return Subject(CANDIDATES, candidate.metadata.namespace, candidate.name, candidate.metadata.uid)


def _of_search(seen: Observation, search: ArchitectureSearch, status: SearchStatus) -> Iterator[Event]:
    old, subject = search.status, of_search(search)
    if old.started_at is None and status.started_at is not None:
        yield Event(subject, "Normal", STARTED, "Start", f"The search has started. {status.message}")
    if status.phase != old.phase:
        text = status.message or f"The search is {status.phase}."
        yield Event(subject, PHASES[status.phase], status.reason.value, status.phase, text)
    yield from _turned_bad(subject, search, status)
    yield from _troubles(subject, old, seen.troubles)
    if status.best is not None and (old.best is None or old.best.candidate != status.best.candidate):
        winner, best = seen.candidates.get(status.best.candidate), status.best
        if winner is not None:
            text = f"Best of search {search.name} so far: fitness {best.fitness} on rung {best.rung}."
            yield Event(of_candidate(winner), "Normal", NEW_BEST, "Rank", text)


def _turned_bad(subject: Subject, search: ArchitectureSearch, new: SearchStatus) -> Iterator[Event]:
    before = _complaints(search.status)
    for condition in new.conditions:
        if BAD.get(condition.type) == condition.status and (condition.type, condition.reason) not in before:
            # To have started every candidate that it was given is what a search is for.
            well = (
                condition.type == "BudgetAvailable" and new.counts.proposed >= search.spec.budget.candidates
            )
            yield Event(
                subject, "Normal" if well else "Warning", condition.reason, "Judge", condition.message
            )


def _complaints(status: SearchStatus) -> set[tuple[str, str]]:
    return {(c.type, c.reason) for c in status.conditions if BAD.get(c.type) == c.status}


def _troubles(subject: Subject, old: SearchStatus, troubles: Iterable[Trouble]) -> Iterator[Event]:
    """Troubles that the status didn't speak of before this write."""
    known = {reason for _, reason in _complaints(old)}
    for trouble in troubles:
        if trouble.reason.value not in known:
            yield Event(subject, "Warning", trouble.reason.value, "Observe", trouble.message)


def _lost(seen: Observation, candidate: Candidate, status: CandidateStatus) -> Iterator[Event]:
    """An attempt that was lost and is made again: its status counts it, and only this says why."""
    order = candidate.status.order
    child = None if order is None else seen.children.get(order.name)
    if order is None or child is None or status.lost <= candidate.status.lost:
        return
    lost = next((r for r in child.results or () if r.reason in INFRASTRUCTURE), None)
    if lost is not None and lost.reason is not None:
        kind: EventType = "Normal" if lost.reason == Reason.CANCELLED else "Warning"
        text = f"Attempt {order.attempt} of {order.name} was lost: {lost.message} It is made again."
        yield Event(of_candidate(candidate), kind, lost.reason.value, "Retry", text)


def _of_candidate(candidate: Candidate, status: CandidateStatus) -> Iterator[Event]:
    """A candidate that failed, or that its user will ask about; a rejected proposal is the search's daily bread."""
    if status.phase not in TERMINAL or candidate.status.phase in TERMINAL or status.phase == "Complete":
        return
    ours = status.reason in INFRASTRUCTURE
    if status.phase == "Failed" or ours or candidate.spec.origin != "Proposed":
        urgent: EventType = "Warning" if ours or candidate.spec.origin != "Proposed" else "Normal"
        reason = status.reason or Reason.AGENT_FAILED
        yield Event(of_candidate(candidate), urgent, reason.value, status.phase, status.message)
