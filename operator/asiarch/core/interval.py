"""How sure a mean is: Student's t intervals of plain, paired and pooled values.

Pure arithmetic; the quantile is found by bisection on the exact distribution for whole degrees of freedom
(Abramowitz and Stegun 26.7.3 and 26.7.4).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import atan, cos, hypot, pi, sin, sqrt
from statistics import fmean, stdev, variance

CONFIDENCE = 0.95


def half_width(values: Sequence[float], comparisons: int = 1) -> float | None:
    """Half the 95 % interval of a mean; none from fewer than two values.

    With `comparisons` above 1 the interval holds for that many means at once (Bonferroni).
    """
    if len(values) < 2:
        return None
    freedom = len(values) - 1
    return quantile(1 - (1 - CONFIDENCE) / comparisons, freedom) * stdev(values) / sqrt(len(values))


def paired(ours: Sequence[float], theirs: Sequence[float], comparisons: int = 1) -> float | None:
    """Half the interval of the mean difference of values that were measured on the same parts."""
    if len(ours) != len(theirs):
        return None
    return half_width([a - b for a, b in zip(ours, theirs, strict=True)], comparisons)


@dataclass(frozen=True, slots=True)
class Noise:
    """The standard deviation of one measurement, and the degrees of freedom of that estimate."""

    deviation: float
    freedom: int

    def half_width(self, repetitions: int, comparisons: int = 1) -> float:
        """Half the interval of a mean of so many repetitions."""
        return quantile(1 - (1 - CONFIDENCE) / comparisons, self.freedom) * self.deviation / sqrt(repetitions)


def pool(samples: Iterable[Sequence[float]]) -> Noise | None:
    """Estimate the noise of one repetition from all samples that have several; none when none has."""
    repeated = [s for s in samples if len(s) > 1]
    freedom = sum(len(s) - 1 for s in repeated)
    if not freedom:
        return None
    return Noise(sqrt(sum(variance(s) * (len(s) - 1) for s in repeated) / freedom), freedom)


def together(*halves: float | None) -> float | None:
    """Half the interval under several independent sources of noise; sources that aren't known are left out."""
    known = [h for h in halves if h is not None]
    return hypot(*known) if known else None


@cache
def quantile(within: float, freedom: int) -> float:
    """The t that |T| stays below with probability `within`."""
    low, high = 0.0, 1.0
    while coverage(high, freedom) < within:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = fmean((low, high))
        low, high = (middle, high) if coverage(middle, freedom) < within else (low, middle)
    return high


def coverage(t: float, freedom: int) -> float:
    """The probability that |T| stays below `t`."""
    angle = atan(t / sqrt(freedom))
    odd = freedom % 2
    term = cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= cos(angle) ** 2 * k / (k + 1)
    return 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
