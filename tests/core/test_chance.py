"""Chance: equal keys give equal draws, and over many keys the draws follow their law."""

from collections import Counter
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from asiarch.core.chance import beta, draw, integer, sample, uniform

MANY = 4000
UNLIKELY = 1e-4
"""The keys are fixed, so a law that holds once holds for ever: no test here is flaky."""

ITEMS = ("a", "b", "c", "d")


def test_draws_are_pinned_so_that_no_version_changes_an_old_search() -> None:
    assert uniform("37/12/parents") == 0.7044642935043475
    assert integer("37/12") == 489500339
    assert draw(ITEMS, None, "37/12/parents") == "c"
    assert sample(range(10), 4, "37/12/references") == (0, 4, 8, 7)
    assert beta(3, 2, "37/12/lesson") == pytest.approx(0.8944225221685909, abs=1e-12)


@given(st.text(max_size=40), st.lists(st.integers(), min_size=1, max_size=20))
def test_an_equal_key_gives_an_equal_draw(key: str, items: list[int]) -> None:
    weights = [1.0 + abs(i % 7) for i in items]
    assert uniform(key) == uniform(key)
    assert integer(key) == integer(key)
    assert draw(items, None, key) == draw(items, None, key)
    assert draw(items, weights, key) == draw(tuple(items), tuple(weights), key)
    assert sample(items, 3, key) == sample(items, 3, key)
    assert beta(2, 3, key) == beta(2, 3, key)


@given(st.text(), st.integers(1, 256))
def test_draws_stay_in_their_range(key: str, bits: int) -> None:
    assert 0 <= uniform(key) < 1
    assert 0 <= integer(key, bits) < 2**bits
    assert 0 < beta(1, 5, key) < 1


def test_uniform_is_uniform() -> None:
    values = [uniform(f"1/{i}/test") for i in range(MANY)]
    assert stats.kstest(values, "uniform").pvalue > UNLIKELY
    assert abs(stats.pearsonr(values[:-1], values[1:]).statistic) < 0.05


def test_integers_fill_their_bits_evenly() -> None:
    counts = Counter(integer(f"1/{i}/test", 4) for i in range(MANY))
    assert stats.chisquare([counts[i] for i in range(16)]).pvalue > UNLIKELY


def test_a_draw_without_weights_is_even() -> None:
    counts = Counter(draw(ITEMS, None, f"2/{i}/test") for i in range(MANY))
    assert stats.chisquare([counts[item] for item in ITEMS]).pvalue > UNLIKELY


def test_a_draw_follows_its_weights() -> None:
    weights = (1.0, 0.0, 4.0, 3.0)
    counts = Counter(draw(ITEMS, weights, f"3/{i}/test") for i in range(MANY))
    assert counts["b"] == 0
    drawn = [counts[item] for item in "acd"]
    assert stats.chisquare(drawn, [MANY * w / 8 for w in (1, 4, 3)]).pvalue > UNLIKELY


@given(st.lists(st.sampled_from((0.0, 5e-324, 1e-300, 1.0, 1e300)), min_size=1, max_size=8), st.text())
def test_an_item_of_weight_zero_is_never_drawn(weights: list[float], key: str) -> None:
    weights.insert(len(weights) // 2, 1e-200)
    assert weights[draw(range(len(weights)), weights, key)] > 0


@pytest.mark.parametrize(
    "weights", [(0, 0, 0, 0), (1, -1, 2, 3), (1, nan, 1, 1), (1, inf, 1, 1), (1e308, 1e308, 1, 1), (1, 2, 3)]
)
def test_weights_that_mean_nothing_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights for 1/2/parent must be 4 finite numbers"):
        draw(ITEMS, weights, "1/2/parent")


def test_an_empty_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="Nothing to draw from for 1/2/parent"):
        draw((), None, "1/2/parent")


@given(st.lists(st.integers(), unique=True, max_size=30), st.integers(-2, 40), st.text(max_size=10))
def test_a_sample_has_no_item_twice(items: list[int], count: int, key: str) -> None:
    drawn = sample(items, count, key)
    assert len(drawn) == len(set(drawn)) == max(0, min(count, len(items)))
    assert set(drawn) <= set(items)


@given(st.integers(0, 30), st.text(max_size=10))
def test_a_longer_sample_begins_with_the_shorter(count: int, key: str) -> None:
    assert sample(range(30), count, key) == sample(range(30), 30, key)[:count]


def test_every_order_of_a_sample_is_equally_likely() -> None:
    counts = Counter(sample(ITEMS, 2, f"4/{i}/test") for i in range(MANY))
    assert len(counts) == 12
    assert stats.chisquare(list(counts.values())).pvalue > UNLIKELY


@pytest.mark.parametrize(("a", "b"), [(1, 1), (2, 5), (30, 3), (1, 40.5)])
def test_beta_draws_follow_the_beta_law(a: float, b: float) -> None:
    values = [beta(a, b, f"5/{i}/test") for i in range(MANY)]
    assert stats.kstest(values, stats.beta(a, b).cdf).pvalue > UNLIKELY


def test_beta_refuses_less_than_one_win_or_loss() -> None:
    with pytest.raises(ValueError, match=r"Beta\(0.5, 2\) for k"):
        beta(0.5, 2, "k")
