"""`ByteLanguageModel`: bits per byte of real text on files that are held out.

Also told apart: bytes that repeat an n-gram of the same sequence (what recall can win) and all others.
"""

from collections.abc import Iterator

import numpy as np

from asiarch.api.reason import Reason
from asiarch_trainer.referee import corpus
from asiarch_trainer.referee.generators import Examples
from asiarch_trainer.referee.heldout import HeldOut, examine
from asiarch_trainer.referee.match import Match
from asiarch_trainer.referee.score import GROUPS, Booleans, Scored, group_scores, normalised, repeated
from asiarch_trainer.referee.tasks.gates import check_parameters
from asiarch_trainer.referee.training import train
from asiarch_trainer.referee.verdict import Verdict

_NAME = "text"
_VOCABULARY = 256
_HELD_OUT = 8 * GROUPS
_SAMPLE = 32
_GRAM = 4


def run(match: Match) -> None:
    """Train on one part of the text, examine on the other."""
    start = match.clock()
    if match.rung.dataset is None:
        raise Verdict(
            Reason.DATASET_INVALID, f"Rung {match.rung.name} names no dataset; ByteLanguageModel wants one."
        )
    text = corpus.read(match.rung.dataset)
    corpus.require(text, match.rung.length, match.rung.dataset.path)
    match.record.data = text.digest
    train(match, _VOCABULARY, _NAME, _batches(match, text))
    check_parameters(match)
    tokens_NT, targets_NT = _windows(match, text.held_out, "test", _HELD_OUT)
    test = HeldOut(_NAME, _VOCABULARY, tokens_NT, targets_NT)
    found = examine(match, test, _windows(match, text.held_out, "probe", _SAMPLE))
    _report(match, found, repeated(tokens_NT, targets_NT, _GRAM))
    match.record.metrics["seconds"] = match.clock() - start


def _report(match: Match, found: Scored, repeats_NT: Booleans) -> None:
    record, bits = match.record, found.nll_NT / np.log(2)
    record.score, record.loss = normalised(found.nll, _VOCABULARY), found.nll
    record.groups = group_scores(found.nll_NT, _VOCABULARY)
    record.metrics |= {
        "bpb": float(bits.mean()),
        "bpb.repeat": float(bits[repeats_NT].mean()) if repeats_NT.any() else float("nan"),
        "bpb.rest": float(bits[~repeats_NT].mean()) if not repeats_NT.all() else float("nan"),
        "repeats": float(repeats_NT.mean()),
        "accuracy": found.accuracy,
        "tokens": record.tokens,
    }


def _windows(match: Match, text: corpus.Bytes, purpose: str, count: int) -> Examples:
    return corpus.windows(text, match.streams.hidden(f"{_NAME}/{purpose}"), count, match.rung.length)


def _batches(match: Match, text: corpus.Corpus) -> Iterator[Examples]:
    rng = match.streams.hidden(f"{_NAME}/train")
    while True:
        yield corpus.windows(text.train, rng, match.rung.batch, match.rung.length)
