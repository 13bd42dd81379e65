"""The Darwin Gödel Machine's policy (arXiv 2505.22954): the strong with few children breed most."""

from collections.abc import Sequence
from math import exp

from asiarch.api.search import Selection
from asiarch.core.selection.population import Choice, Population, shares, weighted

SLOPE = 10.0
MIDDLE = 0.5


def choose(population: Population, settings: Selection, key: str) -> Choice:
    """Draw a parent by strength and novelty from all candidates; who bred before may breed again.

    The original shows its proposer the parent alone: set `references` to 0 for that.
    """
    if not population.ranked:
        return Choice()
    counts = [population.children.get(r.name, 0) for r in population.ranked]
    return weighted(population, weights(population.strengths, counts), settings, key)


def weights(strengths: Sequence[float], children: Sequence[int]) -> tuple[float, ...]:
    """Give each its probability: p ∝ s · h, s = σ(10 (α − 0.5)), h = 1 / (1 + functional children)."""
    return shares([favour(a) / (1 + n) for a, n in zip(strengths, children, strict=True)])


def favour(strength: float) -> float:
    """How strongly a candidate of that strength, 0…1, is preferred."""
    return 1 / (1 + exp(-SLOPE * (strength - MIDDLE)))
