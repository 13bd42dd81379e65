"""Probes of one function of sequences: does it look ahead, or at its neighbours in the batch, or change its mind?

They hold for any causal mixer at any weights, so they run on mixers and on whole models, before and after training.

Poison: a masked matrix product yields 0 · NaN = NaN at honest positions too, and 0 · ∞ where a large future makes a
decay overflow before it is masked. So numbers in the past that are not finite prove nothing by themselves under a
future that is not of the usual size; a past output that stays finite and *changes* does, at whatever scale.

Shapes: B batch, T time, and any further axes; R rows of a probe, each with its own position of change.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asiarch.api.reason import Reason
from asiarch_trainer.referee.player import Floats, Player
from asiarch_trainer.referee.verdict import Verdict
from asiarch_trainer.wire import Tensor

EDGES = (1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129)
"""Positions around the ends of customary chunks."""

LENGTH = 130
LIMIT = 1e-4
"""Largest change of an output, in single precision, relative to the outputs' size."""

_SMALLEST_SCALE = 1e-2
_SCALES = (1.0, 8.0, 64.0)

Function = Callable[[Tensor], Floats]


@dataclass(frozen=True)
class Subject:
    """What is probed: its name in messages, the function, and how its inputs are drawn (rows, length)."""

    name: str
    call: Function
    draw: Callable[[int, int], Tensor]
    train: bool = False
    limit: float = LIMIT
    fragile: bool = False
    """Its weights are such that even usual inputs may make an honest output overflow."""


def mixer(
    player: Player, rng: np.random.Generator, width: int, *, layer: int = 0, train: bool = False
) -> Subject:
    """Probe one mixer with inputs of our choice."""

    def draw(rows: int, length: int) -> Tensor:
        return rng.standard_normal((rows, length, width), dtype=np.float32)

    return Subject(
        f"Output of mixer {layer}{_mode(train=train)}",
        lambda x_BTC: player.mix(x_BTC, layer=layer, train=train),
        draw,
        train,
    )


def model(player: Player, rng: np.random.Generator, vocabulary: int, *, train: bool = False) -> Subject:
    """Probe the whole model with tokens of our choice."""

    def draw(rows: int, length: int) -> Tensor:
        return rng.integers(0, vocabulary, (rows, length), dtype=np.int32)

    return Subject(
        f"Output of the model{_mode(train=train)}",
        lambda tokens_BT: player.logits(tokens_BT, train=train),
        draw,
        train,
    )


def labelled(subject: Subject, label: str) -> Subject:
    """Say in messages when it was probed."""
    return replace(subject, name=f"{subject.name} {label}")


def finite(subject: Subject, x_BT: Tensor) -> Floats:
    """Ask for an output and refuse one that is not finite."""
    y_BT = subject.call(x_BT)
    bad = np.argwhere(~np.isfinite(y_BT))
    if len(bad):
        row, position = bad[0][:2]
        value = y_BT[tuple(bad[0])]
        raise Verdict(
            Reason.NON_FINITE,
            f"{subject.name} is {value} at position {position} of row {row} with an input of shape {x_BT.shape}"
            f" ({len(bad)} of {y_BT.size} numbers are not finite; wanted none).",
        )
    return y_BT


def repeatable(subject: Subject, x_BT: Tensor, before_BT: Floats) -> None:
    """Ask the same again."""
    change, row, position = largest_change(before_BT, subject.call(x_BT))
    if not change <= subject.limit:
        raise Verdict(
            Reason.NOT_REPEATABLE,
            f"{subject.name} at position {position} of row {row} differed by {change:.1e} when the same input was given"
            f" again (limit {subject.limit:.0e}).",
        )


def batch_independent(subject: Subject, length: int, rows: int = 3) -> None:
    """Give one sequence with mates, then with others; and, out of training, in another place and alone.

    In train mode its place stays, so that dropout, which starts from the same seed, is the same.
    """
    x_BT, mates_BT = subject.draw(rows, length), subject.draw(rows, length)
    together_BT = finite(subject, x_BT)
    arrangements = [("with other sequences in its batch", np.concatenate([x_BT[:1], mates_BT[1:]]), 0)]
    if not subject.train:
        arrangements += [
            ("in another place of the batch", np.concatenate([mates_BT[1:], x_BT[:1]]), rows - 1),
            ("alone", x_BT[:1], 0),
        ]
    for how, batch_BT, place in arrangements:
        change, _, position = largest_change(together_BT[:1], subject.call(batch_BT)[place : place + 1])
        if not change <= subject.limit:
            raise Verdict(
                Reason.BATCH_LEAK,
                f"{subject.name} at position {position} changed by {change:.1e} when the same sequence was given {how}"
                f" (limit {subject.limit:.0e}).",
            )


def causal(subject: Subject, length: int = LENGTH, edges: Sequence[int] = EDGES) -> None:
    """Change what lies at and after each edge, at several scales; nothing before the edge may change."""
    edges = [edge for edge in edges if edge < length]
    x_RT = np.repeat(subject.draw(1, length), len(edges) + 1, axis=0)
    futures_RT = subject.draw(len(edges) + 1, length)
    lenient = set()
    for row, edge in enumerate(edges, start=1):
        scale = _SCALES[row % len(_SCALES)] if futures_RT.dtype == np.float32 else 1
        x_RT[row, edge:] = futures_RT[row, edge:] * scale
        if subject.fragile or scale > 1:
            lenient.add(row)
    _past_unchanged(_Change(x_RT, edges, lenient, "when only what lies after it changed"), subject)


def unpoisoned(subject: Subject, length: int = LENGTH, edges: Sequence[int] = EDGES) -> None:
    """Put not-a-number at and after each edge; outputs before it that stay finite may not change."""
    edges = [edge for edge in edges if edge < length]
    x_RT = np.repeat(subject.draw(1, length), len(edges) + 1, axis=0)
    for row, edge in enumerate(edges, start=1):
        x_RT[row, edge:] = np.nan
    how = "when only what lies after it became not-a-number"
    _past_unchanged(_Change(x_RT, edges, set(range(len(x_RT))), how), subject)


def prefix_consistent(subject: Subject, length: int = LENGTH, edges: Sequence[int] = EDGES) -> None:
    """Show only a prefix, shorter ones first, then the whole; both must give the same outputs."""
    x_BT = subject.draw(2, length)
    shorter = [(edge, finite(subject, x_BT[:, :edge])) for edge in edges if edge < length]
    whole_BT = finite(subject, x_BT)
    for edge, prefix_BT in shorter:
        change, _, position = largest_change(prefix_BT, whole_BT[:, :edge])
        if not change <= subject.limit:
            raise Verdict(
                Reason.CAUSALITY_VIOLATION,
                f"{subject.name} at position {position} differs by {change:.1e} between a sequence of {edge} and the"
                f" same one continued to {length} (limit {subject.limit:.0e}).",
            )


def largest_change(wanted: Floats, found: Floats) -> tuple[float, int, int]:
    """Find the largest difference relative to the outputs' size, with its row and position."""
    scale = max(float(np.abs(wanted).max(initial=0.0)), _SMALLEST_SCALE)
    difference = np.abs(found.astype(np.float64) - wanted)
    if not difference.size:
        return 0.0, 0, 0
    difference[np.isnan(difference)] = np.inf
    row, position = np.unravel_index(int(difference.argmax()), difference.shape)[:2]
    return float(difference.max()) / scale, int(row), int(position)


@dataclass(frozen=True)
class _Change:
    """Rows of which the first is unchanged and each further one changed from its edge on."""

    x_RT: Tensor
    edges: Sequence[int]
    lenient: Collection[int]
    """Rows in whose past numbers that are not finite prove nothing."""

    how: str


def _past_unchanged(change: _Change, subject: Subject) -> None:
    x_RT = change.x_RT
    y_RT = subject.call(x_RT)
    # In train mode each row has its own dropout, so a row is held against itself unchanged, not against the first.
    unchanged_RT = subject.call(np.repeat(x_RT[:1], len(x_RT), axis=0)) if subject.train else y_RT[:1]
    for row, edge in enumerate(change.edges, start=1):
        wanted, found = unchanged_RT[row % len(unchanged_RT), None, :edge], y_RT[row, None, :edge]
        if row in change.lenient:
            found = np.where(np.isfinite(found), found, wanted)
        size, _, position = largest_change(wanted, found)
        if not size <= subject.limit:
            raise Verdict(
                Reason.CAUSALITY_VIOLATION,
                f"{subject.name} at position {position} changed by {size:.1e} {change.how}, from position {edge} on"
                f" (limit {subject.limit:.0e}).",
            )


def _mode(*, train: bool) -> str:
    return " in train mode" if train else ""
