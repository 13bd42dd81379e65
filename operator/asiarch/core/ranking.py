"""Who is better: the order of the population, who climbs a rung, and how far two rungs agree."""

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from math import ceil, sqrt

from asiarch.api.search import Promotion
from asiarch.core.observation import Record


def ranked(records: Iterable[Record]) -> tuple[Record, ...]:
    """Order the functional candidates: deepest rung first, then fitness, a tie in favour of the earlier.

    Fitness is comparable on one rung only, and whoever climbed was ahead on the rung below.
    """
    return tuple(sorted((r for r in records if r.functional), key=_place))


def best(records: Iterable[Record]) -> Record | None:
    """The first of the ranking, without ranking the rest."""
    return min((r for r in records if r.functional), key=_place, default=None)


def climbs(score: float, others: Sequence[float], promotion: Promotion) -> bool:
    """Whether a score just measured on a rung leads to the next one.

    `others` are the scores of everyone measured on that rung before. The first `grace` climb in any case;
    after them whoever ranks within the best `top` of all n measured so far, itself among them, a tie ranking
    behind the earlier. The rule is asynchronous successive halving (ASHA; Li et al. 2020, arXiv 1810.05934),
    with two differences: it is asked once, on arrival, so that a terminal phase stays terminal, and the
    fraction is rounded up, where ASHA rounds down: rounding down would let nobody climb from a small search.
    """
    if len(others) < promotion.grace:
        return True
    rank = 1 + sum(1 for other in others if other >= score)
    # 0.07 · 100 is 7.000000000000001 in floats; rounded, it is the 7 that was meant.
    return rank <= ceil(round(promotion.top * (len(others) + 1), 9))


def kendall_tau(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """How far two measurements of the same candidates agree, from -1 to 1; none when one is constant.

    Kendall's tau-b, which allows for ties (Kendall 1945), by counting inversions.
    """
    pairs = sorted(zip(ours, theirs, strict=True))
    seen: list[float] = []
    inversions = 0
    for _, value in pairs:
        inversions += len(seen) - bisect_right(seen, value)
        insort(seen, value)
    every = len(pairs) * (len(pairs) - 1) // 2
    free, their_free = every - _ties(ours), every - _ties(theirs)
    if not free or not their_free:
        return None
    return (free + their_free - every + _ties(pairs) - 2 * inversions) / sqrt(free * their_free)


def _place(record: Record) -> tuple[int, float, int, str]:
    return -record.depth, -(record.fitness or 0.0), record.ordinal, record.name


def _ties(values: Iterable[Hashable]) -> int:
    """Pairs of equal values."""
    return sum(n * (n - 1) // 2 for n in Counter(values).values())
