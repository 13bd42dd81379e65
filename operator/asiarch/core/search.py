"""Keeps the population going: who may start, who breeds, how many, and when the search ends."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from asiarch.api.base import Instant, decimal, instant, seconds, timestamp
from asiarch.api.candidate import CandidateSpec
from asiarch.api.names import candidate_name
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Best, Cost, Counts, SearchPhase, SearchStatus
from asiarch.core import chance, ranking
from asiarch.core.actions import CreateCandidate
from asiarch.core.conditions import search_conditions
from asiarch.core.fitness import CEILINGS
from asiarch.core.observation import Record
from asiarch.core.selection import POLICIES, Population, population


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a search may start orders and propose candidates, and why not."""

    reason: Reason = Reason.RUNNING
    message: str = ""
    starts: bool = True
    proposes: bool = True


def verdict(search: ArchitectureSearch, records: Mapping[str, Record], now: Instant) -> Verdict:
    """Judge whether the search goes on; a drained search finishes its candidates but proposes none."""
    spec = search.spec
    if spec.suspend:
        return Verdict(
            Reason.SUSPENDED,
            "Set spec.suspend to false to go on; nothing is lost.",
            starts=False,
            proposes=False,
        )
    if failed := _failed_yardstick(records):
        name = spec.baselines[0].name
        message = (
            f"Baseline {name}, the yardstick, ended as {failed.phase} ({failed.reason}). See {failed.name}."
        )
        return Verdict(Reason.BASELINE_FAILED, message, starts=False, proposes=False)
    if over := _out_of_time(search, now):
        return Verdict(Reason.BUDGET_EXHAUSTED, over, starts=False, proposes=False)
    return _drained(search, records)


def _failed_yardstick(records: Mapping[str, Record]) -> Record | None:
    """The first baseline, if it ended unmeasured: nothing can be judged without it."""
    first = next((r for r in records.values() if r.origin == "Baseline" and r.ordinal == 0), None)
    return first if first is not None and first.terminal and not first.functional else None


def ends_at(search: ArchitectureSearch) -> Instant | None:
    """When the search's time is over, if it is limited."""
    started, limits = search.status.started_at, []
    if search.spec.budget.wall_clock is not None and started is not None:
        limits.append(instant(started) + seconds(search.spec.budget.wall_clock))
    if search.spec.stop.deadline is not None:
        limits.append(instant(search.spec.stop.deadline))
    return min(limits, default=None)


def _out_of_time(search: ArchitectureSearch, now: Instant) -> str | None:
    end = ends_at(search)
    if end is None or now < end:
        return None
    return "The search's time is over. Raise spec.budget.wallClock or spec.stop.deadline to go on; nothing is lost."


def _drained(search: ArchitectureSearch, records: Mapping[str, Record]) -> Verdict:
    """Judge the rules that let the candidates under way finish."""
    spec = search.spec
    started = sum(1 for r in records.values() if r.origin != "Baseline")
    if spec.stop.target_fitness is not None and _reached(records, float(spec.stop.target_fitness)):
        return Verdict(
            Reason.TARGET_REACHED, f"A candidate reached fitness {spec.stop.target_fitness}.", proposes=False
        )
    if spec.stop.patience is not None and _since_best(records) >= spec.stop.patience:
        message = f"{spec.stop.patience} candidates in a row brought no new best."
        return Verdict(Reason.PATIENCE_EXHAUSTED, message, proposes=False)
    if started >= spec.budget.candidates:
        message = f"{started} of {spec.budget.candidates} candidates started. Raise spec.budget.candidates to go on."
        return Verdict(Reason.BUDGET_EXHAUSTED, message, proposes=False)
    return Verdict()


def _reached(records: Mapping[str, Record], target: float) -> bool:
    return any(r.functional and r.fitness is not None and r.fitness >= target for r in records.values())


def _since_best(records: Mapping[str, Record]) -> int:
    """Candidates that ended since the best one did."""
    ended = sorted(
        (r for r in records.values() if r.terminal and r.origin != "Baseline"),
        key=lambda r: (r.finished_at, r.ordinal),
    )
    best = ranking.best(records.values())
    names = [r.name for r in ended]
    return len(names) - (names.index(best.name) + 1 if best is not None and best.name in names else 0)


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


def next_candidates(search: ArchitectureSearch, records: Mapping[str, Record]) -> tuple[CreateCandidate, ...]:
    """Create as many proposals as there are free lanes, once every baseline has been measured."""
    if any(r.origin == "Baseline" and not r.terminal for r in records.values()):
        return ()
    live = sum(1 for r in records.values() if not r.terminal)
    started = sum(1 for r in records.values() if r.origin != "Baseline")
    room = min(lanes(search) - live, search.spec.budget.candidates - started)
    if room < 1:
        return ()
    seen = population(records, search.spec.budget.candidates, CEILINGS[search.spec.fitness.policy])
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
    busy: bool
    """Whether anything is under way, was just named or is about to be created."""
    short: str | None
    """The field of the budget that kept an order from being named."""
    spent: Cost


def status(
    search: ArchitectureSearch,
    records: Mapping[str, Record],
    judged: Verdict,
    progress: Progress,
    now: Instant,
) -> SearchStatus:
    """Derive a search's status from its candidates; the old one when nothing changed that is worth a write.

    While the search runs, a reservation that has become needless alone is not: it goes with the next write.
    """
    old = search.status
    if progress.short is not None:
        message = _short_message(search, records, progress.short, progress.spent)
        judged = Verdict(Reason.BUDGET_EXHAUSTED, message, starts=False)
    phase = _phase(judged, busy=progress.busy)
    ended = phase in ("Complete", "Failed")
    new = old.model_copy(
        update={
            "observed_generation": search.metadata.generation,
            "phase": phase,
            "reason": judged.reason,
            "message": judged.message,
            "started_at": old.started_at or timestamp(now),
            "finished_at": (old.finished_at or timestamp(now)) if ended else None,
            "reservations": dict(progress.reservations),
            "counts": _counts(records.values()),
            "cost": progress.spent,
            "best": _best(search, records),
        }
    )
    new = new.model_copy(update={"conditions": search_conditions(new, now)})
    needless = phase == "Running" and new.reservations.keys() < old.reservations.keys()
    return old if needless and new.model_copy(update={"reservations": old.reservations}) == old else new


def _phase(judged: Verdict, *, busy: bool) -> SearchPhase:
    if judged.reason == Reason.BASELINE_FAILED and not busy:
        return "Failed"
    if judged.reason == Reason.SUSPENDED:
        return "Suspended"
    return "Running" if busy or judged.reason == Reason.RUNNING else "Complete"


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
    baselines = sum(1 for r in listed if r.origin == "Baseline")
    complete, rejected, failed = phases["Complete"], phases["Rejected"], phases["Failed"]
    return Counts(
        baselines=baselines,
        proposed=len(listed) - baselines,
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
    return Best(candidate=first.name, rung=scoring[first.depth - 1], fitness=decimal(first.fitness))
