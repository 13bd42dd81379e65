"""What lessons say about building blocks: retrieval by likeness, trust by record, and a draw that explores.

A block's effect on the score is believed to be near zero until lessons say otherwise. Each lesson counts by how much of
its scope a proposal shares and by how narrow its interval is, and each is believed as far as a draw from
Beta(1 + wins, 1 + losses) says. From what is believed then, one effect is drawn (Thompson 1933): blocks that are
known to help are proposed often, refuted ones rarely, unknown ones as often as their doubt deserves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt
from statistics import NormalDist

from asiarch.api.context import LessonRecord
from asiarch.core.chance import beta, uniform

PRIOR = 0.03
"""Standard deviation of a block's effect on the score, before anything is known."""

TRAINING = 0.03
"""Standard deviation that another training seed adds to a lesson's difference; its own interval leaves it out."""

SHARPNESS = 0.02
"""The effect that makes a block e times as likely."""

CURIOSITY = 0.5
"""The share of the remaining doubt that goes into a draw: all of it would drown what one lesson can say."""

_LIMIT = 3.0
_INTERVAL = 2 * 1.96


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of one block: its drawn weight, its expected effect, and the lessons behind that, best first."""

    weight: float
    effect: float
    lessons: tuple[LessonRecord, ...]


def believe(tag: str, around: Sequence[str], records: Sequence[LessonRecord], key: str) -> Belief:
    """Say what the lessons about `tag` promise for a mixer with the tags `around`."""
    precision, total, heard = PRIOR**-2, 0.0, []
    for record in records:
        likeness = similarity(tag, around, record)
        if not likeness:
            continue
        trust = 2 * beta(
            1 + record.wins, 1 + max(record.uses - record.wins, 0), f"{key}/{tag}/{record.candidate}"
        )
        weight = likeness * min(trust, 1.0) / _variance(record)
        precision, total = precision + weight, total + weight * float(record.lesson.delta)
        heard.append((weight, record))
    effect = total / precision
    doubt = NormalDist().inv_cdf(_inside(uniform(f"{key}/{tag}/effect"))) / sqrt(precision)
    drawn = effect + CURIOSITY * doubt
    heard.sort(key=lambda pair: (-pair[0], pair[1].candidate))
    strength = max(-_LIMIT, min(_LIMIT, drawn / SHARPNESS))
    return Belief(exp(strength), effect, tuple(record for _, record in heard))


def similarity(tag: str, around: Sequence[str], record: LessonRecord) -> float:
    """The share of a lesson's scope that a mixer with these tags has; 0 for a lesson about other blocks."""
    scope = record.lesson.scope
    if tag not in scope:
        return 0.0
    return sum(1 for other in scope if other == tag or other in around) / len(scope)


def _variance(record: LessonRecord) -> float:
    spread = (float(record.lesson.high) - float(record.lesson.low)) / _INTERVAL
    return spread**2 + TRAINING**2


def _inside(share: float) -> float:
    """Keep a draw from [0, 1) away from the ends, where the normal distribution has no quantile."""
    return min(max(share, 1e-9), 1 - 1e-9)
