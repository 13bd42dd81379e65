"""Ranking: who is better, who climbs, and how far two rungs agree."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from asiarch.api.search import Promotion
from asiarch.core.observation import Record
from asiarch.core.ranking import climbs, kendall_tau, ranked

FLOATS = st.floats(-1, 1)
COARSE = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=30)


def a_record(ordinal: int, fitness: float | None = 0.5, depth: int = 1, **fields: object) -> Record:
    """A candidate that was measured to its end."""
    known = {"name": f"s-{ordinal:04d}", "ordinal": ordinal, "origin": "Proposed", "phase": "Complete"}
    return Record(**{**known, "depth": depth, "fitness": fitness, **fields})  # type: ignore[arg-type]


ROWS = st.tuples(st.none() | st.sampled_from((0.1, 0.5, 0.9)), st.integers(1, 3))
RECORDS = st.lists(ROWS, max_size=20).map(
    lambda rows: [a_record(i, fitness, depth) for i, (fitness, depth) in enumerate(rows)]
)


def test_the_deepest_rung_leads_then_fitness_then_the_earlier() -> None:
    shallow, deep = a_record(1, 0.9, depth=1), a_record(2, 0.2, depth=2)
    better, later = a_record(3, 0.4, depth=2), a_record(4, 0.4, depth=2)
    assert ranked([shallow, later, deep, better]) == (better, later, deep, shallow)


def test_only_functional_candidates_are_ranked() -> None:
    others = (a_record(1, phase="Rejected"), a_record(2, None), a_record(3, phase="Analyzing"))
    assert ranked([*others, a_record(4)]) == (a_record(4),)


@given(RECORDS, st.randoms())
def test_ranking_is_a_total_order_however_it_is_read(records: list[Record], random: Random) -> None:
    shuffled = random.sample(records, len(records))
    assert ranked(shuffled) == ranked(records) == ranked(ranked(records))
    assert {r.name for r in ranked(records)} == {r.name for r in records if r.functional}


def test_the_first_so_many_climb_in_any_case() -> None:
    promotion = Promotion(top=0.1, grace=3)
    assert climbs(0.0, [0.9, 0.8], promotion)
    assert not climbs(0.0, [0.9, 0.8, 0.7], promotion)


@pytest.mark.parametrize(
    ("before", "places"), [(1, 1), (2, 1), (3, 2), (6, 3), (9, 3), (10, 4), (29, 9), (99, 30)]
)
def test_the_best_fraction_climbs_rounded_up(before: int, places: int) -> None:
    others = [float(rank) for rank in range(before, 0, -1)]
    promotion = Promotion(top=0.3)
    assert climbs(before - places + 1.5, others, promotion)
    assert not climbs(before - places + 0.5, others, promotion)


def test_a_tie_ranks_behind_the_earlier() -> None:
    assert not climbs(0.5, [0.5], Promotion(top=0.5))
    assert climbs(0.5, [0.5], Promotion(top=1.0))


def test_a_whole_product_is_not_rounded_up_for_a_float_error() -> None:
    assert 0.07 * 100 > 7
    assert not climbs(0.5, [1.0] * 7 + [0.0] * 92, Promotion(top=0.07))


@given(FLOATS, FLOATS, st.lists(FLOATS, max_size=20), st.floats(0.01, 1), st.integers(1, 5))
def test_a_better_score_never_loses_its_climb(
    a: float, b: float, others: list[float], top: float, grace: int
) -> None:
    promotion = Promotion(top=top, grace=grace)
    assert climbs(max(a, b), others, promotion) >= climbs(min(a, b), others, promotion)


@given(COARSE)
def test_tau_equals_scipys(pairs: list[tuple[int, int]]) -> None:
    ours, theirs = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    tau = kendall_tau(ours, theirs)
    if len(set(ours)) < 2 or len(set(theirs)) < 2:
        assert tau is None
    else:
        assert tau == pytest.approx(stats.kendalltau(ours, theirs).statistic)


def test_tau_is_one_for_the_same_order_and_minus_one_for_the_opposite() -> None:
    assert kendall_tau([1, 2, 3], [0.1, 0.5, 0.7]) == 1
    assert kendall_tau([1, 2, 3], [0.7, 0.5, 0.1]) == -1
