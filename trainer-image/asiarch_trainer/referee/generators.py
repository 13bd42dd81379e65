"""The recall tasks: sequences whose answers can be known only from what stood earlier in the same sequence.

After MAD (arXiv 2403.17844), with generators of our own: vectorised, every draw from the stream that is passed in, so
that training and test are separate streams. Only answers are counted; their targets are `IGNORED` elsewhere.

Shapes: N sequences, T time, M entries of a sequence (key and value), K distinct keys of a sequence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asiarch_trainer.referee.player import Integers

IGNORED = -1
VOCABULARY = 16
_HALF = VOCABULARY // 2
_BLANK, _MARKER = VOCABULARY - 2, VOCABULARY - 1
_COPIED_SHARE = 6
"""One token in so many is to be copied: 8 of 48."""

_FUZZY_KEYS = 6
_MOTIF = 2

Examples = tuple[Integers, Integers]
Generator = Callable[[np.random.Generator, int, int], Examples]


@dataclass(frozen=True)
class Recall:
    """One recall task: what it is called in metrics, how it is drawn, how many answers there are."""

    name: str
    draw: Generator
    classes: int


def in_context_recall(rng: np.random.Generator, count: int, length: int) -> Examples:
    """Draw pairs of a key and its value; a key that returns must be answered with the value that it had."""
    pairs = length // 2 + 1
    values_NK = rng.integers(_HALF, VOCABULARY, (count, _HALF))
    keys_NM = rng.integers(0, _HALF, (count, pairs))
    whole_NT = np.stack([keys_NM, np.take_along_axis(values_NK, keys_NM, 1)], axis=2).reshape(count, -1)
    counts_NT = np.zeros((count, 2 * pairs), dtype=bool)
    counts_NT[:, 1::2] = _returns(keys_NM, _HALF)
    return _examples(whole_NT, counts_NT, length)


def fuzzy_recall(rng: np.random.Generator, count: int, length: int) -> Examples:
    """Draw keys and values of one or two tokens each; a key that returns must be answered with its value's tokens."""
    entries = length // 2 + 1
    keys_NKL, values_NKL = _motifs(rng, count), rng.integers(_HALF, VOCABULARY, (count, _FUZZY_KEYS, _MOTIF))
    lengths_NK2 = np.stack([_key_lengths(count), rng.integers(1, _MOTIF + 1, (count, _FUZZY_KEYS))], axis=2)
    drawn_NM = rng.integers(0, _FUZZY_KEYS, (count, entries))
    rows_N1 = np.arange(count)[:, None]
    tokens_NM4 = np.concatenate([keys_NKL[rows_N1, drawn_NM], values_NKL[rows_N1, drawn_NM]], axis=2)
    sizes_NM2 = lengths_NK2[rows_N1, drawn_NM]
    present_NM4 = np.arange(_MOTIF)[None, None, None, :] < sizes_NM2[..., None]
    counts_NM4 = present_NM4.copy()
    counts_NM4[:, :, 0] = False
    counts_NM4[:, :, 1] &= _returns(drawn_NM, _FUZZY_KEYS)[..., None]
    present_NS = present_NM4.reshape(count, -1)
    order_NS = np.argsort(~present_NS, axis=1, kind="stable")[:, : length + 1]
    whole_NT = np.take_along_axis(tokens_NM4.reshape(count, -1), order_NS, 1)
    return _examples(whole_NT, np.take_along_axis(counts_NM4.reshape(count, -1), order_NS, 1), length)


def selective_copying(rng: np.random.Generator, count: int, length: int) -> Examples:
    """Scatter tokens among blanks; each marker after them asks for the next one, in their order."""
    copied = max(1, length // _COPIED_SHARE)
    before = length - copied - 1
    content_NK = rng.integers(0, _BLANK, (count, copied))
    places_NK = np.sort(np.argsort(rng.random((count, before)), axis=1)[:, :copied], axis=1)
    tokens_NT = np.full((count, length), _BLANK)
    np.put_along_axis(tokens_NT, places_NK, content_NK, 1)
    tokens_NT[:, before:] = _MARKER
    targets_NT = np.full((count, length), IGNORED)
    targets_NT[:, before + 1 :] = content_NK
    return tokens_NT.astype(np.int32), targets_NT.astype(np.int32)


def _returns(drawn_NM: NDArray[np.int64], kinds: int) -> NDArray[np.bool_]:
    """Mark draws that were drawn before in the same sequence."""
    seen_NMK = np.cumsum(drawn_NM[:, :, None] == np.arange(kinds), axis=1)
    return np.take_along_axis(seen_NMK, drawn_NM[:, :, None], 2)[:, :, 0] > 1


def _key_lengths(count: int) -> Integers:
    """Half of the keys have one token, half have two."""
    return np.tile(np.arange(_FUZZY_KEYS, dtype=np.int32) % _MOTIF + 1, (count, 1))


def _motifs(rng: np.random.Generator, count: int) -> Integers:
    """Draw distinct keys: those of one token from 8, those of two from 64."""
    singles_NK = np.argsort(rng.random((count, _HALF)), axis=1)[:, : _FUZZY_KEYS // 2]
    doubles_NK = np.argsort(rng.random((count, _HALF * _HALF)), axis=1)[:, : _FUZZY_KEYS // 2]
    keys_NKL = np.zeros((count, _FUZZY_KEYS, _MOTIF), dtype=np.int32)
    keys_NKL[:, 0::2, 0] = singles_NK
    keys_NKL[:, 1::2] = np.stack(np.divmod(doubles_NK, _HALF), axis=2)
    return keys_NKL


def _examples(whole_NT: NDArray[np.integer[Any]], counts_NT: NDArray[np.bool_], length: int) -> Examples:
    """Cut into tokens and next tokens."""
    targets_NT = np.where(counts_NT, whole_NT, IGNORED)[:, 1 : length + 1]
    return whole_NT[:, :length].astype(np.int32), targets_NT.astype(np.int32)


RECALLS: Mapping[str, Recall] = {
    recall.name: recall
    for recall in (
        Recall("recall", in_context_recall, _HALF),
        Recall("fuzzy", fuzzy_recall, _HALF),
        Recall("copy", selective_copying, _BLANK),
    )
}
