"""ShinkaEvolve's policy (arXiv 2509.19349): the strong among their peers with few children breed most."""

from collections.abc import Sequence
from math import exp
from statistics import median

from asiarch.api.search import Selection
from asiarch.core.selection.population import Choice, Population, shares, weighted

SLOPE = 10.0
MIN_SPREAD = 1e-6
SAME = 1e-5
"""Strengths that all lie within this of each other say nothing; their ranks decide."""


def choose(population: Population, settings: Selection, key: str) -> Choice:
    """Draw a parent by strength and novelty from all candidates."""
    if not population.ranked:
        return Choice()
    counts = [population.children.get(r.name, 0) for r in population.ranked]
    return weighted(population, weights(population.strengths, counts), settings, key)


def weights(strengths: Sequence[float], children: Sequence[int]) -> tuple[float, ...]:
    """Give each its probability, best first: p ∝ α · h with h = 1 / (1 + functional children).

    α = σ(10 (s − median s) / max(MAD, 1e-6)), where MAD is the median absolute deviation.
    """
    by_rank = max(strengths) - min(strengths) <= SAME
    scores = [-float(rank) for rank in range(len(strengths))] if by_rank else strengths
    middle = median(scores)
    spread = max(median(abs(s - middle) for s in scores), MIN_SPREAD)
    favours = (_sigmoid(SLOPE * (s - middle) / spread) for s in scores)
    return shares([favour / (1 + n) for favour, n in zip(favours, children, strict=True)])


def _sigmoid(x: float) -> float:
    """1 / (1 + e^(−x)), written so that no x overflows."""
    return exp(min(x, 0.0)) / (1 + exp(-abs(x)))
