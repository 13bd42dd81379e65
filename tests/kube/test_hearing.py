"""A watch is dead when full lists bring what it should have brought, and not when there is nothing to bring."""

from asiarch.kube.hearing import HEALING_SECONDS, SILENCE_SECONDS, Hearing

HERE = ("jobs", "team-a")
LATE = SILENCE_SECONDS + 1


def test_a_quiet_watch_lives_however_long_nothing_changes() -> None:
    hearing = Hearing(0.0)
    missed = [hearing.listed(*HERE, 300.0 * n, news=False) for n in range(1, 100)]
    assert not any(missed)
    assert hearing.dead() == ()


def test_two_lists_of_news_without_a_word_from_the_watch_are_its_death() -> None:
    hearing = Hearing(0.0)
    assert hearing.listed(*HERE, 300.0, news=True)
    assert hearing.dead() == ()
    assert hearing.listed(*HERE, 600.0, news=True)
    (said,) = hearing.dead()
    assert said.startswith("watch of jobs in team-a: brought nothing for 600 s")


def test_what_the_watch_brings_a_moment_after_the_list_clears_it() -> None:
    hearing = Hearing(0.0)
    for moment in range(300, 30_000, 300):
        hearing.listed(*HERE, float(moment), news=True)
        hearing.heard(*HERE, moment + 3.0)
    assert hearing.dead() == ()


def test_news_while_the_watch_talks_is_not_counted() -> None:
    hearing = Hearing(0.0)
    hearing.heard(*HERE, 100.0)
    assert not hearing.listed(*HERE, 100.0 + SILENCE_SECONDS, news=True)


def test_lists_at_short_intervals_leave_the_framework_time_to_heal_a_watch() -> None:
    hearing = Hearing(0.0)
    lists = [LATE + 1.5 * n for n in range(int(HEALING_SECONDS / 1.5))]
    for moment in lists:
        hearing.listed(*HERE, moment, news=True)
    assert hearing.dead() == ()
    hearing.listed(*HERE, LATE + HEALING_SECONDS, news=True)
    assert len(hearing.dead()) == 1


def test_lists_without_news_in_between_absolve_nobody() -> None:
    hearing = Hearing(0.0)
    for moment, news in ((300.0, True), (600.0, False), (900.0, True)):
        hearing.listed(*HERE, moment, news=news)
    assert len(hearing.dead()) == 1


def test_a_lively_watch_elsewhere_doesn_t_hide_a_dead_one() -> None:
    hearing = Hearing(0.0)
    for moment in (300.0, 600.0):
        for place in ("team-a", "team-b"):
            hearing.listed("jobs", place, moment, news=True)
        hearing.heard("jobs", "team-b", moment + 1)
    assert [said.partition(":")[0] for said in hearing.dead()] == ["watch of jobs in team-a"]


def test_one_that_speaks_again_lives() -> None:
    hearing = Hearing(0.0)
    for moment in (300.0, 600.0):
        hearing.listed(*HERE, moment, news=True)
    hearing.heard(*HERE, 601.0)
    assert hearing.dead() == ()


def test_what_is_watched_from_now_on_was_not_silent_before() -> None:
    hearing = Hearing(0.0)
    hearing.begin(1000.0)
    assert not hearing.listed(*HERE, 1010.0, news=True)
