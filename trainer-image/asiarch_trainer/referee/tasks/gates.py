"""`Gates`: may this candidate be trained at all? Seconds of a CPU, no training."""

from dataclasses import replace

import numpy as np

from asiarch.api.reason import Reason
from asiarch_trainer.referee import probes
from asiarch_trainer.referee.cost import check_cost
from asiarch_trainer.referee.match import Match
from asiarch_trainer.referee.verdict import Verdict

_VOCABULARY = 64
_SHORT, _LONG = 17, 513
_LENGTHS = ((1, 1), (2, 2), (3, 1), (1, 33), (3, 100), (1, _LONG))
"""Batch and length of inputs that any mixer must take."""


def run(match: Match) -> None:
    """Run every gate, cheap and telling ones first."""
    match.player.build(match.host(_VOCABULARY, "gates"))
    width = match.rung.model.width
    rng = match.streams.hidden("gates")
    plain = probes.mixer(match.player, rng, width)
    x_BTC = plain.draw(2, _SHORT)
    y_BTC = probes.finite(plain, x_BTC)
    check_parameters(match)
    probes.repeatable(plain, x_BTC, y_BTC)
    _any_size(plain)
    _probe(match, rng, train=False)
    _probe(match, rng, train=True)
    probes.repeatable(plain, x_BTC, y_BTC)
    check_cost(match, rng)
    _probe_shaken(match, rng)


def check_parameters(match: Match) -> None:
    """Count the exported weights of each mixer and hold the largest against the order's budget."""
    shape = match.rung.model
    counts = [match.player.weights(layer).size for layer in range(shape.layers)]
    match.record.metrics["mixer.parameters"] = max(counts)
    match.record.parameters = match.player.weights(None).size
    budget = int(match.order.parameters * 4 * shape.width**2)
    if max(counts) > budget:
        raise Verdict(
            Reason.BUDGET_MISMATCH,
            f"Mixer {int(np.argmax(counts))} has {max(counts)} parameters; wanted at most {budget}"
            f" ({match.order.parameters:g} × 4 · {shape.width}²).",
        )


def _any_size(subject: probes.Subject) -> None:
    for rows, length in _LENGTHS:
        probes.finite(subject, subject.draw(rows, length))


def _probe(match: Match, rng: np.random.Generator, *, train: bool) -> None:
    """Probe mixer and model at their initial weights."""
    mixer = probes.mixer(match.player, rng, match.rung.model.width, train=train)
    model = probes.model(match.player, rng, _VOCABULARY, train=train)
    for subject in (mixer, model):
        probes.batch_independent(subject, probes.LENGTH)
        probes.causal(subject)
    if not train:
        probes.unpoisoned(mixer)
        probes.prefix_consistent(mixer)


def _probe_shaken(match: Match, rng: np.random.Generator) -> None:
    """Probe with all weights drawn anew, so that no path hides behind a gate that starts shut."""
    match.player.shake(match.streams.shown("shaken"))
    subjects = (
        probes.mixer(match.player, rng, match.rung.model.width),
        probes.model(match.player, rng, _VOCABULARY),
    )
    for plain in subjects:
        subject = probes.labelled(plain, "with random weights")
        if np.isfinite(subject.call(subject.draw(1, probes.LENGTH))).all():
            probes.causal(replace(subject, fragile=True))
