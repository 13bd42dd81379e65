"""The one sentence that a search comes down to."""

import pytest

from asiarch.core.report import summarise
from asiarch.pages.verdict import label, sentence
from tests.builders import a_candidate, a_result, a_search, an_observation

PARTS = ("0.1", "-0.1", "0", "0.05")


def said(ours: str, theirs: str, *, groups: bool = True, seeds: int = 1) -> tuple[str, str]:
    made = []
    for ordinal, (origin, value) in enumerate((("Baseline", theirs), ("Proposed", ours))):
        parts = tuple(f"{float(value) + float(p) * (1 + 0.1 * ordinal):.4f}" for p in PARTS) if groups else ()
        rung = a_result("recall", float(value), groups=parts, seeds=(value,) * seeds)
        made.append(a_candidate(ordinal, origin=origin, rungs=(rung,), fitness=value))  # type: ignore[arg-type]
    summary = summarise(an_observation(a_search(), *made))
    return sentence(summary), label(summary)


@pytest.mark.parametrize(
    ("ours", "theirs", "seeds", "words", "badge"),
    [
        ("0.8", "0.6", 2, "The gain is larger than the noise", "real gain"),
        ("0.8", "0.6", 1, "rests on one training seed", "gain on one seed"),
        ("0.601", "0.6", 1, "within the noise", "within noise"),
        ("0.5", "0.6", 1, "No proposal reaches the best baseline", "no gain"),
    ],
)
def test_the_verdict_claims_no_more_than_was_measured(
    ours: str, theirs: str, seeds: int, words: str, badge: str
) -> None:
    text, name = said(ours, theirs, seeds=seeds)
    assert words in text
    assert name == badge


def test_without_an_interval_the_verdict_says_so() -> None:
    text, name = said("0.8", "0.6", groups=False)
    assert "nothing tells how large the noise is" in text
    assert name == "unknown noise"


def test_without_a_baseline_there_is_nothing_to_compare_with() -> None:
    assert "no baseline on its rungs" in sentence(summarise(an_observation(a_search(), a_candidate(1))))


def test_without_a_proposal_there_is_no_verdict() -> None:
    assert sentence(summarise(an_observation(a_search()))) == "No proposal was measured to its end."


def test_a_candidate_without_a_title_is_called_by_its_name() -> None:
    observed = an_observation(
        a_search(), a_candidate(0, origin="Baseline", title=""), a_candidate(1, title="")
    )
    assert sentence(summarise(observed)).startswith("s-0001 scores +0.000 against the best baseline, s-0000,")
