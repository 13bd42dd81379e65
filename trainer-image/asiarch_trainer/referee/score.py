"""Scores, in float64, from logits that nobody normalised before.

Shapes: N sequences, T time, V vocabulary, M positions that count.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asiarch_trainer.referee.player import Floats, Integers

Doubles = NDArray[np.float64]
Booleans = NDArray[np.bool_]

GROUPS = 16


@dataclass(frozen=True)
class Scored:
    """Loss in nats and correctness at every position; what doesn't count is not-a-number and false."""

    nll_NT: Doubles
    correct_NT: Booleans

    @property
    def nll(self) -> float:
        """Mean loss of all that count."""
        return float(np.nanmean(self.nll_NT))

    @property
    def accuracy(self) -> float:
        """Share of correct answers among all that count."""
        return float(self.correct_NT.sum() / np.isfinite(self.nll_NT).sum())


def log_softmax(logits: Floats) -> Doubles:
    """Normalise over the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    normalised: Doubles = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return normalised


def scored(logits_NTV: Floats, targets_NT: Integers) -> Scored:
    """Score each position whose target is not negative.

    Sequence by sequence: in float64, all at once would take several times the memory of the logits.
    """
    nll_NT = np.full(targets_NT.shape, np.nan)
    correct_NT = np.zeros(targets_NT.shape, dtype=bool)
    for row, counts_T in enumerate(targets_NT >= 0):
        rows_MV, answers_M = logits_NTV[row, counts_T], targets_NT[row, counts_T]
        nll_M1 = -np.take_along_axis(log_softmax(rows_MV), answers_M[:, None].astype(np.int64), axis=-1)
        nll_NT[row, counts_T] = nll_M1[:, 0]
        correct_NT[row, counts_T] = rows_MV.argmax(axis=-1) == answers_M
    return Scored(nll_NT, correct_NT)


def normalised(nll: float, classes: int) -> float:
    """1 for certainty of the truth, 0 for guessing evenly."""
    return 1.0 - nll / float(np.log(classes))


def group_scores(nll_NT: Doubles, classes: int) -> list[float]:
    """Score 16 fixed parts of the sequences, for paired comparison between candidates."""
    return [normalised(float(np.nanmean(part)), classes) for part in np.array_split(nll_NT, GROUPS)]


def repeated(tokens_NT: Integers, targets_NT: Integers, size: int) -> Booleans:
    """Mark targets whose n-gram of `size` tokens, themselves included, stood earlier in the same sequence."""
    whole_NT = np.concatenate([tokens_NT, targets_NT[:, -1:]], axis=1).astype(np.int64)
    length = whole_NT.shape[1] - size + 1
    base = int(whole_NT.max()) + 1
    grams_NT = sum(whole_NT[:, i : i + length] * base ** (size - 1 - i) for i in range(size))
    marks_NT = np.zeros(targets_NT.shape, dtype=bool)
    for row, grams_T in enumerate(np.asarray(grams_NT)):
        _, first, inverse = np.unique(grams_T, return_index=True, return_inverse=True)
        marks_NT[row, size - 2 :] = first[inverse] < np.arange(length)
    return marks_NT
