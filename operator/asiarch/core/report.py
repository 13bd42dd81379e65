"""What a search has found, as plain data for people: ranks with intervals, failures, cost, lessons, agreement."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from asiarch.api.candidate import Candidate, Lesson, Origin
from asiarch.api.search import ArchitectureSearch, Cost
from asiarch.core.budget import spent
from asiarch.core.comparison import Comparison, Difference, Score, Verdict, compare, named_scores
from asiarch.core.context import tally
from asiarch.core.observation import Observation
from asiarch.core.ranking import kendall_tau, ranked

MIN_AGREEMENT = 3
EXAMPLES = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the leaderboard."""

    rank: int
    candidate: str
    origin: Origin
    title: str
    parent: str | None
    fitness: float
    scores: tuple[Score, ...]
    to_parent: Difference | None
    to_baseline: Difference | None

    @property
    def deepest(self) -> Score | None:
        """The score on the deepest rung."""
        return self.scores[-1] if self.scores else None


@dataclass(frozen=True, slots=True)
class FailureRow:
    """One reason why candidates ended without a score."""

    reason: str
    phase: str
    candidates: tuple[str, ...]
    message: str

    @property
    def examples(self) -> tuple[str, ...]:
        """The first few."""
        return self.candidates[:EXAMPLES]


@dataclass(frozen=True, slots=True)
class CostRow:
    """What one part of the work cost."""

    part: str
    cost: Cost


@dataclass(frozen=True, slots=True)
class LessonRow:
    """A lesson, how often a proposal used it, and how often that proposal then beat its parent."""

    candidate: str
    lesson: Lesson
    uses: int
    wins: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Kendall's tau between two consecutive rungs, over the candidates that both measured."""

    cheap: str
    dear: str
    candidates: int
    tau: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Scores on one rung in the order in which they came, with the best proposal so far."""

    rung: str
    candidates: tuple[str, ...]
    values: tuple[float, ...]
    best: tuple[float, ...]
    baselines: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What a stranger needs to get the same numbers."""

    commands: tuple[str, ...]
    seed: int
    files: tuple[tuple[str, str], ...]
    """Candidate and digest of its file, best first."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that a report shows."""

    search: ArchitectureSearch
    verdict: Verdict
    rows: tuple[Row, ...]
    failures: tuple[FailureRow, ...]
    costs: tuple[CostRow, ...]
    lessons: tuple[LessonRow, ...]
    agreements: tuple[Agreement, ...]
    progress: tuple[Progress, ...]
    isolation: tuple[tuple[str, int], ...]
    """Each measure of isolation and how many candidates' code ran under it."""
    ran: int
    """How many candidates' code ran at all."""
    reproduction: Reproduction


def summarise(observed: Observation) -> Summary:
    """Draw everything that a report shows from one observation."""
    rows = leaderboard(observed)
    isolated = [
        c.status.isolation for c in observed.candidates.values() if c.status.isolation or c.status.rungs
    ]
    measures = Counter(measure for isolation in isolated for measure in isolation)
    return Summary(
        search=observed.search,
        verdict=compare(observed).verdict(observed),
        rows=rows,
        failures=failures(observed),
        costs=costs(observed),
        lessons=lessons(observed),
        agreements=agreements(observed),
        progress=progress(observed),
        isolation=tuple(sorted(measures.items(), key=lambda m: (-m[1], m[0]))),
        ran=len(isolated),
        reproduction=reproduction(observed, rows),
    )


def leaderboard(observed: Observation, top: int | None = None) -> tuple[Row, ...]:
    """Every candidate that was measured to its end and is still there, or the first `top` of them, best first."""
    best = enumerate(ranked(observed.records.values())[:top], 1)
    comparison = compare(observed)
    there = ((rank, observed.candidates[r.name]) for rank, r in best if r.name in observed.candidates)
    return tuple(_row(rank, candidate, observed, comparison) for rank, candidate in there)


def _row(rank: int, candidate: Candidate, observed: Observation, comparison: Comparison) -> Row:
    status, parents = candidate.status, candidate.spec.parents
    parent = observed.candidates.get(parents[0]) if parents else None
    return Row(
        rank=rank,
        candidate=candidate.name,
        origin=candidate.spec.origin,
        title=status.name,
        parent=parents[0] if parents else None,
        fitness=float(status.fitness or 0),
        scores=tuple(comparison.score(r) for r in status.rungs if r.score is not None),
        to_parent=comparison.difference(candidate, parent) if parent else None,
        to_baseline=comparison.to_baseline(candidate),
    )


def failures(observed: Observation) -> tuple[FailureRow, ...]:
    """Why candidates ended without being measured to their end, most frequent reason first."""
    ended = sorted(
        (r for r in observed.records.values() if r.phase in ("Rejected", "Failed")), key=lambda r: r.ordinal
    )
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for record in ended:
        groups[record.reason.value if record.reason else "Unknown", record.phase].append(record.name)
    rows = (
        FailureRow(reason, phase, tuple(names), _message(names, observed))
        for (reason, phase), names in groups.items()
    )
    return tuple(sorted(rows, key=lambda row: (-len(row.candidates), row.reason)))


def _message(names: Sequence[str], observed: Observation) -> str:
    """What the first of them that is still there said."""
    there = (observed.candidates[name].status.message for name in names if name in observed.candidates)
    return next(there, "")


def costs(observed: Observation) -> tuple[CostRow, ...]:
    """What each rung cost, what training that brought no score cost, what the agents cost, and the sum.

    Of archived candidates only the sum is known, which then has a row of its own.
    """
    records = observed.records.values()
    total = spent(records)
    archived = spent(r for r in records if r.name not in observed.candidates)
    used: dict[str, float] = defaultdict(float)
    for candidate in observed.candidates.values():
        for measured in candidate.status.rungs:
            used[measured.name] += measured.seconds
    ladder = [(rung, used[rung.name]) for rung in observed.search.spec.evaluation.ladder]
    scored = [CostRow(r.name, Cost(seconds=s, gpu_seconds=s * sum(r.resources.values()))) for r, s in ladder]
    rest = Cost(
        seconds=max(total.seconds - archived.seconds - sum(row.cost.seconds for row in scored), 0.0),
        gpu_seconds=max(
            total.gpu_seconds - archived.gpu_seconds - sum(row.cost.gpu_seconds for row in scored), 0.0
        ),
    )
    trained = Cost(seconds=archived.seconds, gpu_seconds=archived.gpu_seconds)
    old = (CostRow("archived candidates", trained),) if archived != Cost() else ()
    agents = Cost(tokens=total.tokens, usd=total.usd)
    return (*scored, CostRow("without a score", rest), *old, CostRow("agents", agents), CostRow("sum", total))


def lessons(observed: Observation) -> tuple[LessonRow, ...]:
    """What was learnt, the most useful first."""
    uses, wins = tally(observed)
    rows = [
        LessonRow(r.name, r.lesson, uses.get(r.name, 0), wins.get(r.name, 0))
        for r in sorted(observed.records.values(), key=lambda r: r.ordinal)
        if r.lesson is not None
    ]
    return tuple(sorted(rows, key=lambda row: (-row.wins, -row.uses, -abs(float(row.lesson.delta)))))


def agreements(observed: Observation) -> tuple[Agreement, ...]:
    """How far each scoring rung ranks candidates as the next one does."""
    measured = named_scores(observed).values()
    rungs = _scoring_rungs(observed)
    found = []
    for cheap, dear in pairwise(rungs):
        pairs = [(s[cheap], s[dear]) for s in measured if cheap in s and dear in s]
        if len(pairs) >= MIN_AGREEMENT:
            ours, theirs = zip(*pairs, strict=True)
            found.append(Agreement(cheap, dear, len(pairs), kendall_tau(ours, theirs)))
    return tuple(found)


def progress(observed: Observation) -> tuple[Progress, ...]:
    """How the best proposal rose on each scoring rung."""
    return tuple(_progress(rung, observed) for rung in _scoring_rungs(observed))


def _progress(rung: str, observed: Observation) -> Progress:
    measured = [(observed.records[n], s[rung]) for n, s in named_scores(observed).items() if rung in s]
    ours = [(r.name, value) for r, value in measured if r.origin != "Baseline"]
    best: list[float] = []
    for _, value in ours:
        best.append(max(value, best[-1]) if best else value)
    return Progress(
        rung=rung,
        candidates=tuple(name for name, _ in ours),
        values=tuple(value for _, value in ours),
        best=tuple(best),
        baselines={r.name: value for r, value in measured if r.origin == "Baseline"},
    )


def reproduction(observed: Observation, rows: Sequence[Row]) -> Reproduction:
    """Say how to get the same numbers again."""
    codes = [(row.candidate, observed.candidates[row.candidate].status.code) for row in rows]
    champion = next((row.candidate for row in rows if row.origin != "Baseline"), None)
    rerun = () if champion is None else (f"asiarch rerun {champion}",)
    return Reproduction(
        commands=(f"asiarch run {observed.search.name}.yaml", *rerun),
        seed=observed.search.spec.seed,
        files=tuple((name, code.digest) for name, code in codes if code is not None),
    )


def _scoring_rungs(observed: Observation) -> list[str]:
    names = [rung.name for rung in observed.search.spec.evaluation.ladder]
    scored = {rung for found in named_scores(observed).values() for rung in found}
    return [name for name in names if name in scored]
