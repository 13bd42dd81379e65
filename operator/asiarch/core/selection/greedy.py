"""The greedy arm of an ablation: always the best candidate, shown beside those that follow it."""

from asiarch.api.search import Selection
from asiarch.core.selection.population import Choice, Population, names


def choose(population: Population, settings: Selection, _key: str) -> Choice:
    """Take the first rank as parent and the next ones as references; nothing is drawn."""
    chosen = names(population.ranked[: 1 + settings.references])
    return Choice(chosen[:1], chosen[1:])
