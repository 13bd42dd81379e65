"""The built-in analyst: what it makes of a measured candidate."""

import re
from typing import Any

import pytest

from asiarch.agents.failure import AgentFailedError
from asiarch.agents.grammar.analyst import analyze, compare
from asiarch.api.candidate import Lesson
from asiarch.api.order import Finding
from tests.agents.contexts import DELTA, a_context, a_rung, an_experiment

GATED = f"{DELTA.replace('qk=l2', 'qk=l2 decay=scalar')}"


def analysed(ours: float = 0.75, theirs: float = 0.7, spread: float = 0.01, **fields: Any) -> Finding:
    """A gated child of the delta rule, measured on recall."""
    losses = {"recall.nll": "0.9", "fuzzy.nll": "1.2", "copy.nll": "2.0", "recall.seconds": "3"}
    me = an_experiment(
        GATED, "s-0001", rungs=(a_rung(ours, spread, metrics={**losses, "copy.nll": "1.7"}, parameters=9),)
    )
    parent = an_experiment(DELTA, rungs=(a_rung(theirs, 0.005, metrics=losses, parameters=8),))
    return analyze(a_context("analyze", **{"me": me, "parent": parent, **fields}))


def test_a_clear_gain_is_a_lesson_about_the_blocks_that_changed() -> None:
    found = analysed()
    assert found.claim == "decay none → scalar helped on recall: +0.050 (+0.047 to +0.053)."
    assert found.scope == ("decay=scalar", "rule=delta")
    assert (found.delta, float(found.low) > 0.04, float(found.high) < 0.06) == ("0.05", True, True)


def test_a_clear_loss_speaks_against_the_hope() -> None:
    found = analysed(ours=0.6)
    assert "hurt on recall: -0.100" in found.claim
    assert "below its parent s-0000" in found.analysis
    assert "speaks against the hope that a head that can forget makes room" in found.analysis


def test_what_the_noise_may_have_done_is_no_verdict() -> None:
    found = analysed(ours=0.701, spread=0.05)
    assert "made no clear difference" in found.claim
    assert "not clearly different from" in found.analysis
    assert "hope" not in found.analysis


def test_an_explanation_gives_figures_tasks_and_what_it_does_not_know() -> None:
    text = analysed().analysis
    assert text.startswith("Scored 0.750 on recall, above its parent s-0000 (0.700): +0.050, 95 % interval")
    assert "48 parts of the held-out data, 1 training seed; another seed can move it further" in text
    assert "Changed: decay none → scalar." in text
    assert "copy gained most (NLL 2.000 → 1.700)" in text
    assert "lost most" not in text
    assert "9 parameters against 8" in text


def test_a_task_that_lost_is_named() -> None:
    parent = an_experiment(DELTA, rungs=(a_rung(0.7, metrics={"fuzzy.nll": "1.0", "copy.nll": "1.7"}),))
    assert "fuzzy lost most (NLL 1.000 → 1.200)" in analysed(parent=parent).analysis


def test_tasks_that_stood_still_are_not_told_apart() -> None:
    parent = an_experiment(DELTA, rungs=(a_rung(0.7, metrics={"fuzzy.nll": "1.2"}),))
    assert "No task moved notably." in analysed(parent=parent).analysis


def test_siblings_are_evidence_too() -> None:
    twin = an_experiment(GATED.replace("conv=4", "conv=8"), "s-0004", rungs=(a_rung(0.72),))
    other = an_experiment(DELTA.replace("conv=4", "conv=8"), "s-0005", rungs=(a_rung(0.69),))
    unmeasured = an_experiment(GATED, "s-0006")
    text = analysed(siblings=(twin, other)).analysis
    assert "Sibling s-0004, which has decay=scalar too, stands at +0.020 to the parent." in text
    assert "Sibling s-0005 stands at -0.010 to the parent." in text
    assert "s-0006" not in analysed(siblings=(unmeasured,)).analysis


def test_the_grandparent_is_compared_with_too() -> None:
    assert (
        "Against the grandparent s-0008: +0.150."
        in analysed(grandparent=an_experiment(candidate="s-0008", rungs=(a_rung(0.6),))).analysis
    )
    assert "grandparent" not in analysed(grandparent=an_experiment(candidate="s-0008")).analysis


def test_the_deepest_rung_that_both_climbed_decides() -> None:
    me = an_experiment(GATED, rungs=(a_rung(0.7), a_rung(0.3, name="bytes"), a_rung(0.2, name="books")))
    parent = an_experiment(DELTA, rungs=(a_rung(0.6), a_rung(0.35, name="bytes")))
    found = compare(me, parent)
    assert found is not None
    assert (found.ours.name, round(found.delta, 3)) == ("bytes", -0.05)


def test_a_rung_without_parts_can_t_be_paired() -> None:
    bare = a_rung(0.7).model_copy(update={"groups": ()})
    gates = a_rung(0.7, name="gates").model_copy(update={"score": None})
    me, parent = an_experiment(GATED, rungs=(gates, bare)), an_experiment(DELTA, rungs=(gates, bare))
    assert compare(me, parent) is None
    found = analyze(a_context("analyze", me=me, parent=parent))
    assert "No rung scored both it and its parent s-0000" in found.analysis
    assert found.claim == ""


def test_without_a_parent_or_a_score_there_is_nothing_to_learn() -> None:
    me = an_experiment(GATED)
    assert analyze(a_context("analyze", me=me)) == Finding(
        analysis="No rung gave it a score. It has no parent to be compared with."
    )


def test_files_that_tell_no_recipe_give_no_lesson() -> None:
    opaque = an_experiment(rungs=(a_rung(0.7),)).model_copy(update={"code": "x = 1"})
    found = analysed(parent=opaque)
    assert "What changed can't be read from the files." in found.analysis
    assert (found.claim, found.scope) == ("", ())


def test_a_new_rule_is_its_own_scope() -> None:
    me = an_experiment(
        "rule=scan decay=ladder conv=8 norm=layer gate=silu expand=2 path=ema", rungs=(a_rung(0.8),)
    )
    found = analysed(me=me)
    assert found.scope == ("rule=scan", "decay=ladder", "conv=8", "norm=layer")
    assert "as far as it can be told from the other changes" in found.analysis
    lesson = Lesson(**found.model_dump(include={"claim", "scope", "delta", "low", "high"}))
    assert all(re.fullmatch(r"[a-z]+=[a-z0-9.-]+", tag) for tag in lesson.scope)


def test_an_order_without_a_candidate_says_so() -> None:
    with pytest.raises(AgentFailedError, match="names no candidate"):
        analyze(a_context("analyze"))
