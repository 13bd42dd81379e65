"""The built-in researcher: what it proposes, why, and how lessons steer it."""

from typing import Any

from asiarch.agents.grammar.analyst import analyze
from asiarch.agents.grammar.recipe import BASELINE_ONLY, Recipe, read
from asiarch.agents.grammar.researcher import propose
from asiarch.agents.grammar.words import difference
from asiarch.api.candidate import Lesson
from asiarch.api.context import LessonRecord
from asiarch.api.order import Proposal
from asiarch.core.chance import uniform
from tests.agents.contexts import DELTA, a_context, a_lesson, a_rung, an_experiment
from tests.agents.shipped import RECIPES

PLANTED = "path=shift"
BONUS = 0.06


def proposals(count: int = 60, parent: str = DELTA, **fields: Any) -> list[Proposal]:
    """What many orders with other seeds propose from one parent."""
    given = {"parent": an_experiment(parent), **fields}
    return [propose(a_context(seed=seed, **given)) for seed in range(count)]


def changed(proposal: Proposal, parent: str = DELTA) -> dict[str, str]:
    return {block: after for block, _, after in difference(read(parent), read(proposal.recipe))}


def test_one_order_gets_one_proposal() -> None:
    assert proposals(5) == proposals(5)


def test_a_proposal_always_differs_from_its_parent() -> None:
    for recipe in RECIPES.values():
        assert all(changed(proposal, recipe) for proposal in proposals(30, recipe))


def test_other_seeds_propose_other_mixers() -> None:
    assert len({proposal.recipe for proposal in proposals(60)}) > 30


def test_a_yardstick_s_rule_is_never_proposed() -> None:
    for recipe in RECIPES.values():
        assert all(read(p.recipe).rule not in BASELINE_ONLY for p in proposals(30, recipe))


def test_a_proposal_that_repeated_is_drawn_again_farther_away() -> None:
    near, far = proposals(60), proposals(60, resample=3)
    assert sum(len(changed(p)) for p in far) > 2 * sum(len(changed(p)) for p in near)
    assert "repeated a known candidate" in far[0].motivation


def test_a_proposal_crosses_its_parent_with_a_reference() -> None:
    other = "rule=delta feature=elu qk=l2 decay=channel beta=double conv=8 heads=mixed norm=layer gate=silu"
    crossed = [
        p
        for p in proposals(60, references=(an_experiment(other, "s-0005"),))
        if "as in s-0005" in p.motivation
    ]
    assert 5 < len(crossed) < 40
    theirs = set(read(other).tags())
    assert all(theirs & set(read(p.recipe).tags()) - set(read(DELTA).tags()) for p in crossed)


def test_a_proposal_is_none_of_those_that_were_shown() -> None:
    for name, recipe in RECIPES.items():
        others = tuple(
            an_experiment(other, candidate) for candidate, other in RECIPES.items() if candidate != name
        )
        assert all(p.recipe not in RECIPES.values() for p in proposals(40, recipe, references=others))


def test_a_reference_that_tells_no_recipe_is_left_alone() -> None:
    opaque = an_experiment(candidate="s-0005").model_copy(update={"code": "x = 1"})
    assert all("s-0005" not in p.motivation for p in proposals(20, references=(opaque,)))


def test_a_reference_that_is_the_parent_s_twin_offers_nothing() -> None:
    assert all(
        "as in" not in p.motivation for p in proposals(20, references=(an_experiment(DELTA, "s-0005"),))
    )


def test_a_motivation_names_the_parent_and_the_change() -> None:
    (proposal,) = proposals(1)
    assert proposal.motivation.startswith("Parent s-0000 (Mixer).")
    for block, value in changed(proposal).items():
        assert f"{block} {getattr(read(DELTA), block)} → {value}" in proposal.motivation


def test_a_parent_that_tells_no_recipe_is_left_for_a_shipped_mixer() -> None:
    parent = an_experiment().model_copy(update={"code": "x = 1", "fitness": "0.5"})
    assert "the file of s-0000 tells no recipe" in propose(a_context(parent=parent)).motivation
    assert "there is no parent" in propose(a_context()).motivation


def test_a_proposal_names_the_lessons_that_spoke_for_it() -> None:
    lesson = a_lesson([PLANTED, "rule=delta"], 0.08, uses=4, wins=3, candidate="s-0007")
    used = [p for p in proposals(60, lessons=(lesson,)) if p.uses]
    assert used
    assert all(p.uses == ("s-0007",) for p in used)
    assert any(changed(p).get("path") == "shift" and "3 of 4 uses won" in p.motivation for p in used)


def test_a_lesson_that_refutes_a_block_is_not_named_as_used_when_the_block_is_chosen_all_the_same() -> None:
    lesson = a_lesson([PLANTED], -0.01, half=0.2)
    chosen = [p for p in proposals(300, lessons=(lesson,)) if changed(p).get("path") == "shift"]
    assert chosen
    assert all(p.uses == () for p in chosen)


def test_the_longest_story_still_fits() -> None:
    lessons = tuple(
        a_lesson([f"conv={n}"], 0.05, candidate=f"{'s' * 40}-{i:04d}") for n in (2, 4, 8) for i in range(20)
    )
    for proposal in proposals(30, lessons=lessons, resample=9):
        assert len(proposal.motivation) <= 1024
        assert len(proposal.name) <= 80
        assert len(proposal.uses) <= 8


def share(lessons: tuple[LessonRecord, ...], tag: str, count: int = 600) -> float:
    block, _, value = tag.partition("=")
    return sum(changed(p).get(block) == value for p in proposals(count, lessons=lessons)) / count


def test_a_block_that_helped_is_proposed_more_and_a_refuted_one_less() -> None:
    control = share((), PLANTED)
    assert share((a_lesson([PLANTED, "rule=delta"], 0.08),), PLANTED) > 3 * control
    assert share((a_lesson([PLANTED, "rule=delta"], -0.08),), PLANTED) < control / 1.5


def test_a_block_of_the_parent_s_that_hurt_is_left_more_often() -> None:
    def leaves(lessons: tuple[LessonRecord, ...]) -> int:
        return sum("beta" in changed(p) for p in proposals(300, lessons=lessons))

    assert leaves((a_lesson(["beta=sigmoid"], -0.08),)) > 1.5 * leaves(())


def planted_score(recipe: Recipe, key: str) -> float:
    """A landscape in which one block helps, nothing else matters, and every measurement is noisy."""
    return 0.6 + BONUS * (recipe.path == "shift") + 0.02 * (uniform(key) - 0.5)


def searched(generations: int, *, learning: bool) -> list[Recipe]:
    """Propose from one parent, measure, analyse, and, if learning, tell the lessons to the next proposal."""
    made: list[Recipe] = []
    records: list[LessonRecord] = []
    parent = an_experiment(DELTA, rungs=(a_rung(0.6, 0.01),))
    for seed in range(generations):
        lessons = tuple(records[-64:]) if learning else ()
        proposal = propose(a_context(seed=seed, parent=parent, lessons=lessons))
        child = read(proposal.recipe)
        made.append(child)
        rung = a_rung(planted_score(child, f"{seed}/noise"), 0.015)
        me = an_experiment(proposal.recipe, f"s-{seed + 1:04d}", rungs=(rung,))
        found = analyze(a_context("analyze", me=me, parent=parent))
        fields = found.model_dump(include={"claim", "scope", "delta", "low", "high"})
        records.append(LessonRecord(candidate=me.candidate, lesson=Lesson(**fields)))
    return made


def test_on_a_planted_landscape_lessons_find_the_block_that_helps() -> None:
    taught, control = searched(160, learning=True), searched(160, learning=False)
    late = [sum(r.path == "shift" for r in made[80:]) for made in (taught, control)]
    # Of 80 proposals; under equal shares a difference of 12 is beyond three standard errors.
    assert late[0] >= late[1] + 12
    assert late[0] >= 3 * late[1]
