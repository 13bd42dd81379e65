"""Who is better, by how much, and how sure that is.

Two sources of noise go into an interval: the choice of the held-out data (paired over its parts), and the
training seed (pooled over every candidate of the rung, which presumes that seeds move all alike). With one seed
a candidate the second is unknown, and whoever shows the interval must say so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from asiarch.api.candidate import Candidate, RungResult
from asiarch.core.interval import Noise, half_width, paired, pool, together
from asiarch.core.observation import Observation
from asiarch.core.ranking import ranked

Outcome = Literal["Ahead", "AheadOnOneSeed", "WithinNoise", "Unsure", "Behind", "Unmeasured"]


@dataclass(frozen=True, slots=True)
class Score:
    """What one rung measured of one candidate; the score lies within ± `half` with 95 % confidence."""

    rung: str
    value: float
    half: float | None
    loss: float | None
    seeds: int
    seconds: float
    parameters: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One candidate's score minus another's on the deepest rung that both reached, paired."""

    other: str
    rung: str
    value: float
    half: float | None
    seeds: int
    """Training seeds behind it, of the side that has fewer."""

    @property
    def clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.half is not None and abs(self.value) > self.half


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the best candidate beats the best baseline, told with the interval for picking it among many."""

    outcome: Outcome
    best: str | None = None
    difference: Difference | None = None
    compared: int = 0
    """Proposals scored on that rung; the interval holds for all of them at once."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What every comparison within one search rests on."""

    noise: Mapping[str, Noise]
    """How far another training seed moves a score, by rung; only where there were several seeds."""
    baselines: Mapping[str, Candidate]
    """The strongest baseline of each rung."""

    def score(self, measured: RungResult) -> Score:
        """One rung's score with its interval."""
        seeds = max(len(measured.seeds), 1)
        noise = self.noise.get(measured.name)
        by_seed = noise.half_width(seeds) if noise else None
        return Score(
            rung=measured.name,
            value=float(measured.score or 0),
            half=together(half_width(_floats(measured.groups)), by_seed),
            loss=None if measured.loss is None else float(measured.loss),
            seeds=seeds,
            seconds=measured.seconds,
            parameters=measured.parameters,
        )

    def difference(self, ours: Candidate, theirs: Candidate, comparisons: int = 1) -> Difference | None:
        """Compare two candidates on the deepest rung that both were scored on."""
        known = {r.name: r for r in theirs.status.rungs if r.score is not None}
        common = [(r, known[r.name]) for r in ours.status.rungs if r.score is not None and r.name in known]
        return self._subtract(*common[-1], theirs.name, comparisons) if common else None

    def to_baseline(self, candidate: Candidate, comparisons: int = 1) -> Difference | None:
        """Compare with the strongest baseline of the deepest rung where there is one; none for that one itself."""
        for rung in reversed(scores(candidate)):
            if rung in self.baselines:
                best = self.baselines[rung]
                return None if best.name == candidate.name else self.difference(candidate, best, comparisons)
        return None

    def verdict(self, observed: Observation) -> Verdict:
        """Judge the best proposal against the best baseline, allowing for its having been picked among many."""
        proposals = [r.name for r in ranked(observed.records.values()) if r.origin != "Baseline"]
        best = next((observed.candidates[name] for name in proposals if name in observed.candidates), None)
        if best is None:
            return Verdict("Unmeasured")
        first = self.to_baseline(best)
        if first is None:
            return Verdict("Unmeasured", best.name)
        measured = named_scores(observed)
        compared = sum(first.rung in measured[name] for name in proposals)
        found = self.to_baseline(best, compared) or first
        return Verdict(_outcome(found), best.name, found, compared)

    def _subtract(self, ours: RungResult, theirs: RungResult, other: str, comparisons: int) -> Difference:
        seeds = max(min(len(ours.seeds), len(theirs.seeds)), 1)
        noise = self.noise.get(ours.name)
        by_seed = 2**0.5 * noise.half_width(seeds, comparisons) if noise else None
        by_part = paired(_floats(ours.groups), _floats(theirs.groups), comparisons)
        value = float(ours.score or 0) - float(theirs.score or 0)
        return Difference(other, ours.name, value, together(by_part, by_seed), seeds)


def compare(observed: Observation) -> Comparison:
    """Gather what comparisons within a search rest on."""
    samples: dict[str, list[list[float]]] = {}
    for candidate in observed.candidates.values():
        for rung in candidate.status.rungs:
            samples.setdefault(rung.name, []).append(_floats(rung.seeds))
    pooled = {rung: pool(values) for rung, values in samples.items()}
    return Comparison({rung: noise for rung, noise in pooled.items() if noise}, best_baselines(observed))


def best_baselines(observed: Observation) -> Mapping[str, Candidate]:
    """The strongest baseline on each scoring rung."""
    best: dict[str, tuple[float, Candidate]] = {}
    baselines = (
        r for r in observed.records.values() if r.origin == "Baseline" and r.name in observed.candidates
    )
    for record in sorted(baselines, key=lambda r: r.ordinal):
        candidate = observed.candidates[record.name]
        for rung, value in scores(candidate).items():
            if rung not in best or value > best[rung][0]:
                best[rung] = value, candidate
    return {rung: candidate for rung, (_, candidate) in best.items()}


def scores(candidate: Candidate) -> dict[str, float]:
    """The score of each scoring rung, cheap to dear."""
    return {r.name: float(r.score) for r in candidate.status.rungs if r.score is not None}


def named_scores(observed: Observation) -> dict[str, dict[str, float]]:
    """The scores of every candidate by scoring rung, in ordinal order; also of those whose objects are gone."""
    rungs = [rung.name for rung in observed.search.spec.evaluation.ladder if rung.task != "Gates"]
    records = sorted(observed.records.values(), key=lambda r: r.ordinal)
    return {r.name: dict(zip(rungs, r.scores, strict=False)) for r in records}


def _outcome(found: Difference) -> Outcome:
    if found.half is None:
        return "Unsure"
    if not found.clear:
        return "WithinNoise"
    if found.value < 0:
        return "Behind"
    return "Ahead" if found.seeds > 1 else "AheadOnOneSeed"


def _floats(numbers: Sequence[str]) -> list[float]:
    return [float(n) for n in numbers]
