"""What has been found out so far; whatever ends the order, this much goes into the result."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from asiarch.api.base import decimal
from asiarch.api.order import Measurement

MAX_POINTS = 16
_LARGEST = 1e11


@dataclass
class Record:
    """Metrics that the referee measured, claims that the player made, and the learning curve that it claimed."""

    score: float | None = None
    loss: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    claims: dict[str, float] = field(default_factory=dict)
    groups: list[float] = field(default_factory=list)
    curves: list[list[float]] = field(default_factory=list)
    parameters: int = 0
    tokens: int = 0
    data: str | None = None

    def measurement(self) -> Measurement:
        """Write it down in the API's type; numbers that are not finite are left out."""
        return Measurement(
            score=None if self.score is None else decimal(self.score),
            loss=None if self.loss is None else decimal(self.loss),
            metrics={name: decimal(value) for name, value in self.metrics.items() if _writable(value)},
            claims={name: decimal(value) for name, value in self.claims.items() if _writable(value)},
            groups=tuple(decimal(value, 5) for value in self.groups),
            curve=thinned(self.curves),
            parameters=self.parameters,
            data=self.data,
        )


def thinned(curves: Sequence[Sequence[float]]) -> tuple[tuple[int, str], ...]:
    """Average the curves over tasks and steps into at most 16 points: (steps done, mean loss since the last point)."""
    steps = max((len(curve) for curve in curves), default=0)
    edges = np.unique(np.linspace(0, steps, min(MAX_POINTS, steps) + 1).round().astype(int))
    points = []
    for start, end in pairwise(edges):
        losses = [loss for curve in curves for loss in curve[start:end] if _writable(loss)]
        if losses:
            points.append((int(end), decimal(float(np.mean(losses)), 4)))
    return tuple(points)


def _writable(value: float) -> bool:
    return bool(np.isfinite(value)) and abs(value) < _LARGEST
