"""The lineage as people see it."""

from io import StringIO
from itertools import pairwise

from rich.console import Console

from asiarch.api.reason import Reason
from asiarch.core.report import summarise
from asiarch.pages import tree
from asiarch.pages.tree import MOST, Picture, picture
from tests.builders import a_candidate, a_search, an_observation
from tests.pages.demonstration import demonstration
from tests.pages.hostile import a_hostile_candidate


def test_no_two_candidates_share_a_row() -> None:
    rows = [mark.y for mark in shown().marks]
    assert len(rows) == len(set(rows)) == 22
    assert min(b - a for a, b in pairwise(rows)) >= 20


def test_a_child_stands_below_and_to_the_right_of_its_parent() -> None:
    observed, _ = demonstration()
    marks = {mark.name: mark for mark in shown().marks}
    for name, mark in marks.items():
        for parent in observed.records[name].parents:
            assert marks[parent].y < mark.y
            assert marks[parent].x < mark.x


def test_the_line_to_the_best_proposal_is_marked() -> None:
    line = [mark.label for mark in shown().marks if mark.best]
    assert line == ["0004", "0008", "0011", "0015", "0019"]
    assert sum(edge.best for edge in shown().edges) == 4


def test_titles_end_before_the_scores_begin() -> None:
    deep = [a_candidate(i, parents=[f"s-{i - 1:04d}"] if i else [], title="W" * 80) for i in range(40)]
    observed = an_observation(a_search(), *deep)
    marks = picture(observed, summarise(observed)).marks
    assert all(m.x + 50 + tree.CHARACTER * len(m.title) <= tree.LABEL_END for m in marks)
    assert all(m.title for m in marks)


def test_a_mark_tells_how_a_candidate_stands() -> None:
    baseline = a_candidate(0, origin="Baseline", scores={"recall": 0.5})
    ended = a_candidate(1, phase="Rejected", reason=Reason.DUPLICATE)
    live = a_candidate(2, phase="Evaluating")
    user = a_candidate(3, origin="User", scores={"recall": 0.6})
    observed = an_observation(a_search(), baseline, ended, live, user)
    marks = picture(observed, summarise(observed)).marks
    assert [(m.shape, m.standing, m.rung) for m in marks] == [
        ("baseline", "level", "recall"),
        ("ended", "ended", "Duplicate"),
        ("proposal", "live", "Evaluating"),
        ("user", "level", "recall"),
    ]


def test_a_large_search_shows_the_best_with_all_their_ancestors() -> None:
    many = [
        a_candidate(i, scores={"recall": i / 1000}, parents=[f"s-{i // 3:04d}"] if i else [])
        for i in range(300)
    ]
    observed = an_observation(a_search(), *many)
    found = picture(observed, summarise(observed))
    names = {mark.name for mark in found.marks}
    assert len(names) <= MOST
    assert "s-0299" in names
    assert all(set(observed.records[name].parents) <= names for name in names)
    assert found.left_out == 300 - len(names)


def test_the_terminal_shows_every_candidate_and_obeys_none() -> None:
    candidate, _ = a_hostile_candidate()
    observed = an_observation(a_search(), a_candidate(1), candidate, a_candidate(3, phase="Failed"))
    console = Console(width=120, file=(stream := StringIO()))
    console.print(tree.terminal(observed))
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "<script>alert(1)</script>" in text
    assert all(name in text for name in ("0001", "0002", "0003"))


def shown() -> Picture:
    observed, _ = demonstration()
    return picture(observed, summarise(observed))
