"""The recall tasks ask only for what the sequence itself has told."""

import numpy as np
import pytest

from asiarch_trainer.referee.generators import (
    IGNORED,
    RECALLS,
    VOCABULARY,
    fuzzy_recall,
    in_context_recall,
    selective_copying,
)
from asiarch_trainer.referee.streams import Streams

COUNT, LENGTH = 400, 48


@pytest.mark.parametrize("name", RECALLS)
def test_examples_have_the_wanted_shape_and_tokens(name: str) -> None:
    for length in (16, 17, LENGTH):
        tokens_NT, targets_NT = RECALLS[name].draw(np.random.default_rng(1), COUNT, length)
        assert tokens_NT.shape == targets_NT.shape == (COUNT, length)
        assert tokens_NT.dtype == targets_NT.dtype == np.int32
        assert tokens_NT.min() >= 0
        assert tokens_NT.max() < VOCABULARY
        assert (targets_NT >= 0).any(axis=1).mean() > 0.9


@pytest.mark.parametrize("name", RECALLS)
def test_answers_spread_evenly_over_the_classes(name: str) -> None:
    recall = RECALLS[name]
    _, targets_NT = recall.draw(np.random.default_rng(2), 4000, LENGTH)
    counts = np.bincount(targets_NT[targets_NT != IGNORED])
    counts = counts[counts > 0]
    assert len(counts) == recall.classes
    assert counts.max() / counts.min() < 1.1


def test_in_context_recall_asks_for_the_value_that_stood_after_the_key_before() -> None:
    tokens_NT, targets_NT = in_context_recall(np.random.default_rng(3), COUNT, LENGTH)
    for tokens, targets in zip(tokens_NT.tolist(), targets_NT.tolist(), strict=True):
        known: dict[int, int] = {}
        for position in range(0, LENGTH, 2):
            assert targets[position] == known.get(tokens[position], IGNORED)
            if position + 1 < LENGTH:
                assert targets[position + 1] == IGNORED
                known[tokens[position]] = tokens[position + 1]


def test_fuzzy_recall_asks_for_each_token_of_the_value_that_the_key_had_before() -> None:
    tokens_NT, targets_NT = fuzzy_recall(np.random.default_rng(4), COUNT, LENGTH)
    for tokens, targets in zip(tokens_NT.tolist(), targets_NT.tolist(), strict=True):
        whole = [*tokens, targets[-1]]
        known: dict[tuple[int, ...], tuple[int, ...]] = {}
        for key, value, start in entries(whole):
            wanted = known.get(key)
            for offset, token in enumerate(value):
                position = start + offset - 1
                assert targets[position] == (IGNORED if wanted is None else token)
                assert wanted is None or wanted[offset] == token
            if start + len(value) < LENGTH:
                known[key] = value


def entries(whole: list[int]) -> list[tuple[tuple[int, ...], tuple[int, ...], int]]:
    """Cut a sequence into keys (tokens below 8) and values, with the position at which each value begins."""
    found, position = [], 0
    while position < len(whole):
        start = position
        while position < len(whole) and 0 <= whole[position] < 8:
            position += 1
        middle = position
        while position < len(whole) and whole[position] >= 8:
            position += 1
        if position == start:
            break
        found.append((tuple(whole[start:middle]), tuple(whole[middle:position]), middle))
    return found


def test_selective_copying_asks_for_the_scattered_tokens_in_their_order() -> None:
    tokens_NT, targets_NT = selective_copying(np.random.default_rng(5), COUNT, LENGTH)
    for tokens, targets in zip(tokens_NT, targets_NT, strict=True):
        scattered = tokens[tokens < 14]
        assert len(scattered) == 8
        assert scattered.tolist() == targets[targets != IGNORED].tolist()
        assert (targets[:40] == IGNORED).all()


@pytest.mark.parametrize("name", RECALLS)
def test_training_and_test_share_no_sequence(name: str) -> None:
    streams = Streams(seed=11, index=0)
    drawn = [RECALLS[name].draw(streams.hidden(f"{name}/{p}"), 2000, LENGTH)[0] for p in ("train", "test")]
    train, test = ({row.tobytes() for row in rows} for rows in drawn)
    assert not train & test


def test_streams_depend_on_seed_index_and_purpose_and_on_nothing_else() -> None:
    draws = {
        (seed, index, purpose): Streams(seed, index).hidden(purpose).integers(2**62)
        for seed in (1, 2)
        for index in (0, 1)
        for purpose in ("train", "test")
    }
    assert len(set(draws.values())) == 8
    assert Streams(2, 1).hidden("test").integers(2**62) == draws[2, 1, "test"]


def test_what_the_player_is_shown_tells_apart_orders_but_not_the_hidden_streams() -> None:
    assert Streams(1, 0).shown("text") != Streams(1, 1).shown("text")
    assert Streams(1, 0).shown("text") != Streams(1, 0).hidden("text").integers(2**31 - 1)
