"""Tables for the terminal."""

from io import StringIO

import pytest
from rich.console import Console, RenderableType

from asiarch.pages import tables
from asiarch.pages.chart import braille
from tests.builders import T0, a_candidate, a_result, a_search, an_observation
from tests.pages.demonstration import demonstration
from tests.pages.hostile import a_hostile_candidate


def printed(shown: RenderableType, width: int = 130) -> str:
    console = Console(width=width, file=(stream := StringIO()))
    console.print(shown)
    return stream.getvalue()


def test_the_status_tells_verdict_ranks_and_failures() -> None:
    text = " ".join(printed(tables.status(demonstration()[0], T0)).split())
    assert "22 candidates, 22 ended, 3 rejected, 1 failed" in text
    assert "beats the best baseline, gated-delta-net" in text
    assert "1 quickstart-0019 bytes ×2 0.671" in text
    assert "CausalityViolation" in text
    assert "7 min 17 s" in text


def test_an_empty_search_has_a_status() -> None:
    text = printed(tables.status(an_observation(a_search()), T0 + 5))
    assert "nothing measured to its end yet" in text
    assert "no candidate was rejected or failed" in text
    assert "5.0 s" in text


def test_a_candidate_is_shown_with_idea_numbers_diff_and_code() -> None:
    observed, texts = demonstration()
    text = printed(tables.candidate(observed, "quickstart-0019", texts))
    for part in (
        "the parent forgets everything",
        "score 0.671 ±",
        "2 seeds",
        "-        self.conv = nn.Conv1d",
        "+        self.gate = nn.Linear",
        "class Mixer(nn.Module):",
        "Recall moved by +0.012",
        "gate=output helps here.",
        "network namespace",
        "⠤",
    ):
        assert part in text


def test_a_candidate_that_has_nothing_yet_can_be_shown() -> None:
    observed = an_observation(
        a_search(), a_candidate(1, phase="Proposing", code=None, parents=["s-0000"], title="")
    )
    assert "none recorded" in printed(tables.candidate(observed, "s-0001", {}))


def test_the_same_file_as_the_parents_is_called_that() -> None:
    twins = [a_candidate(i, code=a_candidate(0).status.code, parents=["s-0000"] * i) for i in (0, 1)]
    code = twins[0].status.code
    assert code is not None
    assert "the same text" in printed(
        tables.candidate(an_observation(a_search(), *twins), "s-0001", {code.digest: "x = 1"})
    )


def test_an_unknown_candidate_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        tables.candidate(an_observation(a_search()), "s-0001", {})


def test_hostile_text_steers_no_terminal() -> None:
    candidate, texts = a_hostile_candidate()
    observed = an_observation(a_search(), a_candidate(1), candidate)
    text = printed(tables.candidate(observed, candidate.name, texts)) + printed(tables.status(observed, T0))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[red]x[/red]" in text


def test_a_curve_falls_from_its_first_line_to_its_last() -> None:
    lines = braille([(0, 3.0), (50, 1.0), (100, 0.5)], "loss").splitlines()
    assert lines[0].startswith("3.000 ⠉") or lines[0].startswith("3.000 ⠑") or "⠀" in lines[0]
    assert lines[5].lstrip().startswith("0.500")
    assert lines[6].strip() == "0 … 100: loss"


def test_a_flat_curve_can_be_drawn() -> None:
    observed = an_observation(
        a_search(), a_candidate(1, rungs=(a_result("recall", 0.7, curve=((0, "2"), (1, "2"))),))
    )
    assert "2.000" in printed(tables.candidate(observed, "s-0001", {}))
