"""What an agent is told: picks, from everything observed, the experiments and lessons that bear on one order."""

from collections.abc import Callable

from asiarch.api.candidate import Candidate, Lesson
from asiarch.api.context import Context, Experiment, Failure, LessonRecord
from asiarch.api.order import Order, Proposal
from asiarch.core import ranking
from asiarch.core.observation import Observation, Record

MAX_LESSONS = 64

Text = Callable[[str], str]
"""Finds a candidate's file by its digest."""


def context(order: Order, seen: Observation, text: Text) -> Context:
    """Put together what the agent of `order` may look at."""
    candidate = seen.candidates[order.candidate]
    status = candidate.status
    parent = _first_parent(candidate, seen)
    common = {
        "order": order,
        "goal": seen.search.spec.goal,
        "parent": _experiment(parent, text),
        "revision": status.repairs,
        "resample": status.resamples,
    }
    if order.kind == "propose":
        references = tuple(
            _seen(seen.candidates[n], text) for n in candidate.spec.references if n in seen.candidates
        )
        return Context(**common, references=references, lessons=lessons(seen))
    proposal = Proposal(
        name=status.name, motivation=status.motivation, recipe=status.recipe, uses=status.uses
    )
    if order.kind == "build":
        return Context(**common, proposal=proposal)
    me = _experiment(candidate, text)
    if order.kind == "repair":
        return Context(**common, proposal=proposal, me=me, failure=_failure(candidate, seen))
    grandparent = None if parent is None else _first_parent(parent, seen)
    return Context(
        **common,
        me=me,
        grandparent=_experiment(grandparent, text),
        siblings=_siblings(candidate, parent, seen, text),
    )


def lessons(seen: Observation) -> tuple[LessonRecord, ...]:
    """The lessons of a search with their record: those whose interval excludes zero first, then the newest.

    A use is a candidate that names the teacher in `status.uses`; it is a win when that candidate beats its parent.
    """
    uses, wins = tally(seen)
    taught = [(r, r.lesson) for r in seen.records.values() if r.lesson is not None and not r.vetoed]
    taught.sort(key=lambda pair: (not _decided(pair[1]), -pair[0].ordinal))
    return tuple(
        LessonRecord(candidate=r.name, lesson=lesson, uses=uses.get(r.name, 0), wins=wins.get(r.name, 0))
        for r, lesson in taught[:MAX_LESSONS]
    )


def tally(seen: Observation) -> tuple[dict[str, int], dict[str, int]]:
    """Count, for each teaching candidate, who used its lesson and has ended, and who of them beat the parent."""
    uses: dict[str, int] = {}
    wins: dict[str, int] = {}
    for child in seen.records.values():
        if not child.uses or not child.terminal:
            continue
        won = _beats_parent(child, seen)
        for teacher in child.uses:
            uses[teacher] = uses.get(teacher, 0) + 1
            wins[teacher] = wins.get(teacher, 0) + won
    return uses, wins


def _beats_parent(child: Record, seen: Observation) -> bool:
    """Whether a candidate ranks above its first parent."""
    parent = seen.records.get(child.parents[0]) if child.parents else None
    if parent is None or not child.functional:
        return False
    return ranking.ranked((parent, child))[0] is child


def _decided(lesson: Lesson) -> bool:
    return float(lesson.low) > 0 or float(lesson.high) < 0


def _first_parent(candidate: Candidate, seen: Observation) -> Candidate | None:
    parents = candidate.spec.parents
    return seen.candidates.get(parents[0]) if parents else None


def _siblings(
    candidate: Candidate, parent: Candidate | None, seen: Observation, text: Text
) -> tuple[Experiment, ...]:
    """The two strongest other children of the parent, of those that are there."""
    if parent is None:
        return ()
    children = (
        r
        for r in seen.records.values()
        if parent.name in r.parents and r.name != candidate.name and r.name in seen.candidates
    )
    best = [seen.candidates[r.name] for r in ranking.ranked(children)[:2]]
    return tuple(_seen(c, text) for c in best)


def _failure(candidate: Candidate, seen: Observation) -> Failure | None:
    status = candidate.status
    if status.reason is None:
        return None
    return Failure(
        reason=status.reason,
        message=status.message,
        rung=seen.search.spec.evaluation.ladder[status.rung].name,
    )


def _experiment(candidate: Candidate | None, text: Text) -> Experiment | None:
    return None if candidate is None else _seen(candidate, text)


def _seen(candidate: Candidate, text: Text) -> Experiment:
    status = candidate.status
    return Experiment(
        candidate=candidate.name,
        name=status.name,
        motivation=status.motivation,
        tags=status.tags,
        code="" if status.code is None else text(status.code.digest),
        rungs=status.rungs,
        fitness=status.fitness,
        analysis=status.analysis,
    )
