"""How numbers, durations and strangers' text are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asiarch.pages.text import clean, clock, count, diff, duration, number, one_line, plus_minus, signed


@given(st.text())
def test_clean_text_can_not_steer_a_terminal(text: str) -> None:
    assert all(c.isprintable() or c.isspace() for c in clean(text))
    assert "\x1b" not in clean(text)


@pytest.mark.parametrize("hidden", ["\x1b[2J", "\x07", "\u202e", "\u2066", "\u200b", "\r", "\x9b1m"])
def test_what_a_reader_could_not_see_is_dropped(hidden: str) -> None:
    assert clean(f"a{hidden}b").replace("[2J", "").replace("1m", "") == "ab"


@given(st.text(), st.integers(2, 40))
def test_one_line_is_one_line_of_that_width(text: str, width: int) -> None:
    line = one_line(text, width)
    assert len(line) <= width
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "00:00"), (0, "00:00"), (61.9, "01:01"), (3599, "59:59"), (3723, "1:02:03")]
)
def test_a_clock_reads(seconds: float, words: str) -> None:
    assert clock(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (8.24, "8.2 s"), (59, "59 s"), (200, "3 min 20 s"), (18_720, "5 h 12 min")],
)
def test_a_duration_reads(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (950, "950"), (25_400, "25.4k"), (123_456, "123k"), (1_300_000, "1.3M"), (2e9, "2.0G")],
)
def test_a_count_reads(value: float, words: str) -> None:
    assert count(value) == words


def test_numbers_have_a_real_minus_and_a_dash_when_unknown() -> None:
    assert (number(-0.5), signed(-0.5), signed(0.25), number(None), signed(None)) == (
        "−0.500",
        "−0.500",
        "+0.250",
        "–",
        "–",
    )
    assert (plus_minus(0.0123), plus_minus(None)) == ("±0.012", "")


def test_a_diff_shows_what_changed_and_no_file_names() -> None:
    lines = diff("a\nb\nc\n", "a\nB\nc\n")
    assert lines[1:] == (" a", "-b", "+B", " c")
    assert diff("a\n", "a\n") == ()
