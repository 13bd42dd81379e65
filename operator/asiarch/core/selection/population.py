"""What a selection policy sees and what it answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

from asiarch.api.search import Selection
from asiarch.core import chance, lineage, ranking
from asiarch.core.observation import Record


@dataclass(frozen=True)
class Population:
    """The candidates that may breed, and how far the search has come."""

    ranked: tuple[Record, ...]
    """The functional candidates, best first."""
    children: Mapping[str, int]
    """Functional children of each parent; a name that is missing has none."""
    ended: Mapping[str, int]
    """How many proposals and users' candidates ended, one way or another, before each that ended."""
    size: int
    """How many proposals and users' candidates the budget allows."""
    ceiling: float = 1.0
    """The largest fitness that the search's fitness policy gives."""

    @cached_property
    def strengths(self) -> tuple[float, ...]:
        """The fitness of each ranked candidate, brought to 0…1 so that it falls along the ranks.

        Fitness is comparable on one rung only. So each rung in use gets an equal band of 0…1, the deepest
        the uppermost, and within its band a candidate stands at its fitness's share of `ceiling`. Fitness
        below 0, worse than guessing, counts as 0. With one rung in use and a ceiling of 1, this is fitness.
        """
        bands = {depth: band for band, depth in enumerate(sorted({r.depth for r in self.ranked}))}
        return tuple((bands[r.depth] + self._share(r)) / len(bands) for r in self.ranked)

    def _share(self, record: Record) -> float:
        return min(max((record.fitness or 0.0) / self.ceiling, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom a proposal descends from, and whom else its researcher is shown; none when nobody may breed."""

    parents: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


Policy = Callable[[Population, Selection, str], Choice]
"""choose(population, settings, key): a rule for choosing; the same arguments give the same choice."""


def population(
    records: Mapping[str, Record], size: int, ceiling: float = 1.0, resting: AbstractSet[str] = frozenset()
) -> Population:
    """Read a population from all candidates of a search; `size` is the budget's number of candidates.

    Those that are `resting` may not breed.
    """
    over = sorted((r for r in records.values() if r.terminal and r.origin != "Baseline"), key=_end)
    return Population(
        ranked=ranking.ranked(r for r in records.values() if r.name not in resting),
        children=lineage.functional_children(records),
        ended={record.name: place for place, record in enumerate(over)},
        size=size,
        ceiling=ceiling,
    )


def weighted(population: Population, weights: Sequence[float], settings: Selection, key: str) -> Choice:
    """Draw a parent by weight, and its references from the rest of the best `pool`, each equally likely."""
    parent = chance.draw(population.ranked, weights, f"{key}/parent")
    others = [r for r in population.ranked[: settings.pool] if r is not parent]
    return Choice((parent.name,), names(chance.sample(others, settings.references, f"{key}/references")))


def names(records: Iterable[Record]) -> tuple[str, ...]:
    """The candidates' names, in the order given."""
    return tuple(r.name for r in records)


def shares(weights: Sequence[float]) -> tuple[float, ...]:
    """Scale weights so that they sum to 1."""
    total = sum(weights)
    return tuple(w / total for w in weights)


def _end(record: Record) -> tuple[str, int]:
    return record.finished_at, record.ordinal
