"""The random arm of an ablation: fitness decides nothing beyond the right to breed."""

from asiarch.api.search import Selection
from asiarch.core import chance
from asiarch.core.selection.population import Choice, Population, names


def choose(population: Population, settings: Selection, key: str) -> Choice:
    """Draw parent and references from all functional candidates, each equally likely."""
    chosen = names(chance.sample(population.ranked, 1 + settings.references, f"{key}/parent"))
    return Choice(chosen[:1], chosen[1:])
