"""The one sentence that a search comes down to, in words that claim no more than was measured."""

from asiarch.core.comparison import Difference, Outcome
from asiarch.core.report import Summary
from asiarch.pages.text import number, one_line, plus_minus, signed

WORDS: dict[Outcome, str] = {
    "Ahead": (
        "{best} beats the best baseline, {other}, by {gain} on {rung} ({sure}). The gain is larger than the noise."
    ),
    "AheadOnOneSeed": (
        "{best} scores {gain} against the best baseline, {other}, on {rung} ({sure}). That is more than the held-out "
        "data's noise, but it rests on one training seed: measure both with more seeds before you believe it."
    ),
    "WithinNoise": "{best} and the best baseline, {other}, differ by {gain} on {rung} ({sure}): within the noise.",
    "Unsure": (
        "{best} scores {gain} against the best baseline, {other}, on {rung}; nothing tells how large the noise is."
    ),
    "Behind": "No proposal reaches the best baseline, {other}: {best} scores {gain} against it on {rung} ({sure}).",
}
LABELS: dict[Outcome, str] = {
    "Ahead": "real gain",
    "AheadOnOneSeed": "gain on one seed",
    "WithinNoise": "within noise",
    "Unsure": "unknown noise",
    "Behind": "no gain",
    "Unmeasured": "no result",
}


def sentence(summary: Summary) -> str:
    """Say whether the best proposal beats the best baseline, and how sure that is."""
    found = summary.verdict
    if found.best is None:
        return "No proposal was measured to its end."
    titles = {row.candidate: one_line(row.title) for row in summary.rows}
    best = f"{found.best} ({titles[found.best]})" if titles[found.best] else found.best
    first = found.difference
    if first is None:
        return f"{best} is the best proposal; there is no baseline on its rungs to compare it with."
    sure = "95 %" if found.compared < 2 else f"95 %, allowing for the choice among {found.compared}"
    other = titles.get(first.other) or first.other
    words = {"best": best, "other": other, "gain": gain(first), "rung": first.rung, "sure": sure}
    return WORDS[found.outcome].format(**words)


def label(summary: Summary) -> str:
    """Name the outcome in two or three words, for a badge."""
    return LABELS[summary.verdict.outcome]


def gain(found: Difference | None) -> str:
    """Write a difference with its interval."""
    if found is None:
        return "–"
    return f"{signed(found.value)} {plus_minus(found.half)}".rstrip()


def scored(value: float | None, half: float | None) -> str:
    """Write a score with its interval."""
    return f"{number(value)} {plus_minus(half)}".rstrip()
