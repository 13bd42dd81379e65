"""Selection: the published probabilities, and choices that are functional, distinct and repeatable."""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from asiarch.api.search import Selection, SelectionPolicy
from asiarch.core.observation import Record
from asiarch.core.selection import POLICIES, Choice, Population, dgm, population, shinka
from asiarch.core.selection.asi_arch import cold_start, pool

Weights = Callable[[Sequence[float], Sequence[int]], tuple[float, ...]]

MANY = 3000
UNLIKELY = 1e-4
STRENGTHS = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def a_record(ordinal: int, fitness: float | None = 0.5, **fields: object) -> Record:
    """A proposal that was measured to its end, at the second of its ordinal."""
    name = f"s-{ordinal:04d}"
    known = {"name": name, "ordinal": ordinal, "origin": "Proposed", "phase": "Complete", "depth": 1}
    ended = {"finished_at": f"2026-01-01T00:{ordinal // 60:02d}:{ordinal % 60:02d}Z"}
    return Record(**{**known, **ended, "fitness": fitness, **fields})  # type: ignore[arg-type]


def a_population(*records: Record, size: int = 1773, ceiling: float = 1.0) -> Population:
    """A population of a search with that budget of candidates."""
    return population({r.name: r for r in records}, size, ceiling)


def a_line(count: int, size: int = 1773) -> Population:
    """Candidates of which each is worse than the one before, so that rank is ordinal + 1."""
    return a_population(*(a_record(i, 1 - i / 10_000) for i in range(count)), size=size)


def ranks(names: Sequence[str]) -> list[int]:
    """The ranks of candidates of `a_line`."""
    return [int(name[2:]) + 1 for name in names]


def choices(policy: SelectionPolicy, seen: Population, settings: Selection | None = None) -> list[Choice]:
    """Many choices under different keys."""
    return [POLICIES[policy](seen, settings or Selection(), f"1/{i}/parents") for i in range(MANY)]


def test_every_policy_of_the_api_is_in_the_table() -> None:
    assert set(POLICIES) == set(get_args(SelectionPolicy))


# Every policy.

PHASES = st.sampled_from(("Pending", "Evaluating", "Complete", "Rejected", "Failed"))
ORIGINS = st.sampled_from(("Baseline", "Proposed"))
ROWS = st.tuples(PHASES, st.none() | st.floats(-2, 2), st.integers(1, 3), ORIGINS)
FEW = st.integers(1, 12)
SETTINGS = st.builds(Selection, pool=FEW, parents=FEW, references=st.integers(0, 6))


@st.composite
def populations(draw: st.DrawFn) -> dict[str, Record]:
    """Any mixture of candidates, each with a random earlier parent."""
    rows = draw(st.lists(ROWS, max_size=25))
    random = draw(st.randoms(use_true_random=False))
    return {r.name: r for r in (_child(i, row, random) for i, row in enumerate(rows))}


def _child(ordinal: int, row: tuple[str, float | None, int, str], random: Random) -> Record:
    phase, fitness, depth, origin = row
    above = (f"s-{random.randrange(ordinal):04d}",) if ordinal else ()
    return a_record(ordinal, fitness, phase=phase, depth=depth, origin=origin, parents=above)


@pytest.mark.parametrize("policy", POLICIES)
@given(records=populations(), settings=SETTINGS, size=st.integers(1, 200), key=st.text(max_size=8))
def test_a_choice_is_functional_distinct_and_repeatable(
    policy: SelectionPolicy, records: dict[str, Record], settings: Selection, size: int, key: str
) -> None:
    seen = population(records, size)
    choice = POLICIES[policy](seen, settings, key)
    chosen = choice.parents + choice.references
    shuffled = dict(reversed(records.items()))
    assert choice == POLICIES[policy](population(shuffled, size), settings, key)
    assert all(records[name].functional for name in chosen)
    assert len(set(chosen)) == len(chosen)
    assert len(choice.references) <= settings.references
    assert len(choice.parents) == bool(seen.ranked)


@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_is_chosen_where_nobody_may_breed(policy: SelectionPolicy) -> None:
    assert POLICIES[policy](a_population(a_record(0, phase="Rejected")), Selection(), "k") == Choice()


# AsiArch.


def test_the_cold_start_is_200_and_shorter_in_small_searches() -> None:
    assert [cold_start(size) for size in (1, 12, 80, 1600, 1773, 100_000)] == [1, 1, 10, 200, 200, 200]


def test_in_the_cold_start_every_candidate_may_breed() -> None:
    found = choices("AsiArch", a_line(199), Selection(references=0))
    assert len({c.parents for c in found}) == 199


def test_after_the_cold_start_a_parent_comes_from_the_first_ten_and_references_from_eleven_to_fifty() -> None:
    found = choices("AsiArch", a_line(200))
    parents = Counter(rank for c in found for rank in ranks(c.parents))
    references = Counter(rank for c in found for rank in ranks(c.references))
    assert sorted(parents) == list(range(1, 11))
    assert sorted(references) == list(range(11, 51))
    assert stats.chisquare(list(parents.values())).pvalue > UNLIKELY
    assert stats.chisquare(list(references.values())).pvalue > UNLIKELY
    assert {len(c.references) for c in found} == {4}


def test_there_are_fewer_references_where_the_pool_is_short_and_none_up_to_ten() -> None:
    def references(functional: int) -> int:
        rejected = (a_record(1000 + i, phase="Rejected") for i in range(200))
        records = (a_record(i, 1 - i / 1000, origin="Baseline") for i in range(functional))
        return len(choices("AsiArch", a_population(*records, *rejected))[0].references)

    assert [references(n) for n in (9, 10, 11, 13, 14, 15)] == [0, 0, 1, 3, 4, 4]


def test_the_pool_is_refreshed_after_every_fifty_that_ended() -> None:
    newer_is_better = [a_record(i, i / 10_000) for i in range(260)]
    pools = [pool(a_population(*newer_is_better[:n]), Selection()) for n in (200, 249, 250, 260)]
    assert [ranks([members[0].name])[0] for members in pools] == [200, 200, 250, 250]


def test_a_rejected_candidate_counts_toward_the_refresh() -> None:
    newer_is_better = [a_record(i, i / 10_000, phase="Rejected" if i % 2 else "Complete") for i in range(250)]
    assert ranks([pool(a_population(*newer_is_better), Selection())[0].name]) == [249]


def test_the_order_of_ending_decides_what_the_refresh_saw_not_the_ordinal() -> None:
    records = [a_record(i, 0.5) for i in range(250)]
    records[3] = a_record(3, 0.9, finished_at="2026-01-01T09:00:00Z")
    assert records[3] not in pool(a_population(*records[:249]), Selection())
    assert pool(a_population(*records), Selection())[0] is records[3]


def test_a_small_search_refreshes_as_often_as_its_cold_start_is_long() -> None:
    newer_is_better = [a_record(i, i / 100) for i in range(8)]
    pools = [pool(a_population(*newer_is_better[:n], size=24), Selection()) for n in range(1, 9)]
    assert [ranks([members[0].name])[0] for members in pools] == [1, 2, 3, 3, 3, 6, 6, 6]


def test_baselines_breed_but_shorten_no_cold_start() -> None:
    baselines = [a_record(i, 0.9, origin="Baseline") for i in range(7)]
    seen = a_population(*baselines, *(a_record(i, 0.1) for i in range(7, 206)))
    assert len(pool(seen, Selection())) == 206
    later = a_population(*baselines, *(a_record(i, 0.1) for i in range(7, 207)))
    assert pool(later, Selection())[:7] == tuple(baselines)


# Dgm.


@pytest.mark.parametrize(
    ("strength", "expected"),
    list(enumerate((0.0067, 0.0180, 0.0474, 0.1192, 0.2689, 0.5, 0.7311, 0.8808))),
)
def test_dgm_favours_as_published(strength: int, expected: float) -> None:
    assert dgm.favour(strength / 10) == pytest.approx(expected, abs=5e-5)


def test_dgm_weighs_the_published_archive() -> None:
    expected = (0.0378, 0.3215, 0.5977, 0.0430)
    assert dgm.weights((0.2, 0.4, 0.5, 0.1), (2, 1, 1, 0)) == pytest.approx(expected, abs=5e-5)


def test_dgm_draws_parents_by_strength_and_functional_children() -> None:
    archive = (
        a_record(0, 0.2),
        a_record(1, 0.4, parents=("s-0000",)),
        a_record(2, 0.5, parents=("s-0000", "s-0001")),
        a_record(3, 0.1, parents=("s-0002",)),
    )
    seen = a_population(*archive, a_record(4, None, parents=("s-0003",)))
    counts = Counter(c.parents[0] for c in choices("Dgm", seen))
    expected = [MANY * p for p in dgm.weights((0.2, 0.4, 0.5, 0.1), (2, 1, 1, 0))]
    assert stats.chisquare([counts[f"s-{i:04d}"] for i in range(4)], expected).pvalue > UNLIKELY


# Shinka.


def test_shinka_weighs_deviations_from_the_median() -> None:
    # Median 0.4, deviations 0.3 0.1 0 0.1 0.2, so MAD 0.1 and α = σ(10 (s − 0.4) / 0.1).
    scores, children = (0.7, 0.5, 0.4, 0.3, 0.2), (1, 0, 0, 0, 0)
    products = (0.5, 0.9999546, 0.5, 4.5398e-5, 2.0612e-9)
    expected = [p / sum(products) for p in products]
    assert shinka.weights(scores, children) == pytest.approx(expected, rel=1e-4)


def test_shinka_falls_back_to_ranks_where_scores_are_the_same() -> None:
    # Ranks −0 −1 −2: median −1, MAD 1, α = σ(±10).
    expected = [p / 1.5 for p in (0.9999546, 0.5, 4.5398e-5)]
    assert shinka.weights((0.5, 0.5, 0.499995), (0, 0, 0)) == pytest.approx(expected, rel=1e-4)


def test_shinka_survives_a_spread_of_zero_with_an_outlier() -> None:
    assert shinka.weights((1.0, 0.5, 0.5, 0.5), (0, 0, 0, 0)) == pytest.approx((0.4, 0.2, 0.2, 0.2))
    assert shinka.weights((0.5, 0.5, 0.5, 0.0), (0, 0, 0, 0)) == pytest.approx((1 / 3, 1 / 3, 1 / 3, 0))
    assert shinka.weights((0.3,), (4,)) == (1.0,)


def test_shinka_draws_by_its_weights() -> None:
    seen = a_population(*(a_record(i, fitness) for i, fitness in enumerate((0.7, 0.5, 0.4, 0.3, 0.2))))
    counts = Counter(c.parents[0] for c in choices("Shinka", seen))
    best, second, third, *rest = (counts[f"s-{i:04d}"] for i in range(5))
    assert sum(rest) < MANY / 1000
    expected = [(MANY - sum(rest)) * p for p in (0.4, 0.4, 0.2)]
    assert stats.chisquare((best, second, third), expected).pvalue > UNLIKELY


@pytest.mark.parametrize("weights", [dgm.weights, shinka.weights])
@given(strengths=STRENGTHS, random=st.randoms())
def test_weights_are_probabilities_and_children_lower_them(
    weights: Weights, strengths: list[float], random: Random
) -> None:
    children = [random.randrange(5) for _ in strengths]
    found = weights(strengths, children)
    assert sum(found) == pytest.approx(1)
    assert min(found) >= 0
    more = weights(strengths, [children[0] + 1, *children[1:]])
    assert more[0] <= found[0] + 1e-12


# Strengths.


def test_on_one_rung_strength_is_the_fitness_as_a_share_of_the_ceiling() -> None:
    fitness = [a_record(i, value) for i, value in enumerate((1.5, 1.0, 0.0, -0.3))]
    assert a_population(*fitness, ceiling=2.0).strengths == (0.75, 0.5, 0.0, 0.0)


def test_each_rung_in_use_has_its_band_and_the_deepest_the_uppermost() -> None:
    records = [a_record(0, 0.9, depth=1), a_record(1, 0.2, depth=3), a_record(2, 0.4, depth=3)]
    assert a_population(*records).strengths == pytest.approx((0.7, 0.6, 0.45))


@given(populations())
def test_strength_falls_along_the_ranks(records: dict[str, Record]) -> None:
    strengths = population(records, 12).strengths
    assert sorted(strengths, reverse=True) == list(strengths)
    assert all(0 <= s <= 1 for s in strengths)


# The arms of an ablation.


def test_greedy_takes_the_best_and_shows_those_that_follow() -> None:
    choice = POLICIES["Greedy"](a_line(9), Selection(), "any")
    assert choice == Choice(("s-0000",), ("s-0001", "s-0002", "s-0003", "s-0004"))


def test_random_takes_anyone_alike() -> None:
    found = choices("Random", a_line(30))
    parents = Counter(name for c in found for name in c.parents)
    references = Counter(name for c in found for name in c.references)
    assert len(parents) == len(references) == 30
    assert stats.chisquare(list(parents.values())).pvalue > UNLIKELY
    assert stats.chisquare(list(references.values())).pvalue > UNLIKELY
