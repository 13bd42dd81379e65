"""`SyntheticRecall`: can it find again what stood earlier? Three tasks of a few seconds each; a fresh model for each.

The score is the mean over tasks of 1 − NLL / ln(classes).
"""

from collections.abc import Iterator

import numpy as np

from asiarch_trainer.referee.generators import RECALLS, VOCABULARY, Examples, Recall
from asiarch_trainer.referee.heldout import HeldOut, examine
from asiarch_trainer.referee.match import Match
from asiarch_trainer.referee.score import GROUPS, group_scores
from asiarch_trainer.referee.tasks.gates import check_parameters
from asiarch_trainer.referee.training import train

_HELD_OUT = 32 * GROUPS
_SAMPLE = 64


def run(match: Match) -> None:
    """Train and examine on each task in turn."""
    parts = [_measure(match, recall) for recall in RECALLS.values()]
    losses = [match.record.metrics[f"{name}.nll"] for name in RECALLS]
    # Each part holds held-out sequences of every task, so that parts are alike and their spread is the score's noise.
    match.record.groups = np.mean(parts, axis=0).tolist()
    match.record.score = float(np.mean(match.record.groups))
    match.record.loss = float(np.mean(losses))
    match.record.metrics["tokens"] = match.record.tokens


def _measure(match: Match, recall: Recall) -> list[float]:
    start = match.clock()
    train(match, VOCABULARY, recall.name, _batches(match, recall))
    if not match.record.parameters:
        check_parameters(match)
    test = HeldOut(recall.name, VOCABULARY, *_draw(match, recall, "test", _HELD_OUT))
    found = examine(match, test, _draw(match, recall, "probe", _SAMPLE))
    match.record.metrics[f"{recall.name}.nll"] = found.nll
    match.record.metrics[f"{recall.name}.accuracy"] = found.accuracy
    match.record.metrics[f"{recall.name}.seconds"] = match.clock() - start
    return group_scores(found.nll_NT, recall.classes)


def _draw(match: Match, recall: Recall, purpose: str, count: int) -> Examples:
    return recall.draw(match.streams.hidden(f"{recall.name}/{purpose}"), count, match.rung.length)


def _batches(match: Match, recall: Recall) -> Iterator[Examples]:
    rng = match.streams.hidden(f"{recall.name}/train")
    while True:
        yield recall.draw(rng, match.rung.batch, match.rung.length)
