"""Which number a new candidate gets: a baseline's is its place in the spec, for the first is the yardstick."""

from asiarch.api.candidate import Candidate, CandidateStatus
from asiarch.core.actions import CandidateWrite
from asiarch.core.observation import observe
from asiarch.core.reconcile import reconcile
from tests.builders import T0, a_candidate, a_search


def a_new_baseline(ordinal: int) -> Candidate:
    made = a_candidate(ordinal, origin="Baseline", phase="Pending")
    return made.model_copy(update={"status": CandidateStatus()})


def ordinals(*baselines: Candidate) -> dict[str, int | None]:
    """The numbers that new baselines get, seen in this order."""
    plan = reconcile(observe(a_search(), {c.name: c for c in baselines}, {}), T0)
    return {w.candidate.name: w.status.ordinal for w in plan.statuses if isinstance(w, CandidateWrite)}


def test_baselines_are_numbered_by_their_place_in_the_spec_in_whatever_order_they_are_seen() -> None:
    assert ordinals(a_new_baseline(1), a_new_baseline(0)) == {"s-0000": 0, "s-0001": 1}


def test_a_baseline_waits_for_its_number_until_those_before_it_are_there() -> None:
    assert ordinals(a_new_baseline(1)) == {}
