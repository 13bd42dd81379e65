"""What `asiarch run` shows while it runs."""

from io import BytesIO, StringIO, TextIOWrapper

import pytest
from rich.console import Console

from asiarch.api.base import timestamp
from asiarch.api.candidate import OrderRef
from asiarch.api.reason import Reason
from asiarch.api.search import Best, Budget, SearchStatus
from asiarch.core.observation import Observation
from asiarch.pages.live import LiveView, PlainView, live, plain, view
from tests.builders import T0, a_candidate, a_lesson, a_search, an_observation
from tests.pages.demonstration import replay
from tests.pages.hostile import a_hostile_candidate


def lines(*looks: tuple[Observation, float]) -> list[str]:
    stream = StringIO()
    shown = plain(stream)
    for observed, now in looks:
        shown.show(observed, now)
    shown.close()
    return stream.getvalue().splitlines()


def picture(*looks: tuple[Observation, float], width: int = 100) -> str:
    console = Console(width=width, height=50, record=True, force_terminal=True, file=StringIO())
    shown = live(console)
    for observed, now in looks:
        shown.show(observed, now)
    shown.close()
    return console.export_text()


def test_a_phase_is_one_line_that_can_be_searched_for() -> None:
    before = an_observation(a_search(), a_candidate(9, phase="Evaluating", rung=0))
    after = an_observation(a_search(), a_candidate(9, phase="Evaluating", rung=1))
    assert lines((before, T0), (after, T0 + 41))[-1] == "00:41 s-0009 Evaluating recall"


def test_a_finished_candidate_is_told_beside_the_best_baseline() -> None:
    baseline = a_candidate(0, origin="Baseline", scores={"recall": 0.757})
    running = a_candidate(9, phase="Analyzing")
    done = a_candidate(9, scores={"recall": 0.741})
    told = lines(
        (an_observation(a_search(), baseline, running), T0),
        (an_observation(a_search(), baseline, done), T0 + 9),
    )
    assert told[-1] == "00:09 s-0009 Complete score 0.741 on recall (best baseline 0.757)"


def test_a_rejection_tells_reason_and_message() -> None:
    rejected = a_candidate(1, phase="Rejected", reason=Reason.DUPLICATE, message="Same as\ns-0000.")
    told = lines((an_observation(a_search()), T0), (an_observation(a_search(), rejected), T0 + 3700))
    assert told[-1] == "1:01:40 s-0001 Rejected Duplicate: Same as s-0000."


@pytest.mark.parametrize("ordered", [True, False])
def test_a_lost_attempt_is_told_if_it_was_ever_made(*, ordered: bool) -> None:
    order = OrderRef(name="s-0001-train-recall-a1", kind="train", attempt=1, deadline=timestamp(T0))
    first = a_candidate(1, phase="Evaluating", rung=1, order=order if ordered else None)
    again = a_candidate(1, phase="Evaluating", rung=1, lost=1)
    told = lines((an_observation(a_search(), first), T0), (an_observation(a_search(), again), T0))
    assert ("00:00 s-0001 Evaluating lost attempt 1, tries again" in told) is ordered


def test_a_repair_tells_what_was_wrong() -> None:
    broken = a_candidate(1, phase="Repairing", reason=Reason.WRONG_SHAPE, message="(2, 8) instead of (2, 9)")
    told = lines((an_observation(a_search()), T0), (an_observation(a_search(), broken), T0))
    assert told[-1] == "00:00 s-0001 Repairing WrongShape: (2, 8) instead of (2, 9)"


def test_waiting_to_begin_and_a_new_order_are_no_news() -> None:
    waiting = a_candidate(1, phase="Pending")
    assert len(lines((an_observation(a_search(), waiting), T0))) == 1
    first, second = (a_candidate(1, phase="Evaluating", message=m) for m in ("", "seen"))
    looks = (an_observation(a_search(), first), T0), (an_observation(a_search(), second), T0)
    assert lines(*looks) == lines(looks[0])


def test_a_candidate_that_completes_without_a_score_has_a_line() -> None:
    told = lines(
        (an_observation(a_search()), T0),
        (an_observation(a_search(), a_candidate(1, scores={"gates": None})), T0),
    )
    assert told[-1] == "00:00 s-0001 Complete"


def test_without_a_baseline_a_score_stands_alone() -> None:
    told = lines((an_observation(a_search()), T0), (an_observation(a_search(), a_candidate(1)), T0))
    assert told[-1] == "00:00 s-0001 Complete score 0.700 on recall"


def test_a_lesson_has_its_line() -> None:
    taught = a_candidate(1, lesson=a_lesson("A short convolution helps.", 0.021))
    told = lines((an_observation(a_search()), T0), (an_observation(a_search(), taught), T0))
    assert told[-1] == "00:00 s-0001 Lesson +0.021 A short convolution helps."


def test_nothing_new_is_no_line() -> None:
    observed = an_observation(a_search(), a_candidate(1, phase="Evaluating"))
    assert lines((observed, T0), (observed, T0 + 5)) == lines((observed, T0))


def test_a_continued_search_does_not_repeat_what_had_ended() -> None:
    observed = an_observation(
        a_search(), a_candidate(0, origin="Baseline"), a_candidate(1, phase="Proposing")
    )
    told = lines((observed, T0))
    assert told == [
        "00:00 s Running seed 37, 2 baselines and 12 candidates, goes on after 1 that have ended",
        "00:00 s-0001 Proposing from nothing",
    ]


def test_the_end_of_the_search_is_told_with_its_best() -> None:
    ended = SearchStatus(
        phase="Complete",
        reason=Reason.BUDGET_EXHAUSTED,
        message="12 of 12 ended.",
        best=Best(candidate="s-0001", rung="recall", fitness="0.75"),
    )
    told = lines((an_observation(a_search()), T0), (an_observation(a_search(status=ended)), T0))
    assert told[-1] == "00:00 s Complete BudgetExhausted best s-0001 0.750: 12 of 12 ended."


def test_equal_searches_are_told_in_equal_lines() -> None:
    assert lines(*replay()) == lines(*replay())


def test_a_stream_that_knows_only_ascii_is_no_obstacle() -> None:
    stream = TextIOWrapper(BytesIO(), encoding="ascii")
    plain(stream).show(an_observation(a_search(), a_candidate(1, phase="Building", title="αβγ")), T0)
    stream.seek(0)
    assert 's-0001 Building "???"' in stream.read()


def test_hostile_text_steers_no_terminal() -> None:
    candidate, _ = a_hostile_candidate()
    looks = (an_observation(a_search()), T0), (an_observation(a_search(), candidate), T0 + 1)
    assert "\x1b" not in "\n".join(lines(*looks))
    console = Console(
        width=100, height=50, force_terminal=True, color_system=None, file=(stream := StringIO())
    )
    shown = live(console)
    for observed, now in looks:
        shown.show(observed, now)
    shown.close()
    assert "\x1b]" not in stream.getvalue()
    assert "\x1b[2J" not in stream.getvalue()
    assert "\u202e" not in stream.getvalue()


def test_the_live_picture_shows_who_works_who_leads_and_what_happened() -> None:
    looks = [look for look in replay() if look[1] <= T0 + 19 * 17 + 13]
    text = picture(*looks)
    assert "quickstart-0017  Evaluating" in text
    assert "10/15" in text
    assert "about " in text
    assert "Negative eigenvalues in the delta rule" in text
    assert "Rejected Duplicate" in text


def test_no_time_left_is_promised_before_three_have_ended() -> None:
    assert "about" not in picture((an_observation(a_search(), a_candidate(1)), T0 + 30))


def test_every_limit_of_the_budget_has_its_bar() -> None:
    budget = Budget(candidates=4, wall_clock="10m", gpu_hours="2", tokens=1000, usd="5")
    text = picture((an_observation(a_search(budget=budget)), T0 + 60))
    for bar in ("candidates", "wall clock", "GPU-hours", "tokens", "USD"):
        assert bar in text
    assert "01:00/10:00" in text


def test_many_at_work_are_cut_and_counted() -> None:
    crowd = [a_candidate(i, phase="Evaluating") for i in range(20)]
    assert "and 8 more" in picture((an_observation(a_search(), *crowd), T0))


def test_a_picture_is_drawn_at_most_four_times_a_second() -> None:
    console = Console(width=80, height=50, force_terminal=True, file=(stream := StringIO()))
    shown = live(console)
    sizes = []
    for i in range(8):
        shown.show(an_observation(a_search(), a_candidate(i, phase="Evaluating")), T0 + i / 10)
        sizes.append(len(stream.getvalue()))
    shown.close()
    assert len(set(sizes)) == 3


def test_a_view_that_was_shown_nothing_closes() -> None:
    live(Console(file=StringIO())).close()


def test_a_terminal_gets_pictures_and_a_pipe_gets_lines() -> None:
    assert isinstance(view(Console(force_terminal=True, file=StringIO())), LiveView)
    assert isinstance(view(Console(file=StringIO())), PlainView)


def test_eighty_columns_cut_titles_and_no_numbers() -> None:
    text = picture(list(replay())[-1], width=80)
    assert "+0.012 ±0.003" in text
    assert "quickstart-0019" in text
