"""Lineage: children, ancestors, generations and the tree, on any graph that objects may claim."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from asiarch.core.lineage import ancestors, functional_children, generations, parents, tree
from asiarch.core.observation import Record


def a_record(ordinal: int, above: Iterable[str] = (), fitness: float | None = 0.5) -> Record:
    """A complete candidate called by its ordinal."""
    return Record(str(ordinal), ordinal, "Proposed", tuple(above), phase="Complete", fitness=fitness)


def a_guest(number: int, above: Iterable[str] = ()) -> Record:
    """A user's candidate that has no ordinal yet."""
    return Record(str(number), -1, "User", tuple(above))


def records(*listed: Record) -> dict[str, Record]:
    """Candidates by name."""
    return {r.name: r for r in listed}


NAMES = st.sampled_from([str(i) for i in range(8)] + ["missing"])
CLAIMS = st.lists(st.lists(NAMES, max_size=4), max_size=8)
GRAPHS = st.tuples(CLAIMS, st.integers(0, 8)).map(
    lambda drawn: records(
        *(a_record(i, above) if i < drawn[1] else a_guest(i, above) for i, above in enumerate(drawn[0]))
    )
)
"""Candidates that claim any parents; the last of them have no ordinal yet."""

FAMILY = records(
    a_record(0),
    a_record(1),
    a_record(2, ["0"]),
    a_record(3, ["2", "1"]),
    a_record(4, ["0"], fitness=None),
    a_record(5, ["3"]),
)


def test_only_functional_children_count_and_for_each_parent() -> None:
    children = functional_children(FAMILY)
    assert children == {"0": 1, "1": 1, "2": 1, "3": 1}
    assert children["4"] == 0


def test_ancestors_come_nearest_first_and_once() -> None:
    assert ancestors("5", FAMILY) == ("3", "2", "1", "0")
    assert ancestors("0", FAMILY) == ()


def test_a_generation_is_one_more_than_the_latest_parents() -> None:
    assert generations(FAMILY) == {"0": 0, "1": 0, "2": 1, "3": 2, "4": 1, "5": 3}


def test_the_tree_shows_every_candidate_once_below_its_first_parent() -> None:
    shown = tree(FAMILY)
    assert shown.roots == ("0", "1")
    assert shown.children == {"0": ("2", "4"), "2": ("3",), "3": ("5",)}
    assert list(shown.walk()) == [(0, "0"), (1, "2"), (2, "3"), (3, "5"), (1, "4"), (0, "1")]


def test_a_missing_parent_leaves_a_root() -> None:
    assert tree(records(a_record(3, ["gone"]))).roots == ("3",)


def test_a_parent_counts_once_however_often_it_is_named() -> None:
    assert functional_children(records(a_record(0), a_record(1, ["0", "0"]))) == {"0": 1}


def test_a_circle_is_cut_where_a_parent_came_later() -> None:
    circle = records(a_record(0, ["2"]), a_record(1, ["0", "1"]), a_record(2, ["1"]))
    assert ancestors("2", circle) == ("1", "0")
    assert generations(circle) == {"0": 0, "1": 1, "2": 2}


def test_a_candidate_without_an_ordinal_yet_stands_after_all_others() -> None:
    guest = a_guest(3, ["7"])
    assert parents(guest, records(a_record(7), guest)) == ("7",)


@given(GRAPHS)
def test_no_graph_makes_lineage_loop(graph: dict[str, Record]) -> None:
    for name in graph:
        above = ancestors(name, graph)
        assert name not in above
        assert len(set(above)) == len(above)
        assert set(above) <= set(graph)


@given(GRAPHS)
def test_the_tree_holds_every_candidate_of_any_graph_once(graph: dict[str, Record]) -> None:
    walked = [name for _, name in tree(graph).walk()]
    assert sorted(walked) == sorted(graph)


@given(GRAPHS)
def test_generations_rise_from_parent_to_child(graph: dict[str, Record]) -> None:
    found = generations(graph)
    assert all(found[above] < found[name] for name in graph for above in parents(graph[name], graph))


def test_a_lineage_of_five_thousand_generations_takes_no_recursion() -> None:
    chain = records(a_record(0), *(a_record(i, [str(i - 1)]) for i in range(1, 5000)))
    assert len(ancestors("4999", chain)) == 4999
    assert generations(chain)["4999"] == 4999
    assert max(level for level, _ in tree(chain).walk()) == 4999
    assert functional_children(chain).total() == 4999
