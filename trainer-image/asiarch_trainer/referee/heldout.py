"""Scoring a trained model on held-out sequences, so that looking ahead, remembering and learning in the test show.

Three processes answer, none of which saw what another was asked: copies of the trained player for the first two, the
player itself for the third. The first is asked for secret positions with nothing but their past shown, and stands the
probes of the gates on the trained weights. The second is shown some sequences in another order and alone. The third
is shown the whole sequences, and scored. It must say again what the others said: to look ahead where nobody will
compare, it would have to know which positions those were.

Shapes: N sequences, T time, V vocabulary, R rows, P secret pairs.
"""

from dataclasses import dataclass, replace

import numpy as np

from asiarch.api.reason import Reason
from asiarch_trainer.referee import probes
from asiarch_trainer.referee.generators import Examples
from asiarch_trainer.referee.match import Match
from asiarch_trainer.referee.player import Floats, Integers
from asiarch_trainer.referee.score import Doubles, Scored, scored
from asiarch_trainer.referee.verdict import Verdict

_SECRET_POSITIONS = 16
_SECRET_ROWS = 16
_LOGIT_LIMIT = 1e-3
"""Largest change of a logit of trained weights, relative to the logits' size."""

_NLL_LIMIT = 1e-2
_SIGMAS = 6.0
_MARGIN = 0.1
_SECOND_LOOK = 64
_SINGLES = 4


@dataclass(frozen=True)
class HeldOut:
    """Sequences that nobody was trained on, and what they are called."""

    name: str
    vocabulary: int
    tokens_NT: Integers
    targets_NT: Integers


@dataclass(frozen=True)
class _Secret:
    """Rows of which one position was asked for with only its past shown, and the logits given."""

    position: int
    rows: Integers
    logits_RV: Floats


@dataclass(frozen=True)
class _Again:
    """Rows that were asked for a second time: some together in another order, the first few alone."""

    rows: Integers
    together_RTV: Floats
    alone: list[Floats]


def examine(match: Match, test: HeldOut, sample: Examples) -> Scored:
    """Score the model that stands on the held-out sequences; `sample` holds other sequences alike, for the probes."""
    rng = match.streams.hidden(f"{test.name}/secret")
    with match.player.aside():
        secrets = _ask_secrets(match, test, rng)
        _probe(match, test, sample, rng)
    with match.player.aside():
        again = _look_again(match, test, rng)
    whole_NTV = _logits(match, test, test.tokens_NT)
    if not np.isfinite(whole_NTV).all():
        raise Verdict(Reason.NON_FINITE, f"The trained model's logits on {test.name} are not all finite.")
    found = scored(whole_NTV, test.targets_NT)
    _compare_secrets(test, secrets, whole_NTV, found.nll_NT)
    _compare_again(test, again, whole_NTV)
    return found


def _ask_secrets(match: Match, test: HeldOut, rng: np.random.Generator) -> list[_Secret]:
    """Choose positions as often as they are scored, rows among those that are scored there; shorter prefixes first."""
    counts_T = (test.targets_NT >= 0).sum(axis=0)
    choices = min(_SECRET_POSITIONS, int((counts_T > 0).sum()))
    positions = np.sort(rng.choice(len(counts_T), choices, replace=False, p=counts_T / counts_T.sum()))
    secrets = []
    for position in positions:
        scored_rows = np.flatnonzero(test.targets_NT[:, position] >= 0)
        rows = rng.permutation(scored_rows)[:_SECRET_ROWS].astype(np.int32)
        logits_RTV = match.player.logits(test.tokens_NT[rows, : position + 1])
        secrets.append(_Secret(int(position), rows, logits_RTV[:, -1]))
    return secrets


def _probe(match: Match, test: HeldOut, sample: Examples, rng: np.random.Generator) -> None:
    """Run the probes of the gates on the trained weights, with sequences of the task's own kind."""
    tokens_NT = sample[0]
    length = tokens_NT.shape[1]
    edges = tuple(sorted({edge for edge in probes.EDGES if edge < length} | {length // 2, length - 1}))

    def draw(rows: int, _length: int) -> Integers:
        return tokens_NT[rng.integers(0, len(tokens_NT), rows)]

    label = f"after training on {test.name}"
    for train in (False, True):
        plain = probes.labelled(probes.model(match.player, rng, test.vocabulary, train=train), label)
        subject = replace(plain, draw=draw, limit=_LOGIT_LIMIT)
        x_BT = subject.draw(2, length)
        probes.repeatable(subject, x_BT, probes.finite(subject, x_BT))
        probes.batch_independent(subject, length)
        probes.causal(subject, length, edges)
    for layer in range(match.rung.model.layers):
        mixer = probes.mixer(match.player, rng, match.rung.model.width, layer=layer)
        probes.causal(probes.labelled(mixer, label), length, edges)


def _logits(match: Match, test: HeldOut, tokens_NT: Integers) -> Floats:
    """Ask for all logits, a batch at a time; no two copies are held, since they are the most that a referee holds."""
    size = max(match.rung.batch, 1)
    found_NTV = np.empty((*tokens_NT.shape, test.vocabulary), np.float32)
    for i in range(0, len(tokens_NT), size):
        found_NTV[i : i + size] = match.player.logits(tokens_NT[i : i + size])
    return found_NTV


def _compare_secrets(test: HeldOut, secrets: list[_Secret], whole_NTV: Floats, nll_NT: Doubles) -> None:
    asked, others = [], []
    for secret in secrets:
        targets_R1 = test.targets_NT[secret.rows, secret.position, None]
        before_R = scored(secret.logits_RV[:, None], targets_R1).nll_NT[:, 0]
        _agree(
            test,
            secret,
            whole_NTV[secret.rows, secret.position],
            before_R,
            nll_NT[secret.rows, secret.position],
        )
        asked.append(before_R)
        rest = np.delete(nll_NT[:, secret.position], secret.rows)
        others.append(rest[np.isfinite(rest)])
    _no_worse(test, asked, others)


def _agree(test: HeldOut, secret: _Secret, later_RV: Floats, before_R: Doubles, after_R: Doubles) -> None:
    change, row, _ = probes.largest_change(secret.logits_RV, later_RV)
    loss = float(np.abs(before_R - after_R).max())
    if change <= _LOGIT_LIMIT and loss <= _NLL_LIMIT:
        return
    raise Verdict(
        Reason.CAUSALITY_VIOLATION,
        f"After training on {test.name}, the answer at position {secret.position} of held-out sequence"
        f" {secret.rows[row]} changed once what lies after it was shown: logits by {change:.1e} (limit"
        f" {_LOGIT_LIMIT:.0e}), loss by {loss:.1e} nats (limit {_NLL_LIMIT:.0e}).",
    )


def _no_worse(test: HeldOut, asked: list[Doubles], others: list[Doubles]) -> None:
    """Compare the loss where only the past was shown with the loss at the same positions of all other sequences."""
    gaps = [
        float(before.mean() - rest.mean())
        for before, rest in zip(asked, others, strict=True)
        if len(rest) > 1
    ]
    variances = [
        before.var() / len(before) + rest.var() / len(rest)
        for before, rest in zip(asked, others, strict=True)
        if len(rest) > 1
    ]
    if not gaps:
        return
    gap, error = float(np.mean(gaps)), float(np.sqrt(np.sum(variances)) / len(variances))
    if gap > _SIGMAS * error + _MARGIN:
        raise Verdict(
            Reason.CAUSALITY_VIOLATION,
            f"After training on {test.name}, held-out positions of which only the past was shown are answered worse by"
            f" {gap:.2f} nats than the same positions of sequences that were shown whole (limit"
            f" {_SIGMAS * error + _MARGIN:.2f}).",
        )


def _look_again(match: Match, test: HeldOut, rng: np.random.Generator) -> _Again:
    """Ask for some sequences in another order, in other company and alone."""
    rows = rng.permutation(len(test.tokens_NT))[:_SECOND_LOOK].astype(np.int32)
    together_RTV = _logits(match, test, test.tokens_NT[rows])
    return _Again(rows, together_RTV, [match.player.logits(test.tokens_NT[[row]]) for row in rows[:_SINGLES]])


def _compare_again(test: HeldOut, again: _Again, whole_NTV: Floats) -> None:
    """Refuse a model whose answers depend on what else it was asked."""
    rows = again.rows
    change, row, position = probes.largest_change(whole_NTV[rows], again.together_RTV)
    if not change <= _LOGIT_LIMIT:
        raise Verdict(
            Reason.NOT_REPEATABLE,
            f"After training on {test.name}, the logits at position {position} of held-out sequence {rows[row]}"
            f" changed by {change:.1e} in a second pass in another order (limit {_LOGIT_LIMIT:.0e}).",
        )
    for single, alone_1TV in zip(rows, again.alone, strict=False):
        change, _, position = probes.largest_change(whole_NTV[[single]], alone_1TV)
        if not change <= _LOGIT_LIMIT:
            raise Verdict(
                Reason.BATCH_LEAK,
                f"After training on {test.name}, the logits at position {position} of held-out sequence {single}"
                f" changed by {change:.1e} when it was given alone (limit {_LOGIT_LIMIT:.0e}).",
            )
