"""Chance without a source of chance: every draw is a function of a key, so a repeated turn draws the same.

A key reads "seed/ordinal/purpose": two draws with one key are one draw, so each purpose needs its own.
"""

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import sha256
from itertools import accumulate
from math import cos, inf, ldexp, log, nextafter, pi, sqrt
from typing import TypeVar

T = TypeVar("T")

MANTISSA = 53
"""Bits of a float's fraction: more would round up to 1."""


def integer(key: str, bits: int = 31) -> int:
    """Draw a whole number of at most 256 `bits`, each equally likely."""
    return int.from_bytes(sha256(key.encode()).digest(), "big") >> (256 - bits)


def uniform(key: str) -> float:
    """Draw from [0, 1)."""
    return ldexp(integer(key, MANTISSA), -MANTISSA)


def draw(items: Sequence[T], weights: Sequence[float] | None, key: str) -> T:
    """Draw one item, equally likely each or in proportion to its weight; an item of weight 0 is never drawn.

    Raises ValueError when there is nothing to draw from, or the weights are not one for each item,
    finite, none negative and one at least positive.
    """
    if not items:
        raise ValueError(f"Nothing to draw from for {key}: the list of items is empty.")
    if weights is None:
        return items[int(uniform(key) * len(items))]
    edges = list(accumulate(weights))
    if len(edges) != len(items) or min(weights) < 0 or not 0 < edges[-1] < inf:
        raise ValueError(
            f"The weights for {key} must be {len(items)} finite numbers, none negative and one positive; "
            f"found {len(edges)} that sum to {sum(weights)}.",
        )
    return items[bisect_right(edges, min(uniform(key) * edges[-1], nextafter(edges[-1], 0)))]


def sample(items: Sequence[T], count: int, key: str) -> tuple[T, ...]:
    """Draw `count` distinct places of `items`, equally likely each, as drawn; all if there are fewer.

    The first steps of a Fisher-Yates shuffle, so a longer sample begins with the shorter one.
    """
    rest = list(items)
    for i in range(min(count, len(rest))):
        j = i + int(uniform(f"{key}/{i}") * (len(rest) - i))
        rest[i], rest[j] = rest[j], rest[i]
    return tuple(rest[: max(count, 0)])


def beta(a: float, b: float, key: str) -> float:
    """Draw from Beta(a, b), as Thompson sampling does with Beta(1 + wins, 1 + losses); both at least 1."""
    if min(a, b) < 1:
        raise ValueError(f"Beta({a}, {b}) for {key}: both must be at least 1.")
    ours, theirs = _gamma(a, f"{key}/a"), _gamma(b, f"{key}/b")
    return ours / (ours + theirs)


def _gamma(shape: float, key: str) -> float:
    """Draw from Gamma(shape, 1) by Marsaglia and Tsang's rejection (2000), which accepts 95 % and more."""
    d = shape - 1 / 3
    attempt = 0
    while True:
        x = _normal(f"{key}/{attempt}/x")
        v = (1 + x / sqrt(9 * d)) ** 3
        # 1 - uniform lies in (0, 1], so that its logarithm exists.
        if v > 0 and log(1 - uniform(f"{key}/{attempt}/u")) < x * x / 2 + d * (1 - v + log(v)):
            return d * v
        attempt += 1


def _normal(key: str) -> float:
    """Draw from the standard normal distribution (Box and Muller 1958)."""
    return sqrt(-2 * log(1 - uniform(f"{key}/r"))) * cos(2 * pi * uniform(f"{key}/t"))
