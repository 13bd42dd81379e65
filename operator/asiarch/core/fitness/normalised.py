"""How much of the uncertainty a candidate removes: mean over tasks of 1 − NLL / ln(classes)."""

from math import isfinite

from asiarch.api.candidate import RungResult

CEILING = 1.0


def fitness(rungs: tuple[RungResult, ...], _yardstick: tuple[RungResult, ...]) -> float | None:
    """Take the score of the deepest scoring rung: 1 is perfect, 0 is guessing, less is worse."""
    scores = [float(rung.score) for rung in rungs if rung.score is not None]
    return scores[-1] if scores and isfinite(scores[-1]) else None
