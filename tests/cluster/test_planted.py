"""A harness proves something only if it tells of bugs: each planted one is caught, and by name.

A few of them every time, all of them with `ASIARCH_FULL=1`.
"""

import pytest

from tests.cluster.planted.bugs import BUGS
from tests.cluster.scenarios import PLOTS
from tests.cluster.stage import AT_FULL_LENGTH, Stage

CAUGHT = {
    "forgets-the-archive": ("archived", "I1"),
    "random-names": ("calm", "I3"),
    "reuses-the-attempt": ("preempted", "I6"),
    "starts-what-others-named": ("deleted_meanwhile", "I2"),
    "charges-after-the-call": ("calm", "I3"),
    "starts-before-it-is-written": ("calm", "I3"),
    "counts-twice": ("calm", "I3"),
    "books-nothing-of-what-it-gives-up": ("placeless", "I3"),
    "drops-live-reservations": ("two_at_a_time", "I3"),
    "takes-anybodys-result": ("forged", "I2"),
    "no-fence": ("overtaken", "I5"),
    "moves-transition-times": ("calm", "I5"),
    "hears-edges-only": ("calm", "I6"),
    "ignores-deletions": ("deleted_under_way", "I6"),
    "adopts-strangers": ("name_taken", "I6"),
    "writes-every-turn": ("calm", "I6"),
    "deletes-by-name": ("replaced", "I7"),
    "deletes-whatever-has-ended": ("calm", "I7"),
    "reads-secrets": ("calm", "I8"),
    "does-not-wait": ("throttled", "F3"),
}
"""Each bug, the plot that tells of it, and how the sentence begins."""
EVERY_TIME = {"charges-after-the-call", "no-fence", "deletes-by-name", "reads-secrets"}
"""These, and the plots that tell of them without a bug."""


def test_every_planted_bug_has_a_plot_that_tells_of_it() -> None:
    assert CAUGHT.keys() == BUGS.keys()


@pytest.mark.parametrize(
    "plot",
    [p if p in {CAUGHT[b][0] for b in EVERY_TIME} else pytest.param(p, marks=AT_FULL_LENGTH) for p in PLOTS],
)
def test_without_a_bug_a_plot_ends_well(shared_stage: Stage, plot: str) -> None:
    assert PLOTS[plot](shared_stage) == []


@pytest.mark.parametrize(
    "bug", [bug if bug in EVERY_TIME else pytest.param(bug, marks=AT_FULL_LENGTH) for bug in CAUGHT]
)
def test_a_planted_bug_is_caught(shared_stage: Stage, bug: str) -> None:
    plot, invariant = CAUGHT[bug]
    told = PLOTS[plot](shared_stage, bug)
    assert [sentence for sentence in told if sentence.startswith(invariant)], told
