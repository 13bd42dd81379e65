"""What a candidate is worth: the number that selection sees, from the referee's metrics alone.

One policy is one file with one line in `FITNESS` and its upper end in `CEILINGS`. A policy gets what the
candidate and the first baseline were measured at, and answers none when no finite fitness follows: such a
candidate is rejected. Who is ahead belongs to `ranking`, who breeds to `selection`.
"""

from collections.abc import Callable, Mapping

from asiarch.api.candidate import RungResult
from asiarch.api.search import FitnessPolicy
from asiarch.core.fitness import asi_arch, normalised

Fitness = Callable[[tuple[RungResult, ...], tuple[RungResult, ...]], float | None]
"""fitness(rungs, yardstick): what the candidate and the first baseline were measured at, cheap to dear."""

FITNESS: Mapping[FitnessPolicy, Fitness] = {
    "Normalised": normalised.fitness,
    "AsiArch": asi_arch.fitness,
}

CEILINGS: Mapping[FitnessPolicy, float] = {
    "Normalised": normalised.CEILING,
    "AsiArch": asi_arch.CEILING,
}
"""The largest fitness that each policy gives; a candidate no better than guessing is near 0."""
