"""ASI-Arch's policy (arXiv 2507.18074): parent from the best few of a slow pool, references from the rest."""

from collections.abc import Iterator
from itertools import islice

from asiarch.api.search import Selection
from asiarch.core import chance
from asiarch.core.observation import Record
from asiarch.core.selection.population import Choice, Population, names

COLD_START = 200


def choose(population: Population, settings: Selection, key: str) -> Choice:
    """Draw a parent from the pool's first ranks and references from its other ranks, each equally likely.

    Until the cold start is over every candidate may be the parent, and every other one a reference.
    """
    if not population.ranked:
        return Choice()
    members = pool(population, settings)
    if _is_cold(population):
        parent, *others = chance.sample(members, 1 + settings.references, f"{key}/parent")
        return Choice((parent.name,), names(others))
    parent = chance.draw(members[: settings.parents], None, f"{key}/parent")
    references = chance.sample(members[settings.parents :], settings.references, f"{key}/references")
    return Choice((parent.name,), names(references))


def pool(population: Population, settings: Selection) -> tuple[Record, ...]:
    """The candidates that may be drawn, best first: all in the cold start, then the last refresh's best.

    The pool is refreshed whenever `settings.pool` further candidates have ended, in a search whose cold start
    is shorter whenever that many have. Baselines are in it from the start.
    """
    if _is_cold(population):
        return population.ranked
    period = min(settings.pool, cold_start(population.size))
    return tuple(islice(_ended_before(population, len(population.ended) // period * period), settings.pool))


def cold_start(size: int) -> int:
    """How many candidates end before the pool narrows, in a search of `size` candidates; at least 1."""
    return max(min(COLD_START, size // 8), 1)


def _is_cold(population: Population) -> bool:
    return len(population.ended) < cold_start(population.size)


def _ended_before(population: Population, refresh: int) -> Iterator[Record]:
    return (r for r in population.ranked if population.ended.get(r.name, -1) < refresh)
