"""Keeps the population going: who is measured first, who breeds and how many; and tells how the search stands."""

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from asiarch.api.base import Instant, decimal, timestamp
from asiarch.api.candidate import CandidateSpec
from asiarch.api.names import candidate_name
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Best, Cost, Counts, SearchPhase, SearchStatus
from asiarch.core import chance, ranking
from asiarch.core.actions import CreateCandidate
from asiarch.core.conditions import search_conditions
from asiarch.core.fitness import CEILINGS
from asiarch.core.observation import ENDED, Record, Trouble
from asiarch.core.selection import POLICIES, Population, population
from asiarch.core.verdict import Verdict


def is_answered(search: ArchitectureSearch) -> bool:
    """Whether its user has had a first word, which comes before any work for it: hundreds may wait for theirs."""
    return search.status.observed_generation > 0


def first_candidates(
    search: ArchitectureSearch, records: Mapping[str, Record]
) -> tuple[CreateCandidate, ...]:
    """Create the baselines that aren't there yet."""
    known = {r.name for r in records.values()}
    creations = []
    for ordinal, baseline in enumerate(search.spec.baselines):
        name = candidate_name(search.name, ordinal)
        if name not in known:
            spec = CandidateSpec(
                search_name=search.name,
                origin="Baseline",
                seed=_seed(search, ordinal),
                baseline=baseline.name,
                source=baseline.source,
            )
            creations.append(CreateCandidate(name, spec))
    return tuple(creations)


def next_candidates(
    search: ArchitectureSearch, records: Mapping[str, Record], held: int, resting: AbstractSet[str]
) -> tuple[CreateCandidate, ...]:
    """Create as many proposals as there are free lanes, once every baseline has been measured.

    The `held` candidates that wait for a person take no lane; those that are `resting` don't breed.
    """
    if any(r.origin == "Baseline" and not r.terminal for r in records.values()):
        return ()
    live = sum(1 for r in records.values() if not r.terminal) - held
    started = sum(1 for r in records.values() if r.origin != "Baseline")
    room = min(lanes(search) - live, search.spec.budget.candidates - started)
    if room < 1:
        return ()
    seen = population(records, search.spec.budget.candidates, CEILINGS[search.spec.fitness.policy], resting)
    return tuple(_proposal(search, records, seen, len(records) + i) for i in range(room))


def lanes(search: ArchitectureSearch) -> int:
    """How many candidates may be under way: one alone when nothing runs in parallel."""
    return search.spec.agents.parallelism + search.spec.evaluation.parallelism - 1


def _seed(search: ArchitectureSearch, ordinal: int) -> int:
    return chance.integer(f"{search.spec.seed}/{ordinal}")


def _proposal(
    search: ArchitectureSearch, records: Mapping[str, Record], seen: Population, ordinal: int
) -> CreateCandidate:
    choice = POLICIES[search.spec.selection.policy](
        seen, search.spec.selection, f"{search.spec.seed}/{ordinal}/parents"
    )
    name = candidate_name(search.name, ordinal)
    while name in records:
        name += "x"
    spec = CandidateSpec(
        search_name=search.name,
        origin="Proposed",
        parents=choice.parents,
        references=choice.references,
        seed=_seed(search, ordinal),
    )
    return CreateCandidate(name, spec)


@dataclass(frozen=True, slots=True)
class Progress:
    """What a turn found out beside the verdict."""

    reservations: Mapping[str, Cost]
    creates: bool
    """Whether candidates are about to be created, so that the next turn follows at once and writes in any case."""
    waits: bool
    """Whether an order is named, after which there is more to write."""
    busy: bool
    """Whether anything is under way, was just named or is about to be created."""
    short: str | None
    """The field of the budget that kept an order from being named."""
    spent: Cost
    troubles: tuple[Trouble, ...] = ()


def status(
    search: ArchitectureSearch,
    records: Mapping[str, Record],
    judged: Verdict,
    progress: Progress,
    now: Instant,
) -> SearchStatus:
    """Derive a search's status from its candidates; the old one when nothing changed that is worth a write.

    While orders are under way, a reservation that has become needless alone is not, nor what was spent of it: until
    the next write, what is reserved covers what was spent.
    """
    old = search.status
    if progress.short is not None:
        message = _short_message(search, records, progress.short, progress.spent)
        judged = Verdict(Reason.BUDGET_EXHAUSTED, message, starts=False)
    phase = _phase(judged, busy=progress.busy)
    stake = _stake(search, records, progress.spent)
    ended = phase in ENDED
    begins = phase not in ("Blocked", "Suspended")
    new = old.model_copy(
        update={
            "observed_generation": search.metadata.generation,
            "phase": phase,
            "reason": judged.reason,
            "message": _told(judged, stake)[:1024],
            "started_at": old.started_at or (timestamp(now) if begins else None),
            "finished_at": (old.finished_at or timestamp(now)) if ended else None,
            "reservations": dict(progress.reservations),
            "counts": _counts(records.values()),
            "cost": progress.spent,
            "best": _best(search, records),
        }
    )
    conditions = search_conditions(new, progress.troubles, stake, now)
    new = new.model_copy(update={"conditions": conditions})
    may_wait = phase == "Running" and progress.waits and new.reservations.items() <= old.reservations.items()
    later = {"reservations", "cost"} | ({"counts"} if progress.creates and not _numbers(old, new) else set())
    unchanged = new.model_copy(update={name: getattr(old, name) for name in later}) == old
    return old if may_wait and unchanged else new


def _numbers(old: SearchStatus, new: SearchStatus) -> bool:
    """Whether an ordinal is given: who counts first has it, and of two operators one is refused."""
    return (new.counts.baselines, new.counts.proposed) != (old.counts.baselines, old.counts.proposed)


def _phase(judged: Verdict, *, busy: bool) -> SearchPhase:
    if judged.reason == Reason.BASELINE_FAILED and not busy:
        return "Failed"
    if judged.blocked:
        return "Blocked"
    if judged.reason in (Reason.SUSPENDED, Reason.PAUSED):
        return "Suspended"
    return "Running" if busy or judged.reason == Reason.RUNNING else "Complete"


def _told(judged: Verdict, stake: str) -> str:
    """The verdict's message, with what hangs on it where something went wrong."""
    wrong = judged.blocked or judged.reason == Reason.BASELINE_FAILED
    return f"{judged.message} {stake}" if wrong else judged.message


def _stake(search: ArchitectureSearch, records: Mapping[str, Record], spent: Cost) -> str:
    started = sum(1 for r in records.values() if r.origin != "Baseline")
    hours = f" and {spent.gpu_seconds / 3600:.4g} GPU hours" if spent.gpu_seconds else ""
    return (
        f"{started} of {search.spec.budget.candidates} candidates started, {spent.usd:.4g} USD{hours} spent."
    )


def _short_message(search: ArchitectureSearch, records: Mapping[str, Record], field: str, cost: Cost) -> str:
    used = {"gpuHours": cost.gpu_seconds / 3600, "tokens": cost.tokens, "usd": cost.usd}[field]
    ended = sum(1 for r in records.values() if r.terminal)
    most = {
        "gpuHours": search.spec.budget.gpu_hours,
        "tokens": search.spec.budget.tokens,
        "usd": search.spec.budget.usd,
    }[field]
    return (
        f"Spent {used:.4g} of {most} {field}; the next order could overshoot it. {ended} of {len(records)} candidates "
        f"finished. Raise spec.budget.{field} to continue; nothing is lost."
    )


def _counts(records: Iterable[Record]) -> Counts:
    listed = list(records)
    phases = Counter(r.phase for r in listed)
    numbered = [r.origin for r in listed if r.ordinal >= 0]
    baselines = numbered.count("Baseline")
    complete, rejected, failed = phases["Complete"], phases["Rejected"], phases["Failed"]
    return Counts(
        baselines=baselines,
        proposed=len(numbered) - baselines,
        live=len(listed) - complete - rejected - failed,
        complete=complete,
        rejected=rejected,
        failed=failed,
    )


def _best(search: ArchitectureSearch, records: Mapping[str, Record]) -> Best | None:
    first = ranking.best(records.values())
    if first is None or first.fitness is None:
        return None
    scoring = [r.name for r in search.spec.evaluation.ladder if r.task != "Gates"]
    return Best(
        candidate=first.name, rung=scoring[min(first.depth, len(scoring)) - 1], fitness=decimal(first.fitness)
    )
