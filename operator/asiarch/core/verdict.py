"""When a search goes on, stands still or is over, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from asiarch.api.base import Instant, instant, seconds
from asiarch.api.names import PAUSE, candidate_name
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch
from asiarch.core import controls, ranking
from asiarch.core.observation import Record, Trouble


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a search may start orders and propose candidates, and why not."""

    reason: Reason = Reason.RUNNING
    message: str = ""
    starts: bool = True
    proposes: bool = True
    cancels: bool = False
    """Whether the orders under way are stopped."""
    blocked: bool = False
    """Whether a trouble stands in the way."""


def judge(
    search: ArchitectureSearch, records: Mapping[str, Record], troubles: Sequence[Trouble], now: Instant
) -> Verdict:
    """Judge whether the search goes on; a drained search finishes its candidates but proposes none."""
    judged = _unhindered(search, records, now)
    fatal = next((t for t in troubles if t.fatal), None)
    has_work = judged.proposes or any(not r.terminal for r in records.values())
    if fatal is not None and judged.starts and has_work:
        return Verdict(fatal.reason, fatal.message, starts=False, proposes=False, blocked=True)
    return judged


def conflicts(search: ArchitectureSearch, records: Mapping[str, Record]) -> tuple[Trouble, ...]:
    """Baselines that can't be created, since a candidate of somebody else has their name."""
    found = []
    for ordinal, baseline in enumerate(search.spec.baselines):
        taken = records.get(candidate_name(search.name, ordinal))
        if taken is not None and taken.origin != "Baseline" and taken.reason != Reason.DELETED:
            message = (
                f"Candidate {taken.name} has the name of baseline {baseline.name}, and its origin is {taken.origin}. "
                "Delete it, and create it under another name; the search resumes by itself."
            )
            found.append(Trouble(Reason.NAME_CONFLICT, message, fatal=True))
    return tuple(found)


def ends_at(search: ArchitectureSearch) -> Instant | None:
    """When the search's time is over, if it is limited."""
    started, limits = search.status.started_at, []
    if search.spec.budget.wall_clock is not None and started is not None:
        limits.append(instant(started) + seconds(search.spec.budget.wall_clock))
    if search.spec.stop.deadline is not None:
        limits.append(instant(search.spec.stop.deadline))
    return min(limits, default=None)


def _unhindered(search: ArchitectureSearch, records: Mapping[str, Record], now: Instant) -> Verdict:
    """Judge as if there were no troubles."""
    still = Verdict(starts=False, proposes=False, cancels=search.spec.stop_policy == "Cancel")
    if search.spec.suspend:
        message = "Set spec.suspend to false to go on; nothing is lost."
        return replace(still, reason=Reason.SUSPENDED, message=message)
    if controls.is_paused(search.metadata):
        message = f"Remove the annotation {PAUSE} to go on; nothing is lost."
        return replace(still, reason=Reason.PAUSED, message=message)
    if failed := _failed_yardstick(records):
        name = search.spec.baselines[0].name
        message = (
            f"Baseline {name}, the yardstick, ended as {failed.phase} ({failed.reason}). See {failed.name}."
        )
        return replace(still, reason=Reason.BASELINE_FAILED, message=message)
    if over := _out_of_time(search, now):
        return replace(still, reason=Reason.BUDGET_EXHAUSTED, message=over)
    return _drained(search, records)


def _failed_yardstick(records: Mapping[str, Record]) -> Record | None:
    """The first baseline, if it ended unmeasured: nothing can be judged without it."""
    first = next((r for r in records.values() if r.ordinal == 0), None)
    return first if first is not None and first.terminal and not first.measured else None


def _out_of_time(search: ArchitectureSearch, now: Instant) -> str | None:
    end = ends_at(search)
    if end is None or now < end:
        return None
    return "The search's time is over. Raise spec.budget.wallClock or spec.stop.deadline to go on; nothing is lost."


def _drained(search: ArchitectureSearch, records: Mapping[str, Record]) -> Verdict:
    """Judge the rules that let the candidates under way finish, unless the search wants them cancelled.

    Candidates within the budget are finished in any case: to cancel them as soon as the last one was proposed would
    waste it.
    """
    spec = search.spec
    started = sum(1 for r in records.values() if r.origin != "Baseline")
    cancels = spec.stop_policy == "Cancel"
    enough = Verdict(starts=not cancels, proposes=False, cancels=cancels)
    if spec.stop.target_fitness is not None and _reached(records, float(spec.stop.target_fitness)):
        message = f"A candidate reached fitness {spec.stop.target_fitness}."
        return replace(enough, reason=Reason.TARGET_REACHED, message=message)
    if spec.stop.patience is not None and _since_best(records) >= spec.stop.patience:
        message = f"{spec.stop.patience} candidates in a row brought no new best."
        return replace(enough, reason=Reason.PATIENCE_EXHAUSTED, message=message)
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
