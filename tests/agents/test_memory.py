"""What lessons say about a block, and how far they are believed."""

from statistics import fmean

from asiarch.agents.memory import Belief, believe, similarity
from asiarch.api.context import LessonRecord
from tests.agents.contexts import a_lesson

AROUND = ("rule=delta", "decay=scalar", "conv=4")


def average_weight(tag: str, *records: LessonRecord) -> float:
    """Averaged over draws."""
    return fmean(believe(tag, AROUND, records, f"{seed}").weight for seed in range(300))


def belief(tag: str, *records: LessonRecord) -> Belief:
    return believe(tag, AROUND, records, "key")


def test_a_block_without_lessons_promises_nothing() -> None:
    assert (belief("decay=scalar").effect, belief("decay=scalar").lessons) == (0.0, ())


def test_a_lesson_about_another_block_says_nothing() -> None:
    assert belief("decay=scalar", a_lesson(["conv=4"], 0.1)) == belief("decay=scalar")


def test_a_block_that_helped_is_likelier_and_one_that_hurt_is_less_likely() -> None:
    helped, hurt = a_lesson(["decay=scalar"], 0.08), a_lesson(["decay=scalar"], -0.08)
    unknown = average_weight("decay=scalar")
    assert average_weight("decay=scalar", helped) > 3 * unknown
    assert average_weight("decay=scalar", hurt) < unknown / 3


def test_an_unsure_lesson_moves_less() -> None:
    sure = belief("decay=scalar", a_lesson(["decay=scalar"], 0.05, half=0.005))
    unsure = belief("decay=scalar", a_lesson(["decay=scalar"], 0.05, half=0.3))
    assert sure.effect > 2 * unsure.effect > 0


def test_lessons_that_agree_are_believed_more_than_one() -> None:
    one = belief("decay=scalar", a_lesson(["decay=scalar"], 0.05))
    many = belief("decay=scalar", *(a_lesson(["decay=scalar"], 0.05, candidate=f"s-{i}") for i in range(6)))
    assert 0.05 > many.effect > one.effect


def test_a_lesson_whose_uses_lost_is_trusted_less_than_one_whose_uses_won() -> None:
    def effect(wins: int) -> float:
        lesson = a_lesson(["decay=scalar"], 0.05, uses=10, wins=wins)
        return fmean(believe("decay=scalar", AROUND, (lesson,), f"{seed}").effect for seed in range(200))

    assert effect(wins=0) < effect(wins=10) / 1.5


def test_a_lesson_from_a_like_mixer_counts_more() -> None:
    assert similarity("decay=scalar", AROUND, a_lesson(["decay=scalar", "rule=delta"], 0.05)) == 1.0
    assert similarity("decay=scalar", AROUND, a_lesson(["decay=scalar", "rule=scan"], 0.05)) == 0.5
    assert similarity("gate=silu", AROUND, a_lesson(["decay=scalar"], 0.05)) == 0.0


def test_the_lessons_that_counted_most_come_first() -> None:
    near = a_lesson(["decay=scalar", "rule=delta"], 0.02, candidate="near")
    far = a_lesson(["decay=scalar", "rule=scan", "path=ema"], 0.02, candidate="far")
    assert [r.candidate for r in belief("decay=scalar", far, near).lessons] == ["near", "far"]


def test_one_key_gives_one_belief() -> None:
    lesson = a_lesson(["decay=scalar"], 0.05)
    assert belief("decay=scalar", lesson) == belief("decay=scalar", lesson)
