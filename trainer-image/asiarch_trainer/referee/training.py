"""A training run as the referee conducts it: it streams the batches, counts the tokens and watches the claimed loss.

Shapes: B batch, T time.
"""

from collections.abc import Iterator

import numpy as np

from asiarch.api.reason import Reason
from asiarch_trainer.referee.generators import Examples
from asiarch_trainer.referee.match import Match
from asiarch_trainer.referee.score import scored
from asiarch_trainer.referee.verdict import Verdict

STEP_ZERO_TOLERANCE = 0.5
_RECENT = 8
_SPIKE = 1.0
"""Nats above guessing evenly, in the median of the last steps: no longer training."""


def train(match: Match, vocabulary: int, name: str, batches: Iterator[Examples]) -> None:
    """Build a model, see that it knows nothing yet, and have it learn from the rung's number of batches."""
    match.player.build(match.host(vocabulary, name))
    check_step_zero(match, vocabulary, name, next(batches))
    curve: list[float] = []
    match.record.curves.append(curve)
    for _ in range(match.rung.steps):
        batch_2BT = np.stack(next(batches))
        curve.append(match.player.step(batch_2BT))
        match.record.tokens += batch_2BT[0].size
        _check_progress(curve, vocabulary, name)
    last = curve[-min(_RECENT, len(curve)) :]
    match.record.claims[f"{name}.train"] = float(np.mean(last))
    match.record.claims |= match.player.kernels()


def check_step_zero(match: Match, vocabulary: int, name: str, examples: Examples) -> None:
    """Refuse a model that knows the answers, or insists on wrong ones, before its first step."""
    tokens_BT, targets_BT = examples
    found, wanted = scored(match.player.logits(tokens_BT), targets_BT).nll, float(np.log(vocabulary))
    if not abs(found - wanted) <= STEP_ZERO_TOLERANCE:
        raise Verdict(
            Reason.STEP_ZERO_LOSS,
            f"Before its first step on {name} the loss is {found:.3f}; wanted ln {vocabulary} = {wanted:.3f} ±"
            f" {STEP_ZERO_TOLERANCE}, as a model has that has seen nothing.",
        )


def _check_progress(curve: list[float], vocabulary: int, name: str) -> None:
    step, loss = len(curve), curve[-1]
    if not np.isfinite(loss):
        raise Verdict(
            Reason.DIVERGED, f"The training loss on {name} is {loss} at step {step}; wanted a finite number."
        )
    recent, limit = float(np.median(curve[-_RECENT:])), float(np.log(vocabulary)) + _SPIKE
    if step >= _RECENT and recent > limit:
        raise Verdict(
            Reason.DIVERGED,
            f"The training loss on {name} has a median of {recent:.2f} over the last {_RECENT} steps at step {step};"
            f" wanted at most {limit:.2f}, which is {_SPIKE} above guessing evenly.",
        )
