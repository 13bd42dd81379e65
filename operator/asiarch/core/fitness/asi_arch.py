"""The fitness of ASI-Arch (arXiv 2507.18074, released code): loss and benchmark against the first baseline's.

Its third term, a language model's judgement, is left out: a fitness comes from the referee's metrics alone.
A missing or infinite loss, which scores 0.9975 there, gives no fitness here.
"""

from math import exp, isfinite

from asiarch.api.candidate import RungResult

CEILING = 2.0
"""Two terms, each below 1."""

SLOPE = 6.0
SCALE = 0.1
"""The part of the baseline's value at which a difference counts in full."""

BENCHMARKS = ("benchmark", "accuracy")
"""Metrics that serve as the benchmark, in the order of preference."""


def fitness(rungs: tuple[RungResult, ...], yardstick: tuple[RungResult, ...]) -> float | None:
    """Sum the terms of loss and, where both have one, of benchmark on the deepest scoring rung.

    The first baseline itself gets 0.5 for each term. None when either has no loss on that rung, or a number
    that isn't finite.
    """
    ours = next((rung for rung in reversed(rungs) if rung.score is not None), None)
    theirs = None if ours is None else next((rung for rung in yardstick if rung.name == ours.name), None)
    if ours is None or theirs is None or ours.loss is None or theirs.loss is None:
        return None
    base = float(theirs.loss)
    gains = [(base - float(ours.loss), base)]
    benchmark, base_benchmark = _benchmark(ours), _benchmark(theirs)
    if benchmark is not None and base_benchmark is not None:
        gains.append((benchmark - base_benchmark, base_benchmark))
    finite = all(isfinite(number) for pair in gains for number in pair)
    return sum(term(gain, base) for gain, base in gains) if finite else None


def term(gain: float, base: float) -> float:
    """Weigh a gain: 1 / (1 + e^(−6 r)), where r stops at ±1, a tenth of the baseline's value.

    Where the baseline's value is 0 any difference counts in full.
    """
    relative = gain / (SCALE * base) if base > 0 else (gain > 0) - (gain < 0)
    return 1 / (1 + exp(-SLOPE * min(max(relative, -1.0), 1.0)))


def _benchmark(rung: RungResult) -> float | None:
    return next((float(rung.metrics[name]) for name in BENCHMARKS if name in rung.metrics), None)
